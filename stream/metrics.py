"""What a worker counts, as Prometheus' metrics; docs/monitoring.md says what each is good for.

Counted by batch, never by event. Counters begin with the process.
"""

import time
from collections import Counter as Counted
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict
from prometheus_client import Counter, Gauge, Histogram

from journey.events import REASONS, TOPIC_BOTS, TOPIC_IMPORT, TOPIC_LIVE, Tick
from stream.poll import Decoded, Place, Poll
from stream.rooms import Rooms

RECORDS = Counter("turnpath_worker_records", "Records taken in and written, each once.", ["topic"])
REPLAYED = Counter("turnpath_worker_replayed_records", "Records that this process took in once more.", ["topic"])
EVENTS = Counter("turnpath_worker_events", "New events written to turns, each once.", ["topic"])
RECEIVED = Counter("turnpath_worker_received_events", "Valid events, new ones or not, by type.", ["topic", "type"])
DUPLICATES = Counter("turnpath_worker_duplicates", "Events that had come before, at a lower offset.", ["topic"])
DEAD_LETTERS = Counter("turnpath_worker_dead_letters", "Records that break the contract.", ["topic", "reason"])
TICKS_READ = Counter("turnpath_worker_ticks_read", "Ticks among the records.", ["topic"])
TICKS = Counter("turnpath_worker_ticks_sent", "Ticks appended by this worker.")
MOVES = Counter("turnpath_worker_moves_written", "Rows written to moves, tombstones too.")
ROWS = Counter("turnpath_worker_rows_written", "Rows inserted; a batch that is done again counts again.", ["table"])
BATCHES = Counter("turnpath_worker_batches", "Batches written.")
STEP_S = Histogram(
    "turnpath_worker_step_seconds",
    "How long each step of a batch took.",
    ["step"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
VISIBLE_S = Histogram(
    "turnpath_worker_visible_seconds",
    "How long ago the broker had received the oldest live record of a partition's part of a batch, once it is written.",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)
READ_BACK = Counter("turnpath_worker_rooms_read_back", "Rooms whose events were read back from turns.")
RETRIES = Counter("turnpath_worker_retries", "Steps that were not done at the first try, by step.", ["step"])
STOOD_STILL = Counter("turnpath_worker_waiting_seconds", "Seconds that a step waited for a part, by step.", ["step"])
AWAY = Gauge("turnpath_worker_away", "1 while a step waits for a part that is away, by step.", ["step"])
COMMIT_FAILURES = Counter("turnpath_worker_commit_failures", "Commits that were refused or failed.")
REBALANCES = Counter("turnpath_worker_rebalances", "Assignments of partitions, the first one too.")
ROOMS = Gauge("turnpath_worker_rooms_in_memory", "Rooms in memory.")
WAITING = Gauge("turnpath_worker_waiting_events", "Events that wait for a predecessor.")
QUEUED = Gauge("turnpath_worker_queued_records", "Records that are taken from the broker and in no batch yet.")
PARTITIONS = Gauge("turnpath_worker_partitions", "Partitions that this worker owns.")
LAG = Gauge("turnpath_worker_lag_records", "Records of the log that are not taken in yet.", ["topic", "partition"])
REACHED = Gauge(
    "turnpath_worker_reached_timestamp_seconds",
    "Up to when all that the broker received is written (Unix time).",
    ["topic", "partition"],
)
LAST_BATCH = Gauge("turnpath_worker_last_batch_timestamp_seconds", "When the last batch was written (Unix time).")

# A counter that appears with its first dead letter shows no increase by it: it must have been 0 before.
for _topic in (TOPIC_LIVE, TOPIC_IMPORT, TOPIC_BOTS):
    for _reason in REASONS:
        DEAD_LETTERS.labels(_topic, _reason)

_mine: set[Place] = set()
_mine_lock = Lock()


class Tally(Struct):
    """What a partition's part of a batch adds to the counters once it is written.

    A record counts once in a process, however often it is read: `replayed` are those below the offset up to which
    this process has counted. A duplicate is an event whose room and seq stood at a lower offset of the topic, with
    the same content; a record that is read again, after a rebalance, is itself, and no duplicate. `oldest`: when the
    broker received the first record that counts (ms); None where none does.
    """

    topic: str
    records: int = 0
    replayed: int = 0
    events: int = 0
    duplicates: int = 0
    ticks: int = 0
    letters: Iterable[tuple[str, int]] = ()
    types: Iterable[tuple[str, int]] = ()
    oldest: int | None = None


def count(
    poll: Poll, decoded: list[Decoded], duplicates: list[int], letters: list[tuple[Any, ...]], mark: int
) -> Tally:
    """Count a poll from the offset `mark` on; `duplicates`: their offsets, `letters`: its rows for dead_letters."""
    replayed = 0 if poll.first >= mark else sum(record.offset < mark for record in poll.records)
    fresh = decoded[replayed:] if replayed else decoded
    kinds = [type(item) for item in fresh]
    types = Counted(item[1].type for item in fresh if type(item) is tuple)
    twice = sum(offset >= mark for offset in duplicates)
    reasons = Counted(row[5] for row in letters if row[2] >= mark)
    events = len(kinds) - kinds.count(Tick) - sum(reasons.values()) - twice
    oldest = poll.records[replayed].timestamp if fresh else None
    ticks = kinds.count(Tick)
    return Tally(poll.topic, len(kinds), replayed, events, twice, ticks, reasons.items(), types.items(), oldest)


def add(tallies: Iterable[Tally], output: Struct) -> None:
    """Add what a batch that is written brought: `output` has its rows by table."""
    now = time.time()
    for one in tallies:
        RECORDS.labels(one.topic).inc(one.records)
        EVENTS.labels(one.topic).inc(one.events)
        DUPLICATES.labels(one.topic).inc(one.duplicates)
        TICKS_READ.labels(one.topic).inc(one.ticks)
        REPLAYED.labels(one.topic).inc(one.replayed)
        for reason, number in one.letters:
            DEAD_LETTERS.labels(one.topic, reason).inc(number)
        for kind, number in one.types:
            RECEIVED.labels(one.topic, kind).inc(number)
        if one.oldest is not None and one.topic == TOPIC_LIVE:
            VISIBLE_S.observe(max(0.0, now - one.oldest / 1000))
    rows = asdict(output)
    for table, some in rows.items():
        ROWS.labels(table).inc(len(some))
    MOVES.inc(len(rows["moves"]))
    _reached(rows["progress"], now)
    BATCHES.inc()
    LAST_BATCH.set(now)


def _reached(progress: Iterable[tuple[Any, ...]], now: float) -> None:
    """At the log's end all is written up to now; before it, up to the partition's time."""
    with _mine_lock:
        for topic, partition, offset, at, log_end in progress:
            if (topic, partition) in _mine:
                REACHED.labels(topic, str(partition)).set(now if offset >= log_end else at / 1000)


def forget() -> None:
    """A new assignment: what is said of partitions was of others'. A batch under way says nothing of them any more."""
    with _mine_lock:
        _mine.clear()
        REACHED.clear()
    LAG.clear()


def held(partitions: Mapping[Place, Rooms]) -> None:
    """What is in memory just now."""
    ROOMS.set(sum(len(rooms.held) for rooms in partitions.values()))
    WAITING.set(sum(len(rooms.waits) for rooms in partitions.values()))
    with _mine_lock:
        _mine.update(partitions)


def behind(place: Place, records: int) -> None:
    """How many records of a partition's log are still to be taken in."""
    LAG.labels(place[0], str(place[1])).set(records)
