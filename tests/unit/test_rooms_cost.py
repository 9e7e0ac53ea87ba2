"""What a room costs whose events come in an odd order: how often its waiting entries are looked at, counted."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from journey.calendar import Calendar
from journey.events import TOPIC_LIVE, Entry, Event, RoomKey
from stream.changes import Changes
from stream.rooms import Held, Rooms
from tests.unit.histories import T0

WAIT, IDLE = 30_000, 86_400_000
KEY = RoomKey("s", "r")
EVENTS = 2_000

#: An entry comes in, is looked for, found ready, taken out.
LOOKS = 10


class Counted(dict[int, Entry]):
    """The entries that wait; `looks`: how many were looked at so far, those of a walk through all included."""

    looks = 0

    def __contains__(self, seq: object) -> bool:
        self.looks += 1
        return super().__contains__(seq)

    def get(self, seq: int, default: Any = None) -> Any:
        self.looks += 1
        return super().get(seq, default)

    def __iter__(self) -> Iterator[int]:
        self.looks += len(self)
        return super().__iter__()

    def items(self) -> Any:
        self.looks += len(self)
        return super().items()

    def values(self) -> Any:
        self.looks += len(self)
        return super().values()


def received(seqs: Iterable[int], apart: int) -> tuple[Held, Counted]:
    """One room whose events come in this order, so many ms apart, and then silence until none waits."""
    rooms, changes = Rooms(TOPIC_LIVE, 0, offset=0, time=0, wait=WAIT, idle=IDLE), Changes(Calendar("UTC"), IDLE)
    held = rooms.held[KEY] = Held()
    held.waiting = waiting = Counted()
    for offset, seq in enumerate(seqs):
        at = T0 + apart * offset
        rooms.pass_time(at, changes)
        rooms.receive(KEY, Entry(Event("turn", seq, T0, "x", "c", dialog="A"), offset, at), changes)
    for at in range(rooms.time, rooms.time + WAIT + 1):
        rooms.pass_time(at, changes)
    assert rooms.first_due() is None
    assert not held.waiting
    return held, waiting


@pytest.mark.parametrize(
    "seqs, apart",
    [
        pytest.param(range(EVENTS, 0, -1), 1, id="in reverse order"),
        pytest.param(range(2, 2 * EVENTS + 1, 2), 1, id="every second is missing, each due at its own time"),
        pytest.param([*range(2, EVENTS + 1), 1], 1, id="the first comes last"),
        pytest.param(range(EVENTS, 0, -1), 0, id="all at once in reverse order"),
    ],
)
def test_it_grows_with_the_events_and_not_with_their_square(seqs: Iterable[int], apart: int) -> None:
    held, waiting = received(seqs, apart)
    assert held.room is not None
    assert held.room.folded == EVENTS
    assert waiting.looks < LOOKS * EVENTS


def test_few_events_with_large_holes_are_found_without_counting_through_the_holes() -> None:
    """A seq may be anything below 2^31."""
    held, waiting = received([2**30, 2**31 - 1], 1000)
    assert held.room is not None
    assert (held.room.folded, held.room.gaps) == (2, 2**31 - 3)
    assert waiting.looks < 100
