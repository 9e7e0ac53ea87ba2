"""Fuzzed events, half of them broken, through Kafka and a worker into ClickHouse: the dead letters are exactly those
that must be, the others are all counted, and the worker's memory stays flat.

TURNPATH_TEST_FUZZ_EVENTS=1000000 sends that many instead of 4,000, TURNPATH_TEST_SEED another stream; -s shows
the figures.
"""

import asyncio
import hashlib
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from broker.consumed import reaches, read_whole
from broker.produce import Producer
from broker.topics import make_topics
from journey.events import TOPIC_LIVE, Entry, Event
from journey.fold import fold
from settings import Settings
from sql.client import Client
from sql.migrate import migrate
from stack.parts import worker_part
from tests.faults.fuzzed import Feed
from tests.faults.second_reading import Content, Reasons, read
from tests.waiting import until

EVENTS = int(os.environ.get("TURNPATH_TEST_FUZZ_EVENTS", "4000"))
SEED = int(os.environ.get("TURNPATH_TEST_SEED", "1"))
LONG = EVENTS >= 300_000
IDLE = 86_400_000

Place = tuple[int, int]  # partition, offset
Room = tuple[str, str]


@dataclass
class Expected:
    """What the log must come to, by the second reading of the contract (tests/faults/fuzzed.py)."""

    letters: dict[Place, tuple[Reasons, bytes]] = field(default_factory=dict)
    rooms: dict[Room, dict[int, Entry]] = field(default_factory=dict)
    times: Counter[int] = field(default_factory=Counter)
    partitions: dict[Room, int] = field(default_factory=dict)
    copies: int = 0

    def take(self, partition: int, offset: int, key: bytes | None, value: bytes | None, at: int) -> None:
        """The next record of a partition."""
        self.times[partition] = max(self.times[partition], at)
        if value == b'{"type":"tick"}':
            return
        found = read(value, key, at)
        reasons = found.reasons
        if found.room is not None:
            reasons = self._counts(found.room, found.content, partition, offset, at)
        if reasons:
            self.letters[partition, offset] = reasons, digest(key, value)

    def _counts(self, room: Room, content: Content, partition: int, offset: int, at: int) -> Reasons:
        """The first of a seq counts; the same again is a copy, another a conflict."""
        event = Event(*content)
        self.partitions[room] = partition
        first = self.rooms.setdefault(room, {}).setdefault(event.seq, Entry(event, offset, at))
        if first.offset == offset:
            return frozenset()
        self.copies += first.event == event
        return frozenset() if first.event == event else frozenset(["conflict"])

    def turns(self) -> set[Place]:
        return {
            (self.partitions[room], entry.offset) for room, entries in self.rooms.items() for entry in entries.values()
        }

    def moves(self) -> Counter[tuple[Any, ...]]:
        edges: Counter[tuple[Any, ...]] = Counter()
        for room, entries in self.rooms.items():
            folded = fold([entries[seq] for seq in sorted(entries)], IDLE, self.times[self.partitions[room]])
            assert folded is not None
            for row in folded.rows:
                way = (row.step, row.dialog, row.move, row.message, row.next_step, row.next_dialog)
                edges[room[0], row.bot_id, *way] += 1
        return edges


def digest(key: bytes | None, value: bytes | None) -> bytes:
    """Of key and value, null told from empty."""
    parts = (b"-" if raw is None else b"+" + raw for raw in (key, value))
    return hashlib.md5(b"\0|\0".join(parts)).digest()


DIGEST = "MD5(concat(if(key IS NULL, '-', concat('+', key)), '\\0|\\0', if(value IS NULL, '-', concat('+', value))))"


async def send(kafka: str, now: int) -> None:
    feed = Feed(SEED, now)
    async with Producer(kafka, TOPIC_LIVE) as producer:
        for number, sent in enumerate(islice(feed.records(), EVENTS)):
            if sent.value is None:  # the producer sends no tombstones
                await producer._client.send(TOPIC_LIVE, value=None, key=sent.key or b"tombstone")
            else:
                await producer.send(sent.value, sent.key)
            if number % 500 == 0:
                await asyncio.sleep(0)


