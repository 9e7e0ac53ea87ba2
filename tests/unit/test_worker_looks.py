"""A look for silent rooms finds those whose rows were on their way to `rooms` when it came (found by tests/faults)."""

import pytest

from journey.calendar import Calendar
from journey.events import Event, RoomKey
from stream import batch
from stream.poll import Poll
from stream.prepared import Prepared
from stream.silence import OVERLAP_MS
from stream.windows import Quiet
from tests.unit.histories import Record
from tests.unit.memory_tables import MemoryTables
from tests.unit.test_delivery import IDLE, PLACE, OneBehind, worker

T0 = 1_793_404_800_000
NOW = T0 + 10 * OVERLAP_MS + 2 * IDLE


@pytest.fixture(autouse=True)
def decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "decode_all", lambda poll: [record.sent for record in poll.records])


def look(batches: OneBehind, at: int, polls: list[Poll], end: int) -> Prepared | None:
    """What the worker does at `at`, and looks; the batch before is written after it, if it was not needed sooner."""
    prepared, behind = batches.prepare(polls, Quiet(at, {PLACE: end}, look=True)), batches.behind
    batches.behind = prepared
    if behind is not None and not behind.written.is_set():
        batches.write(behind)
    return prepared


@pytest.mark.parametrize("in_the_same_batch", [True, False])
def test_a_look_finds_rooms_whose_rows_are_on_their_way(in_the_same_batch: bool) -> None:
    """History, or events that were long on their way: silent already when they come."""
    tables = MemoryTables(Calendar("UTC"))
    batches = worker(tables, 100)
    look(batches, NOW, [], 0)  # the look at everything that comes with an assignment
    event = Event("turn", 1, T0, "x", "c", dialog="A")
    poll = Poll(*PLACE, [Record(0, T0, (RoomKey("s", "r"), event))], 1)
    if in_the_same_batch:
        look(batches, NOW + 10_000, [poll], 1)
    else:
        batches.step([poll])
        look(batches, NOW + 10_000, [], 1)
    found = [look(batches, NOW + seconds * 1000, [], 1) for seconds in (20, 30, 40)]
    assert any(prepared is not None and PLACE in prepared.ticks for prepared in found), "nothing will ever wake it"
