"""Rooms that no event wakes: which open rooms the table `rooms` says have been silent for long (DESIGN.md, Delivery 9).

A look brings the rooms whose last event lies between the look before and this one. All of `rooms` is looked through
only after a new assignment, every few minutes, where a look did not bring all, and where this worker has meanwhile
written a room that was silent already when it looked (imported history, events that were long on their way).
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Protocol

from journey.events import RoomKey
from journey.room import CLOSED
from sql.readback import Silent
from sql.sink import ROOMS
from stream.poll import Place

#: Silent rooms of a partition that a look brings at most: an import with a million of them keeps no other waiting.
MOST = 2_000

#: All of `rooms` is looked through again after this time (ms of the worker's clock).
WHOLE_MS = 300_000

#: Looks overlap by this much (ms), for rooms whose rows were still on their way at the look before.
OVERLAP_MS = 60_000

_LAST_AT, _PHASE = ROOMS.index("last_at"), ROOMS.index("phase")


class Looks(Protocol):
    """sql.readback.Readback, or tables in memory."""

    def silent_rooms(self, since: int, bound: int, most: int) -> list[Silent]: ...


class Silence:
    """What the looks brought and nobody has closed yet; times are ms."""

    def __init__(self, idle: int) -> None:
        """`idle`: ROOM_IDLE in ms."""
        self._idle = idle
        self.forget()

    def forget(self) -> None:
        """A new assignment: its rooms were others'."""
        self._rooms: dict[Place, dict[RoomKey, Silent]] = {}
        self._since = 0
        self._whole_at: int | None = None

    def look(self, reads: Looks, now: int, time: int) -> None:
        """Find the rooms that have been silent for `idle` at `time`; `now`: this worker's clock.

        Raises what `reads` raises; nothing is changed then.
        """
        whole = self._whole_at is None or abs(now - self._whole_at) >= WHOLE_MS
        since, bound = 0 if whole else self._since, time - self._idle
        found: defaultdict[Place, dict[RoomKey, Silent]] = defaultdict(dict)
        for silent in reads.silent_rooms(since, bound, MOST):
            found[silent.place][silent.key] = silent
        if since == 0:
            self._rooms, self._whole_at = {}, now
        for place, rooms in found.items():
            self._rooms.setdefault(place, {}).update(rooms)
        is_cut = any(len(rooms) >= MOST for rooms in found.values())
        self._since = 0 if is_cut else max(0, bound - OVERLAP_MS)

    def note(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """These rows for `rooms` are being written: the next look shall find those that lie behind it."""
        since = self._since
        if since and any(row[_LAST_AT] <= since and row[_PHASE] != CLOSED for row in rows):
            self._since = 0

    def due(self, place: Place, time: int) -> list[RoomKey]:
        """The partition's rooms that are idle at its time `time`; they are handed out once."""
        rooms = self._rooms.get(place)
        if not rooms:
            return []
        due = [silent.key for silent in rooms.values() if silent.last_at + self._idle <= time]
        for key in due:
            del rooms[key]
        return due

    def first_due(self, place: Place) -> int | None:
        """By when the next of the partition's rooms is idle; None where none is known."""
        rooms = self._rooms.get(place)
        return min(silent.last_at for silent in rooms.values()) + self._idle if rooms else None
