"""The wait for the workers on a real broker; the command and the scheduler as processes."""

import asyncio
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice
from pathlib import Path

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from broker.consumed import reaches
from broker.produce import Producer
from broker.topics import make_topics
from journey.errors import SealFailed
from journey.events import TOPIC_BOTS, TOPIC_IMPORT, TOPIC_LIVE, Event, RoomKey
from seal.gate import await_consumed
from settings import Settings
from sql.client import Client
from stack.parts import environment, turnpath
from stream.poll import Poll
from tests.conftest import broker
from tests.integration.seal.scene import (
    FIRST,
    ROOT,
    SEOUL,
    left_behind,
    play,
    sealer,
)
from tests.integration.seal.truth import (
    SEAL_AT,
    Consumer,
    RandomLog,
    record,
)
from tests.unit.histories import DAY
from tests.waiting import until


async def send(kafka: str, count: int) -> None:
    async with Producer(kafka, TOPIC_LIVE) as producer:
        for number in range(count):
            await producer.send(f"room {number}".encode(), b"{}")
        await producer.flush()


async def committed(kafka: str, offsets: dict[int, int]) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id="turnpath", enable_auto_commit=False)
    await consumer.start()
    try:
        places = {TopicPartition(TOPIC_LIVE, partition): offset for partition, offset in offsets.items()}
        consumer.assign(list(places))
        await consumer.commit(places)
    finally:
        await consumer.stop()


def ends(kafka: str) -> dict[int, int]:
    return {r.partition: r.end for r in asyncio.run(reaches(kafka, TOPIC_LIVE)) if r.end}


def test_a_seal_waits_until_the_cut_off_is_consumed(fresh_settings: Settings) -> None:
    kafka, day = fresh_settings.kafka, date(2026, 2, 1)
    make_topics(fresh_settings)
    asyncio.run(send(kafka, 40))
    before = ends(kafka)
    cut_off = round(time.time() * 1000) + 1
    until(lambda: time.time() * 1000 > cut_off + 1)
    asyncio.run(send(kafka, 200))
    some = fresh_settings.model_copy(update={"seal_wait": timedelta(seconds=1)})
    one = min(before)

    # one record short in one partition: it and no other is named
    asyncio.run(committed(kafka, {**before, one: before[one] - 1}))
    behind = re.escape(f"{TOPIC_LIVE}[{one}] at {before[one] - 1} of {before[one]}.")
    with pytest.raises(SealFailed, match=f"within 1 s: {behind}"):
        await_consumed(kafka, cut_off, some.seal_wait, print)

    # the records after the cut-off need not be consumed
    said = threading.Event()
    thread = threading.Thread(target=lambda: said.wait(60) and asyncio.run(committed(kafka, before)))
    thread.start()
    reached = await_consumed(kafka, cut_off, timedelta(seconds=60), lambda words: said.set())
    thread.join()
    assert said.is_set()
    assert {partition: offset for topic, partition, offset in reached if topic == TOPIC_LIVE and offset} == before
    assert {topic for topic, _, _ in reached} == {TOPIC_LIVE, TOPIC_IMPORT, TOPIC_BOTS}

    # where nothing came later, the end of when the seal began; and the seal notes what was reached
    with pytest.raises(SealFailed, match=re.escape(TOPIC_LIVE)):
        await_consumed(kafka, cut_off + 86_400_000, timedelta(0), print)
    asyncio.run(committed(kafka, ends(kafka)))
    sealer(fresh_settings).seal(day)
    with Client(fresh_settings.clickhouse) as client:
        ((noted,),) = client.rows("SELECT offsets FROM daily WHERE kind = 'seal'")
    assert {p: offset for topic, p, offset in noted if topic == TOPIC_LIVE and offset} == ends(kafka)


