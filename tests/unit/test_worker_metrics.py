"""What the worker counts: each record once, a duplicate for what it is, a replay for what it is."""

from typing import Any

import pytest
from prometheus_client import REGISTRY

from journey.calendar import Calendar
from journey.errors import DeadLetter
from journey.events import Event, RoomKey, Tick
from stream import batch
from stream.poll import Poll
from tests.unit.histories import Record
from tests.unit.memory_tables import MemoryTables
from tests.unit.test_delivery import PLACE, worker

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
}


def counted() -> dict[str, float]:
    found = {}
    for name in ALL:
        metric, _, reason = name.partition(" ")
        labels = {"topic": PLACE[0]} | ({"reason": reason} if reason else {})
        found[name] = REGISTRY.get_sample_value(f"turnpath_worker_{metric}", labels) or 0
    return found


class Since:
    """What was counted since it was made."""

    def __init__(self) -> None:
        self._before = counted()

    def now(self) -> dict[str, float]:
        return {name: value - self._before[name] for name, value in counted().items()}


@pytest.mark.parametrize("size", [1, 3, 8])
def test_each_record_is_counted_once_for_what_it_is(size: int) -> None:
    since, batches = Since(), worker(MemoryTables(Calendar("UTC")), 100)
    for first in range(0, len(LOG), size):
        batches.run([Poll(*PLACE, LOG[first : first + size], len(LOG))])
    assert since.now() == ALL


@pytest.mark.parametrize("again", [0, 2, 5])
def test_what_is_read_again_after_a_rebalance_is_a_replay_and_no_duplicate(again: int) -> None:
    since, batches = Since(), worker(MemoryTables(Calendar("UTC")), 100)
    batches.run([Poll(*PLACE, LOG[:6], len(LOG))])
    batches.forget()
    batches.run([Poll(*PLACE, LOG[again:], len(LOG))])
    assert since.now() == ALL | {"replayed_records_total": 6 - again}


def test_what_is_not_written_is_not_counted() -> None:
    since, batches = Since(), worker(MemoryTables(Calendar("UTC")), 100)
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
