"""replay and simulate on a real broker: what lies in the topics afterwards."""

import asyncio
import gzip
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from click.testing import CliRunner

from broker.consumed import Record, read_whole
from broker.produce import Producer, partition_of
from broker.topics import MAX_RECORD_BYTES, TOPICS, made_topics
from cli.replay import command as replay_command
from cli.simulate import command as simulate_command
from feed.replay import TICK, Sent, end_import, replay
from feed.simulate import Shop, history
from journey.calendar import Calendar
from journey.decode import YEAR_2000, YEAR_2149, decode, decode_bot
from journey.events import TOPIC_BOTS, TOPIC_IMPORT, TOPIC_LIVE, RoomKey, Tick

PARTITIONS = 3
CALENDAR = Calendar("Asia/Seoul")
BEGIN = CALENDAR.midnight(CALENDAR.day(1_795_402_800_000))


async def make(kafka: str, name: str, like: str) -> None:
    """A topic of the test's own, with the settings of one of the real ones."""
    settings = next(topic.settings for topic in TOPICS if topic.name == like)
    client = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await client.start()
    await client.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=settings)])
    await client.close()


async def whole(kafka: str, topic: str) -> list[Record]:
    return [record async for record in read_whole(kafka, topic)]


def made_up(rooms: int = 60) -> list[bytes]:
    events = history(Shop(), CALENDAR.day(BEGIN), 2, rooms_a_day=rooms, until=2**60)
    return [orjson.dumps(event) for _, event in events]


def valid(records: list[Record]) -> list[tuple[RoomKey, Any]]:
    """The events of the records; DeadLetter if one is not valid."""
    found = [decode(record.value, record.key, record.received_at) for record in records]
    return [pair for pair in found if not isinstance(pair, Tick)]


async def sent_whole(kafka: str, topic: str, path: Path, **options: Any) -> Sent:
    sent = Sent()
    async with Producer(kafka, topic) as producer:
        await replay(str(path), producer, sent, **options)
    return sent


async def test_history_keeps_times_keys_and_order(kafka: str, topic_name: str, tmp_path: Path) -> None:
    lines = made_up()
    file = tmp_path / "events.jsonl.gz"
    file.write_bytes(gzip.compress(b"\n".join(lines)))
    await make(kafka, topic_name, TOPIC_IMPORT)
    sent = await sent_whole(kafka, topic_name, file, history=True)
    records = await whole(kafka, topic_name)
    events = valid(records)
    assert sent.lines == len(records) == len(lines)
    assert sorted(record.value or b"" for record in records) == sorted(lines)
    assert all(record.received_at == event.occurred_at for record, (_, event) in zip(records, events, strict=True))
    assert all(record.partition == partition_of(record.key or b"", PARTITIONS) for record in records)
    assert (sent.earliest, sent.latest) == (min(r.received_at for r in records), max(r.received_at for r in records))
    seqs: dict[RoomKey, list[int]] = {}
    for room, event in events:
        seqs.setdefault(room, []).append(event.seq)
    assert all(seq == list(range(1, len(seq) + 1)) for seq in seqs.values())


async def test_lines_that_are_no_events_are_sent_all_the_same(kafka: str, topic_name: str, tmp_path: Path) -> None:
    good = made_up(1)[0]
    at = decode(good, orjson.loads(good)["room_id"].encode(), YEAR_2149 - 1)[1].occurred_at  # type: ignore[index]
    bad = [b"{", good, b'{"room_id":"r"}', b"x" * (MAX_RECORD_BYTES + 1), b"[]"]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(bad))
    await make(kafka, topic_name, TOPIC_IMPORT)
    sent = await sent_whole(kafka, topic_name, file, history=True)
    assert (sent.lines, sent.without_room, sent.without_time, sent.too_large) == (5, 3, 4, 1)
    found = {record.value: (record.key, record.received_at) for record in await whole(kafka, topic_name)}
    assert found == {
        b"{": (None, YEAR_2000),
        good: (orjson.loads(good)["room_id"].encode(), at),
        b'{"room_id":"r"}': (b"r", at),
        b"[]": (None, at),
    }


async def test_live_events_have_the_brokers_time(kafka: str, topic_name: str, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(made_up(5)))
    await make(kafka, topic_name, TOPIC_LIVE)
    before = time.time() * 1000
    await sent_whole(kafka, topic_name, file)
    assert all(before - 1000 <= record.received_at for record in await whole(kafka, topic_name))