async def logged(kafka: str) -> Expected:
    expected = Expected()
    async for record in read_whole(kafka, TOPIC_LIVE):
        expected.take(record.partition, record.offset, record.key, record.value, record.received_at)
    return expected


def is_at_rest(kafka: str) -> bool:
    return all(reach.behind == 0 for reach in asyncio.run(reaches(kafka, TOPIC_LIVE)))


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


@contextmanager
def sampled(pid: int, samples: list[float]) -> Iterator[None]:
    """The process's memory, each half second."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            samples.append(memory_mb(pid))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def compare(client: Client, expected: Expected) -> None:
    found = {
        (partition, offset): (reason, raw if isinstance(raw, bytes) else raw.encode())
        for partition, offset, reason, raw in client.stream(
            f"SELECT partition, offset, reason, hex({DIGEST}) FROM dead_letters FINAL"
        )
    }
    assert found.keys() - expected.letters.keys() == set(), "events are dead letters"
    assert expected.letters.keys() - found.keys() == set(), "broken records are no dead letters"
    for place, (reasons, raw) in expected.letters.items():
        assert found[place] == (found[place][0], raw.hex().upper().encode()), f"{place} was not kept whole"
        assert found[place][0] in reasons, f"{place}: {found[place][0]}, not {reasons}"
    turns = set(client.stream("SELECT partition, offset FROM turns FINAL"))
    assert turns == expected.turns()
    edges = "site_id, bot_id, step, dialog, move, message, next_step, next_dialog"
    moves = {row[:-1]: row[-1] for row in client.stream(f"SELECT {edges}, count() FROM moves FINAL GROUP BY {edges}")}
    assert moves == expected.moves()
    assert client.rows("SELECT count() FROM rooms FINAL") == [(len(expected.rooms),)]


def test_the_dead_letters_are_exactly_the_broken_ones(fresh_settings: Settings) -> None:
    settings = fresh_settings.model_copy(update={"reorder_wait": timedelta(seconds=2)})
    print(f"seed {SEED}")
    make_topics(settings)
    migrate(settings)  # while there is nothing yet, the times that rooms hang on may change
    part = worker_part(settings, 1)
    process = part.start(settings.data)
    samples: list[float] = []
    begun = time.monotonic()
    try:
        with sampled(process.pid, samples):
            asyncio.run(send(settings.kafka, round(time.time() * 1000)))
            sent_s = time.monotonic() - begun
            until(lambda: is_at_rest(settings.kafka), 60 + EVENTS / 1000)
        expected = asyncio.run(logged(settings.kafka))
        with Client(settings.clickhouse) as client:
            compare(client, expected)
    finally:
        process.stop(part.stop_limit)
    report(expected, samples, sent_s)
    assert 0.4 < len(expected.letters) / EVENTS < 0.5
    if LONG:  # rooms come and go, but as many are open as at the beginning
        third = len(samples) // 3
        assert max(samples[-third:]) < 1.2 * max(samples[third:-third]), samples


def report(expected: Expected, samples: list[float], sent_s: float) -> None:
    reasons = Counter("/".join(sorted(reasons)) for reasons, _ in expected.letters.values())
    print(f"{EVENTS:,} records in {sent_s:.0f} s; {len(expected.letters):,} dead letters: {dict(reasons)}")
    print(f"{len(expected.turns()):,} turns of {len(expected.rooms):,} rooms, {expected.copies:,} copies")
    size = max(1, len(samples) // 10)
    tenths = [f"{max(samples[at : at + size]):.0f}" for at in range(0, len(samples), size)]
    print(f"worker's memory in each tenth of the time, MB: {', '.join(tenths)}")
