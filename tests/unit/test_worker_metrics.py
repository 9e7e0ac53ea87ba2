"""What the worker counts: each record once, a duplicate for what it is, a replay for what it is."""

import time
from threading import Event as Flag
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from journey.calendar import Calendar
from journey.errors import DeadLetter
from journey.events import Event, RoomKey, Tick
from stream import batch, metrics
from stream.agents import Writer
from stream.outages import Outages
from stream.poll import Poll
from stream.windows import Quiet
from tests.counted import Since, value
from tests.unit.histories import Record
from tests.unit.memory_tables import MemoryTables
from tests.unit.test_delivery import PLACE, worker
from tests.unit.test_writer import Consumer, consumer, poll, writer

__all__ = ["Consumer", "consumer", "writer"]

T0 = 1_793_404_800_000
KEY = RoomKey("s", "r")


@pytest.fixture(autouse=True)
def decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "decode_all", lambda poll: [record.sent for record in poll.records])


def turn(seq: int, dialog: str = "A") -> tuple[RoomKey, Event]:
    return KEY, Event("turn", seq, T0, "x", "c", dialog=dialog)


SENT: list[Any] = [
    turn(1),
    turn(2),
    turn(1),  # a duplicate
    turn(2, "B"),  # a conflict
    DeadLetter("not_json", ""),
    Tick(),
    turn(2),  # a duplicate
    turn(3),
]
LOG = [Record(offset, T0 + offset, sent) for offset, sent in enumerate(SENT)]
ALL = {
    "records_total": 8,
    "events_total": 3,
    "duplicates_total": 2,
    "ticks_read_total": 1,
    "dead_letters_total conflict": 1,
    "dead_letters_total not_json": 1,
    "replayed_records_total": 0,
    "received_events_total turn": 6,
}


def counted() -> dict[str, float]:
    found = {}
    for name in ALL:
        metric, _, reason = name.partition(" ")
        labels = {"topic": PLACE[0]}
        labels |= {"type" if metric == "received_events_total" else "reason": reason} if reason else {}
        found[name] = REGISTRY.get_sample_value(f"turnpath_worker_{metric}", labels) or 0
    return found


class AllSince:
    """What was counted since it was made."""

    def __init__(self) -> None:
        self._before = counted()

    def now(self) -> dict[str, float]:
        return {name: value - self._before[name] for name, value in counted().items()}


@pytest.mark.parametrize("size", [1, 3, 8])
def test_each_record_is_counted_once_for_what_it_is(size: int) -> None:
    since, batches = AllSince(), worker(MemoryTables(Calendar("UTC")), 100)
    for first in range(0, len(LOG), size):
        batches.run([Poll(*PLACE, LOG[first : first + size], len(LOG))])
    assert since.now() == ALL


@pytest.mark.parametrize("again", [0, 2, 5])
def test_what_is_read_again_after_a_rebalance_is_a_replay_and_no_duplicate(again: int) -> None:
    since, batches = AllSince(), worker(MemoryTables(Calendar("UTC")), 100)
    batches.run([Poll(*PLACE, LOG[:6], len(LOG))])
    batches.forget()
    batches.run([Poll(*PLACE, LOG[again:], len(LOG))])
    assert since.now() == ALL | {"replayed_records_total": 6 - again}


def test_what_is_not_written_is_not_counted() -> None:
    since, batches = AllSince(), worker(MemoryTables(Calendar("UTC")), 100)
    prepared = batches.prepare([Poll(*PLACE, LOG, len(LOG))])
    assert not any(since.now().values())
    batches.write(prepared)
    assert since.now() == ALL


def test_rooms_in_memory_waiting_events_and_lag_are_as_they_are() -> None:
    batches = worker(MemoryTables(Calendar("UTC")), 100)
    far = (RoomKey("s", "far"), Event("turn", 5, T0, "x", "c", dialog="A"))
    batches.run([Poll(*PLACE, [*LOG, Record(8, T0 + 8, far)], 20)])
    value = REGISTRY.get_sample_value
    assert value("turnpath_worker_rooms_in_memory") == 2
    assert value("turnpath_worker_waiting_events") == 1
    place = {"topic": PLACE[0], "partition": str(PLACE[1])}
    assert value("turnpath_worker_lag_records", place) == 11
    batches.forget()
    assert value("turnpath_worker_lag_records", place) is None


def test_what_is_written_was_received_so_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "time", SimpleNamespace(time=lambda: T0 / 1000 + 20))
    seconds = Since("turnpath_worker_visible_seconds_sum")
    batches = worker(MemoryTables(Calendar("UTC")), 100)
    batches.run([Poll(*PLACE, [Record(0, T0, SENT[0]), Record(1, T0 + 15_000, SENT[1])], 2)])
    assert seconds.grown == 20
    batches.forget()
    batches.run([Poll(*PLACE, [Record(1, T0 + 15_000, SENT[1])], 2)])
    assert seconds.grown == 20, "what is read again was seen before"


