"""Two seals at once, with the lock and without it, and a seal beside a stream: one revision, the same checksum."""

import os
import random
import threading
from datetime import date
from pathlib import Path

import pytest

from journey.errors import Busy
from seal.publish import Seal
from seal.run import Sealer
from settings import Settings
from sql.client import Client
from stack.parts import redis_part
from tests.conftest import somewhere
from tests.integration.seal.scene import CUSTOMERS, FAR, SEOUL, left_behind, made, play, rows_of, same, sealer
from tests.integration.seal.truth import SEAL_AT, Consumer, count, published

#: How often two seal at once by `make test-long`; TURNPATH_TEST_TWICE for more.
TIMES = int(os.environ.get("TURNPATH_TEST_TWICE", "20"))

NO_REDIS = {"redis": "redis://127.0.0.1:1/0"}


@pytest.mark.parametrize("times", [6, pytest.param(TIMES, marks=pytest.mark.long)])
def test_two_at_once(consumed: Settings, times: int) -> None:
    """Half of the times under the lock, of which one may be turned away, half without a Redis."""
    log, _ = play(consumed, "twenty", rooms=20)
    day, rng = log.days[1], random.Random("twice")
    want = sealer(consumed).seal(day).checksum
    turned_away = 0
    with Client(consumed.clickhouse) as client:
        whole = rows_of(client)
        for number in range(times):
            client.run(f"ALTER TABLE daily DROP PARTITION '{day}'")
            some = consumed if number % 2 else consumed.model_copy(update=NO_REDIS)
            seals = at_once(some, day, rng.choice((0.0, 0.0, 0.02, 0.1)))
            assert [seal.checksum for seal in seals] == [want] * len(seals)
            assert len(seals) == 2 or (len(seals) == 1 and number % 2), "only the lock turns somebody away"
            turned_away += 2 - len(seals)
            assert rows_of(client) == whole
        assert not left_behind(client)
    assert turned_away, "the lock was held by one when the other came"


def at_once(settings: Settings, day: date, later: float) -> list[Seal]:
    """Seal by two threads of which one begins so many seconds later; the seals of those that were not turned away."""
    seals, failures = list[Seal](), list[Exception]()
    both = threading.Barrier(2)

    def run(pause: float) -> None:
        both.wait(60)
        threading.Event().wait(pause)
        try:
            seals.append(sealer(settings).seal(day))
        except Busy:
            pass
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(pause,)) for pause in (0.0, later)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    return seals


def test_redis_gone_in_the_middle(consumed: Settings, tmp_path: Path) -> None:
    """Who holds the lock goes on without it, and who comes then is not kept out."""
    log, _ = play(consumed, "redis", rooms=20)
    own = somewhere(tmp_path, redis=somewhere(tmp_path).redis)
    part = redis_part(own)
    process = part.start(tmp_path)
    part.await_answer(process)
    with_own = consumed.model_copy(update={"redis": own.redis})
    seals = []

    def said(words: str) -> None:
        if words.endswith("publishing"):
            process.kill()
            seals.append(sealer(with_own).seal(log.days[1]))

    seals.append(Sealer(with_own, lambda: FAR, said).seal(log.days[1]))
    assert [seal.is_new for seal in seals] == [True, False]
    assert len({seal.checksum for seal in seals}) == 1


def test_beside_a_running_stream(consumed: Settings) -> None:
    """Events of the next days, and late ones of this, come in at full speed all the while."""
    with Client(consumed.clickhouse) as client, Client(consumed.clickhouse) as worker:
        log, consumer = made(worker, "stream", rooms=250)
        day = log.days[1]
        consumer.consume(SEOUL.cut_off(day, SEAL_AT))
        truth = count(log, day, set(), set())
        done = threading.Event()
        stream = threading.Thread(target=keep_consuming, args=(consumer, done))
        stream.start()
        try:
            seal = sealer(consumed).seal(day)
        finally:
            done.set()
            stream.join()
        same(published(client, day, CUSTOMERS), truth)
        consumer.consume(FAR)
        client.run(f"ALTER TABLE daily DROP PARTITION '{day}'")
        assert sealer(consumed).seal(day).checksum == seal.checksum


def keep_consuming(consumer: Consumer, done: threading.Event) -> None:
    """Poll after poll of all that comes after the cut-off, and ticks when the log has ended."""
    while not done.is_set():
        for place in consumer.position:
            consumer._poll(place, consumer.position[place] + 3)
