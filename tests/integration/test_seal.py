"""The seal against the real engine, broker and Redis: every row of `daily` beside a count in plain Python."""

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
from journey.calendar import Calendar
from journey.errors import Busy, SealFailed
from journey.events import TOPIC_BOTS, TOPIC_IMPORT, TOPIC_LIVE, Event, RoomKey
from seal.gate import await_consumed
from seal.lock import lock
from seal.run import Sealer
from seal.stage import PREFIX
from settings import Settings
from sql.client import Client
from sql.migrate import migrate
from sql.sink import Sink
from stack.parts import environment, turnpath
from stream.poll import Poll
from tests.conftest import broker
from tests.integration.seal_truth import (
    SEAL_AT,
    Consumer,
    RandomLog,
    Truth,
    count,
    out_of_use,
    published,
    random_bots,
    record,
)
from tests.unit.histories import DAY
from tests.waiting import until

ROOT = Path(__file__).parents[2]
SEOUL = Calendar("Asia/Seoul")
FIRST = date(2026, 3, 6)
CUSTOMERS = [f"customer {n}" for n in range(30)]
FAR = SEOUL.midnight(date(2027, 1, 1))


@pytest.fixture(scope="module")
def quiet_kafka(kafka_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker with the topics and no records: no gate has anything to wait for."""
    with broker(tmp_path_factory.mktemp("quiet-kafka"), kafka_template) as where:
        make_topics(Settings(kafka=where))
        yield where


@pytest.fixture
def parts(quiet_kafka: str, redis_url: str, database_url: str) -> Settings:
    """All parts; times to live longer than these days are old."""
    return Settings(kafka=quiet_kafka, redis=redis_url, clickhouse=database_url, keep_events=timedelta(days=36500))


@pytest.fixture
def quiet(parts: Settings) -> Settings:
    migrate(parts)
    return parts


def sealer(settings: Settings, now: int = FAR) -> Sealer:
    return Sealer(settings, lambda: now, lambda words: None)


def made(client: Client, seed: str, rooms: int = 100, calendar: Calendar = SEOUL) -> tuple[RandomLog, Consumer]:
    log = RandomLog(random.Random(seed), calendar, FIRST, 4, rooms)
    return log, Consumer(client, log)


def same(found: Truth, truth: Truth) -> None:
    assert found.rooms == truth.rooms
    assert found.edges == truth.edges
    assert found.nodes == truth.nodes
    assert found.left_out == truth.left_out


@pytest.mark.parametrize("zone", ["Asia/Seoul", "America/New_York"])
@pytest.mark.parametrize("seed", range(2))
def test_a_seal_is_what_a_count_of_the_log_says(parts: Settings, seed: int, zone: str) -> None:
    """Three days one after the other, the worker further on each time; 2026-03-08 has 23 hours in New York."""
    there = parts.model_copy(update={"timezone": zone})
    migrate(there)
    with Client(parts.clickhouse) as client:
        log, consumer = made(client, f"{seed} {zone}", calendar=Calendar(zone))
        bots = random_bots(log.rng, log)
        Sink(client).bots(bots)
        elsewhere: set[RoomKey] = set()
        for day in log.days[:3]:
            cut_off = log.calendar.cut_off(day, SEAL_AT)
            consumer.consume(cut_off)
            truth = count(log, day, out_of_use(bots, cut_off), elsewhere)
            seal = sealer(there, cut_off).seal(day)
            same(published(client, day, CUSTOMERS), truth)
            elsewhere |= {RoomKey(room[0], room[2]) for room in truth.rooms}
            assert seal.moves == sum(edge[-2] for edge in truth.edges)
            assert seal.rooms == len({(room[0], room[2]) for room in truth.rooms})
        assert elsewhere
        assert not left_behind(client)


def left_behind(client: Client) -> list[tuple[str, ...]]:
    return client.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {prefix:String})",
        {"prefix": PREFIX},
    )


def play(settings: Settings, seed: str, rooms: int = 40) -> tuple[RandomLog, Consumer]:
    """A log, consumed up to the cut-off of its second day."""
    log, consumer = made(Client(settings.clickhouse), seed, rooms)
    consumer.consume(SEOUL.cut_off(log.days[1], SEAL_AT))
    return log, consumer


def rows_of(client: Client) -> list[tuple[object, ...]]:
    return client.rows("SELECT * EXCEPT (sealed_at) FROM daily ORDER BY day, kind, site_id, bot_id, number, room")


def test_a_sealed_day_stays_as_it_is(quiet: Settings) -> None:
    log, consumer = play(quiet, "stays")
    with Client(quiet.clickhouse) as client:
        seal = sealer(quiet).seal(log.days[1])
        before = rows_of(client)
        consumer.consume(FAR)
        again = sealer(quiet).seal(log.days[1])
        assert (seal.is_new, again.is_new) == (True, False)
        assert (again.rooms, again.moves, again.checksum) == (seal.rooms, seal.moves, seal.checksum)
        assert rows_of(client) == before


def test_a_day_without_rooms_is_sealed_too(quiet: Settings) -> None:
    day = date(2026, 2, 1)
    seal = sealer(quiet).seal(day)
    with Client(quiet.clickhouse) as client:
        assert client.rows("SELECT day, kind, revision, rooms, moves, timezone FROM daily") == [
            (day, "seal", 1, 0, 0, "Asia/Seoul")
        ]
    assert seal.checksum == "0" * 32


def test_all_due_days_in_order_the_imported_ones_too(quiet: Settings) -> None:
    log, consumer = play(quiet, "due", rooms=8)
    consumer.consume(FAR)
    now = SEOUL.cut_off(log.days[3], SEAL_AT)
    with Client(quiet.clickhouse) as client:
        first = client.rows("SELECT topic, min(day) FROM turns GROUP BY topic ORDER BY topic")
        live, every = first[0][1], min(day for _, day in first)
        by_the_clock = sealer(quiet, now).due(live_only=True)
        by_hand = [seal.day for seal in sealer(quiet, now).seal_due(live_only=False)]
        assert by_the_clock == [live + timedelta(days=n) for n in range((log.days[3] - live).days + 1)]
        assert by_hand[0] in (every, every - timedelta(days=1))
        assert by_hand == [by_hand[0] + timedelta(days=n) for n in range(len(by_hand))]
        assert by_hand[-1] == log.days[3]
        assert sealer(quiet, now).due(live_only=False) == []


def test_what_is_not_in_balance_is_not_published(quiet: Settings) -> None:
    log, _ = play(quiet, "balance")
    day = log.days[1]
    with Client(quiet.clickhouse) as client:
        client.run(
            "INSERT INTO moves SELECT * REPLACE ('lost' AS dialog, version + 1 AS version) FROM moves FINAL "
            "WHERE move <> 'start' AND room IN (SELECT room FROM rooms FINAL WHERE toDate(ended_at, 'Asia/Seoul') = "
            "{day:Date} AND rooms.closed_by = 'customer') AND received_at < {end:DateTime64(3, 'UTC')}",
            {"day": day, "end": "2026-03-07 15:00:00"},
        )
        with pytest.raises(SealFailed, match=r"balance of 2026-03-07 is broken \(.*step \d+ lost: entered 0"):
            sealer(quiet).seal(day)
        assert not client.rows("SELECT kind FROM daily")
        assert not left_behind(client)


def test_something_late_while_it_is_built_is_seen(quiet: Settings) -> None:
    """What comes in after the rooms were looked at changes `moves` under the seal; it is built again without that."""
    log, consumer = play(quiet, "late", rooms=80)
    day = log.days[1]
    truth = count(log, day, set(), set())
    said: list[str] = []

    def meanwhile(words: str) -> None:
        said.append(words)
        if words.endswith("building") and len(said) < 6:
            consumer.consume(FAR)

    with Client(quiet.clickhouse) as client:
        Sealer(quiet, lambda: FAR, meanwhile).seal(day)
        assert any("once more" in words for words in said)
        same(published(client, day, CUSTOMERS), truth)


KILLED = """
import os, sys
from datetime import date
from seal.run import Sealer
from settings import load

def said(words):
    if words.endswith(sys.argv[1]):
        os.kill(os.getpid(), 9)

Sealer(load(), lambda: int(sys.argv[2]), said).seal(date.fromisoformat(sys.argv[3]))
"""


def test_killed_anywhere_it_publishes_the_same_when_it_runs_again(quiet: Settings, redis_url: str) -> None:
    log, _ = play(quiet, "killed")
    day = log.days[1]
    without_redis = quiet.model_copy(update={"redis": "redis://127.0.0.1:1/0"})
    names = ("kafka", "clickhouse", "redis")
    environment = {f"TURNPATH_{name.upper()}": getattr(without_redis, name) for name in names}
    with Client(quiet.clickhouse) as client:
        for step in ("rooms are in", "building", "publishing"):
            command = [sys.executable, "-c", KILLED, step, str(FAR), str(day)]
            assert subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode == -9
            assert not client.rows("SELECT kind FROM daily")
        assert left_behind(client)
        seal = sealer(quiet).seal(day)
        whole = rows_of(client)
        client.run("ALTER TABLE daily DROP PARTITION '2026-03-07'")
        assert sealer(quiet).seal(day).checksum == seal.checksum
        assert rows_of(client) == whole


def test_the_stage_of_a_killed_seal_is_dropped_by_a_later_one(quiet: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(quiet.clickhouse) as client:
        client.run(f"CREATE TABLE {PREFIX}20260101_left AS daily")
        sealer(quiet).seal(date(2026, 2, 1))
        assert left_behind(client), "it may be somebody's who is sealing just now"
        monkeypatch.setattr("seal.stage._STALE_HOURS", 0)
        until(lambda: client.rows("SELECT now() > max(metadata_modification_time) FROM system.tables")[0][0] == 1)
        sealer(quiet).seal(date(2026, 2, 2))
        assert not left_behind(client)


def test_two_at_once_without_the_lock_publish_one_revision(quiet: Settings) -> None:
    log, _ = play(quiet, "two")
    without_redis = quiet.model_copy(update={"redis": "redis://127.0.0.1:1/0"})
    both = threading.Barrier(2)
    seals = []

    def meet(words: str) -> None:
        if words.endswith("publishing"):
            both.wait(60)

    def run() -> None:
        seals.append(Sealer(without_redis, lambda: FAR, meet).seal(log.days[1]))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({seal.checksum for seal in seals}) == 1
    with Client(quiet.clickhouse) as client:
        assert client.rows("SELECT revision, checksum FROM daily WHERE kind = 'seal'") == [(1, seals[0].checksum)]
        same(published(client, log.days[1], CUSTOMERS), count(log, log.days[1], set(), set()))


def test_who_comes_second_is_told_who_is_sealing(quiet: Settings) -> None:
    now = 1_772_900_000_000
    with (
        lock(quiet, lambda: now, print),
        pytest.raises(Busy, match=r"by .* process \d+ since 2026-03-07 16:13:20"),
        lock(quiet, lambda: now, print),
    ):
        pass
    with lock(quiet, lambda: now, print):  # given back, although the first one ended by an error
        pass


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


def test_nothing_is_published_while_the_workers_are_behind(fresh_settings: Settings) -> None:
    make_topics(fresh_settings)
    asyncio.run(send(fresh_settings.kafka, 3))
    some = fresh_settings.model_copy(update={"seal_wait": timedelta(0)})
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


def test_the_scheduler_ends_in_the_middle_of_a_wait(fresh_settings: Settings) -> None:
    make_topics(fresh_settings)
    asyncio.run(send(fresh_settings.kafka, 3))
    tomorrow = fresh_settings.model_copy(update={"seal_wait": timedelta(hours=1)})
    code = (
        "import signal, sys, cli.scheduler as c\n"
        "c.SystemClock.now = lambda self: int(sys.argv[1])\n"
        "c.command([], standalone_mode=False)"
    )
    now = SEOUL.cut_off(date(2099, 1, 1), SEAL_AT)
    with Client(fresh_settings.clickhouse) as client:
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