REACHED = "turnpath_worker_reached_timestamp_seconds"


def test_a_partition_has_reached_its_records_time_and_at_its_end_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "time", SimpleNamespace(time=lambda: 2e9))
    place = {"topic": PLACE[0], "partition": str(PLACE[1])}
    batches = worker(MemoryTables(Calendar("UTC")), 100)
    batches.run([Poll(*PLACE, LOG[:4], len(LOG))])
    assert value(REACHED, **place) == (T0 + 3) / 1000
    batches.run([Poll(*PLACE, LOG[4:], len(LOG))])
    assert value(REACHED, **place) == 2e9
    monkeypatch.setattr(metrics, "time", SimpleNamespace(time=lambda: 2e9 + 1))
    batches.write(batches.prepare([], Quiet(T0, {PLACE: len(LOG)}, look=False)))
    assert value(REACHED, **place) == 2e9 + 1, "also when nothing arrives"


def test_of_partitions_that_others_own_now_nothing_is_said() -> None:
    batches = worker(MemoryTables(Calendar("UTC")), 100)
    prepared = batches.prepare([Poll(*PLACE, LOG, len(LOG))])
    batches.forget()
    batches.write(prepared)  # it was under way
    assert REGISTRY.get_sample_value(REACHED, {"topic": PLACE[0], "partition": str(PLACE[1])}) is None


def test_a_batch_is_timed_as_a_whole_and_by_step() -> None:
    named = ("prepare", "write rows", "write counts", "moves")
    steps = {step: Since("turnpath_worker_step_seconds_count", step=step) for step in named}
    batches = worker(MemoryTables(Calendar("UTC")), 100)
    batches.run([Poll(*PLACE, LOG, len(LOG))])
    assert {step: since.grown for step, since in steps.items()} == dict.fromkeys(steps, 1)


def test_time_since_the_last_progress_counts_from_a_quiet_second_too() -> None:
    begun = time.time()
    batches = worker(MemoryTables(Calendar("UTC")), 100)
    written = Since("turnpath_worker_batches_total")
    batches.write(batches.prepare([], Quiet(T0, {PLACE: 5}, look=False)))
    assert written.grown == 1
    assert value("turnpath_worker_last_batch_timestamp_seconds") >= begun


async def test_what_is_taken_from_the_broker_and_in_no_batch_is_queued(writer: Writer) -> None:
    await writer.put(poll(70, 1))
    assert value("turnpath_worker_queued_records") == 70
    await writer._take()
    assert value("turnpath_worker_queued_records") == 0


def test_a_part_that_is_away_is_named_until_it_is_back() -> None:
    outages, stands_still = Outages(Flag()), Since("turnpath_worker_retries_total", step="turns")
    outages.failed("turns", "ClickHouse is away")
    assert value("turnpath_worker_away", step="turns") == 1
    outages.over("turns")
    assert value("turnpath_worker_away", step="turns") == 0
    assert stands_still.grown == 1


def test_rows_count_by_table_and_those_of_a_batch_that_is_done_again_too() -> None:
    rows = {table: Since("turnpath_worker_rows_written_total", table=table) for table in ("turns", "dead_letters")}
    moves = [Since("turnpath_worker_moves_written_total"), Since("turnpath_worker_rows_written_total", table="moves")]
    batches = worker(MemoryTables(Calendar("UTC")), 100)
    for _ in range(2):
        batches.run([Poll(*PLACE, LOG, len(LOG))])
        batches.forget()
    assert {table: since.grown for table, since in rows.items()} == {"turns": 6, "dead_letters": 4}
    assert moves[0].grown == moves[1].grown > 0


def test_a_room_that_is_not_in_memory_is_read_back() -> None:
    batches, rooms = worker(MemoryTables(Calendar("UTC")), 100), Since("turnpath_worker_rooms_read_back_total")
    batches.run([Poll(*PLACE, LOG[:2], len(LOG))])
    assert rooms.grown == 0
    batches.forget()
    batches.run([Poll(*PLACE, LOG[2:], len(LOG))])
    assert rooms.grown == 1


class App:
    """Of the worker's app, the group: three partitions, and a broker that refuses commits."""

    def __init__(self) -> None:
        self.consumer_generation_id = 1
        self.consumer = self

    def assignment(self) -> set[int]:
        return {0, 1, 2}

    async def commit(self) -> None:
        raise ConnectionError("a rebalance is under way")


async def test_the_group_is_counted() -> None:
    app: Any = App()
    dealt, refused = Since("turnpath_worker_rebalances_total"), Since("turnpath_worker_commit_failures_total")
    writer = Writer(app, worker(MemoryTables(Calendar("UTC")), 100), lambda: 0, lambda _: None, Flag())
    for generation in (1, 1, 2):
        app.consumer_generation_id = generation
        writer._current([])
    await writer._commit({})
    assert (dealt.grown, refused.grown, value("turnpath_worker_partitions")) == (2, 1, 3)
