"""A room is the fold of its events in the order of `seq`."""

from collections.abc import Iterable

from msgspec import Struct

from journey.events import Entry
from journey.room import Room, Row, as_of
from journey.rules import step


class Folded(Struct, frozen=True):
    """The rows of a room and its state; both as of the `now` of the fold."""

    rows: list[Row]
    room: Room


def fold(entries: Iterable[Entry], idle: int, now: int | None = None) -> Folded | None:
    """Fold entries, given in the order of seq, each seq once; None where there are none.

    `idle`: ms after which a silent room is closed; `now`: ms, closes a room that has been silent until then
    (None: only a later event closes it).
    """
    rows: list[Row] = []
    room: Room | None = None
    for entry in entries:
        if room is None:
            room = Room(entry)
        rows += step(room, entry, idle)
    if room is None:
        return None
    closed = as_of(room, now, idle)
    if closed is not room and closed.timeout is not None:
        rows.append(closed.timeout)
    return Folded(rows, closed)