@pytest.fixture(scope="module")
def kafka_behind(kafka_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker with three records that nobody has consumed."""
    with broker(tmp_path_factory.mktemp("kafka-behind"), kafka_template) as where:
        make_topics(Settings(kafka=where))
        asyncio.run(send(where, 3))
        yield where


@pytest.fixture
def behind(kafka_behind: str, redis_url: str, migrated_url: str) -> Settings:
    """All parts but workers."""
    return Settings(kafka=kafka_behind, redis=redis_url, clickhouse=migrated_url)


def test_nothing_is_published_while_the_workers_are_behind(behind: Settings) -> None:
    some = behind.model_copy(update={"seal_wait": timedelta(0)})
    day = date(2099, 1, 1)  # as if the records had been there before its cut-off
    with pytest.raises(SealFailed, match="TURNPATH_SEAL_WAIT"):
        sealer(some, SEOUL.cut_off(day, SEAL_AT)).seal(day)
    with Client(some.clickhouse) as client:
        assert not client.rows("SELECT kind FROM daily")


def command(settings: Settings, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        turnpath(*arguments),
        env=environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_says_what_it_sealed(quiet: Settings) -> None:
    log, _ = play(quiet, "command")
    process = command(quiet, "seal", "--day", str(log.days[1]), "--format", "csv")
    out, err = process.communicate()
    assert process.returncode == 0, err
    with Client(quiet.clickhouse) as client:
        ((rooms, moves, checksum),) = client.rows("SELECT rooms, moves, checksum FROM daily WHERE kind = 'seal'")
    assert out.splitlines() == [
        "day,revision,rooms,moves,as_of,checksum",
        f"{log.days[1]},1,{rooms},{moves},2026-03-07T15:40:00.000+00:00,{checksum}",
    ]
    assert "turnpath: 2026-03-07: building" in err
    again = command(quiet, "seal", "--day", str(log.days[1]), "--format", "csv")
    assert again.communicate() == (out, "turnpath: 2026-03-07: is sealed already, left as it is\n")
    tomorrow = command(quiet, "seal", "--day", "2099-01-01")
    assert "cannot be sealed before 00:40 on 2099-01-02 (Asia/Seoul)" in tomorrow.communicate()[1]
    assert (again.returncode, tomorrow.returncode) == (0, 2)


def test_the_scheduler_seals_what_is_due_and_ends_when_told(quiet: Settings) -> None:
    with Client(quiet.clickhouse) as client:
        live = round(time.time() * 1000) - 3 * DAY
        key, event = RoomKey("s", "r"), Event("turn", 1, live, "x", "c", dialog="A", input_kind="none")
        first = Consumer(client, RandomLog(random.Random(1), SEOUL, FIRST, 1, 1))
        first.batches.run([Poll(TOPIC_LIVE, 0, [record(0, live, key, event)], 1)])
        process = command(quiet, "scheduler")
        due = [SEOUL.day(live) + timedelta(days=n) for n in range(3)]
        due = due[: 3 if time.time() * 1000 >= SEOUL.cut_off(due[2], SEAL_AT) else 2]
        assert process.stderr is not None
        said = (orjson.loads(line) for line in process.stderr)
        sealed = (line["day"] for line in said if line["event"] == "sealed")
        assert list(islice(sealed, len(due))) == [str(day) for day in due]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
        rooms = client.rows("SELECT day, room_id, moves FROM daily WHERE kind = 'room'")
        assert rooms == [(SEOUL.day(live + DAY), "r", 2)], "its silence ended it, 24 hours later"


def test_the_scheduler_ends_in_the_middle_of_a_wait(behind: Settings) -> None:
    tomorrow = behind.model_copy(update={"seal_wait": timedelta(hours=1)})
    code = (
        "import signal, sys, cli.scheduler as c\n"
        "c.SystemClock.now = lambda self: int(sys.argv[1])\n"
        "c.command([], standalone_mode=False)"
    )
    now = SEOUL.cut_off(date(2099, 1, 1), SEAL_AT)
    with Client(behind.clickhouse) as client:
        recent = SEOUL.cut_off(date(2098, 12, 30), SEAL_AT)
        key, event = RoomKey("s", "r"), Event("turn", 1, recent, "x", "c", dialog="A", input_kind="none")
        first = Consumer(client, RandomLog(random.Random(1), SEOUL, FIRST, 1, 1))
        first.batches.run([Poll(TOPIC_LIVE, 0, [record(0, recent, key, event)], 1)])
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(now)],
            env=environment(tomorrow),
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        assert any("waiting for the workers: 3 records to go" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
        assert not client.rows("SELECT kind FROM daily")
        assert not left_behind(client)