async def test_rate_spreads_the_events(kafka: str, topic_name: str, tmp_path: Path) -> None:
    """By the broker's clock, so that the machine may be as slow as it likes. Once before, without a rate: what a new
    topic's first records wait for is nobody's rate."""
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(made_up(3)[:40]))
    await make(kafka, topic_name, TOPIC_LIVE)
    await sent_whole(kafka, topic_name, file)
    await sent_whole(kafka, topic_name, file, rate=100)
    times = sorted(record.received_at for record in await whole(kafka, topic_name))
    assert len(times) == 80
    assert times[-1] - times[40] >= 300


async def test_the_end_of_an_import_reaches_every_partition(kafka: str, topic_name: str) -> None:
    await make(kafka, topic_name, TOPIC_IMPORT)
    async with Producer(kafka, topic_name) as producer:
        await producer.send(made_up(1)[0], b"r", BEGIN)
        await end_import(producer, BEGIN + 1)
    ticks = [record for record in await whole(kafka, topic_name) if record.value == TICK]
    assert sorted(tick.partition for tick in ticks) == list(range(PARTITIONS))
    assert {(tick.key, tick.received_at) for tick in ticks} == {(None, BEGIN + 1)}
    assert decode(TICK, None, BEGIN + 1) == Tick()


def run(command: Any, kafka: str, *arguments: str) -> Any:
    return CliRunner(env={"TURNPATH_KAFKA": kafka}).invoke(command, list(arguments))


def test_the_commands(fresh_kafka: str, tmp_path: Path) -> None:
    asyncio.run(made_topics(fresh_kafka))
    check_replay(fresh_kafka, tmp_path)
    check_simulated_past(fresh_kafka)
    check_simulated_present(fresh_kafka)
    check_interrupted(fresh_kafka)


def check_replay(kafka: str, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(made_up(10)))
    result = run(replay_command, kafka, str(file), "--history")
    assert result.exit_code == 0, result.output
    assert "turnpath seal" in result.stderr
    assert result.stdout == ""
    records = asyncio.run(whole(kafka, TOPIC_IMPORT))
    assert sum(record.value == TICK for record in records) == 12
    assert len(valid(records)) == len(made_up(10))
    file.write_bytes(b"\n\n")
    assert "nothing was sent" in str(run(replay_command, kafka, str(file)).exception)


def check_simulated_past(kafka: str) -> None:
    before = len(valid(asyncio.run(whole(kafka, TOPIC_IMPORT))))
    result = run(simulate_command, kafka, "--history", "--days", "2", "--rooms", "20", "--seed", "7", "--site", "other")
    assert result.exit_code == 0, result.output
    events = valid(asyncio.run(whole(kafka, TOPIC_IMPORT)))
    rooms = {room for room, _ in events if room.site_id == "other"}
    assert len(rooms) == 40
    assert len(events) > before + 40
    bots = [decode_bot(r.value, r.key, r.received_at)[0] for r in asyncio.run(whole(kafka, TOPIC_BOTS))]
    assert {bot.bot_id for bot in bots if bot.site_id == "other" and not bot.in_use} == {"event"}


def check_simulated_present(kafka: str) -> None:
    result = run(simulate_command, kafka, "--rate", "2000", "--events", "300")
    assert result.exit_code == 0, result.output
    records = asyncio.run(whole(kafka, TOPIC_LIVE))
    assert len(valid(records)) == 300
    now = time.time() * 1000
    assert all(abs(event.occurred_at - now) < 60_000 for _, event in valid(records))


def check_interrupted(kafka: str) -> None:
    """Ctrl-C: a sentence, no traceback; the events already sent are there."""
    before = len(asyncio.run(whole(kafka, TOPIC_LIVE)))
    with subprocess.Popen(
        [sys.executable, "-m", "cli.main", "simulate", "--rate", "500"],
        cwd=Path(__file__).parents[2],
        env={"TURNPATH_KAFKA": kafka, "PATH": "/usr/bin:/bin"},
        stderr=subprocess.PIPE,
        text=True,
        # a shell that starts the tests in the background has them, and so it, ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        for _ in range(600):
            if len(asyncio.run(whole(kafka, TOPIC_LIVE))) > before:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "stopped" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("arguments", [("--history", "--rate", "5"), ("--days", "3")])
def test_options_that_do_not_go_together(arguments: tuple[str, ...]) -> None:
    result = run(simulate_command, "127.0.0.1:1", *arguments)
    assert result.exit_code == 2
    assert "--history" in result.output
