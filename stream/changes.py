"""What a batch writes: each change of a room as the difference between two folds (DESIGN.md, Delivery 4 and 5).

Versions make the newest knowledge win, whoever writes it and in whatever order: parts 0 and 1 carry twice the
number of folded events up to their seq; part 9 twice the number of all folded events, one more for a row than
for its tombstone; `rooms` twice all, one more if closed by timeout.
"""

from collections.abc import Iterable
from typing import Any

from msgspec.structs import astuple

from journey.calendar import Calendar
from journey.events import Entry, RoomKey
from journey.fold import Folded, fold
from journey.room import TIMEOUT_PART, Room, Row, as_of
from journey.rules import step
from sql.edges import TimeoutEdge
from stream.counts import Change, edge_of

RowKey = tuple[str, Any, int, int]


class Changes:
    """The rows for `moves` and `rooms` of one batch of one partition, in the order in which they came about.

    `moves`: tuples (site_id, room_id, customer_id, version, is_deleted, *Row). `touched`: room -> the partition's
    time when it last changed: its row in `rooms` is what it was as of then. `left_days`: former rows of `rooms`,
    as (room, opened_at, version), now under another day. `counted`: rows of parts 0 and 1 that came or went, at the
    offset `offset` of the record that is being handled. `timeouts`: the edges, with their local days, of which rows of
    part 9 came or went: these are counted anew from the rows that stand.
    """

    def __init__(self, calendar: Calendar, idle: int) -> None:
        self.calendar, self.idle = calendar, idle
        self.moves: list[tuple[Any, ...]] = []
        self.touched: dict[RoomKey, int] = {}
        self.left_days: list[tuple[RoomKey, int, int]] = []
        self.counted: list[Change] = []
        self.timeouts: set[TimeoutEdge] = set()
        self.offset = -1

    def append(self, key: RoomKey, room: Room | None, entries: list[Entry], time: int) -> Room:
        """Fold entries that come after all that the room has; the room, changed."""
        before = self._timeout(room, time)
        if room is None:
            room = Room(entries[0])
        for entry in entries:
            for row in step(room, entry, self.idle):
                if row.part != TIMEOUT_PART:
                    self._write(key, room, row, 2 * room.folded, 0)
                    self._count(key, row, 1)
        self._timeouts(key, room, before, time)
        return room

    def refold(self, key: RoomKey, known: Iterable[Entry], late: Entry, time: int) -> Room:
        """Fold a room anew because `late` came after all, behind others; `known`: what was folded before."""
        entries = sorted([*known, late], key=_seq)
        before = fold([entry for entry in entries if entry is not late], self.idle)
        after = fold(entries, self.idle)
        assert before is not None
        assert after is not None
        self._write_difference(key, before, after, entries, late)
        if self.calendar.day(before.room.opened_at) != self.calendar.day(after.room.opened_at):
            self.left_days.append((key, before.room.opened_at, 2 * after.room.folded))
        self._timeouts(key, after.room, self._timeout(before.room, time), time)
        return after.room

    def idle_close(self, key: RoomKey, room: Room, time: int) -> None:
        """Nothing came, but time passed: write what rule 11 says of the room at `time`."""
        self._timeouts(key, room, None, time)

    def _write_difference(self, key: RoomKey, before: Folded, after: Folded, entries: list[Entry], late: Entry) -> None:
        count = {entry.event.seq: number for number, entry in enumerate(entries, 1)}
        old, new = self._by_key(before), self._by_key(after)
        same_customer = before.room.customer_id == after.room.customer_id
        for row_key, row in old.items():
            if row_key not in new:
                self._write(key, after.room, row, 2 * count[row.seq], 1)
        for row_key in old.keys() | new.keys():
            self._recount(key, old.get(row_key), new.get(row_key))
        for row_key, row in new.items():
            if not same_customer or old.get(row_key) != row or row.seq == late.event.seq:
                self._write(key, after.room, row, 2 * count[row.seq], 0)

    def _recount(self, key: RoomKey, old: Row | None, new: Row | None) -> None:
        if old != new:
            for row, sign in ((old, -1), (new, 1)):
                if row is not None:
                    self._count(key, row, sign)

    def _count(self, key: RoomKey, row: Row, sign: int) -> None:
        self.counted.append((self.offset, self.calendar.day(row.occurred_at), edge_of(key, row), sign))

    def _by_key(self, folded: Folded) -> dict[RowKey, Row]:
        return {self._row_key(row): row for row in folded.rows if row.part != TIMEOUT_PART}

    def _row_key(self, row: Row) -> RowKey:
        return (row.bot_id, self.calendar.day(row.occurred_at), row.seq, row.part)

    def _timeout(self, room: Room | None, time: int) -> Row | None:
        """The timeout's row of a room as of `time`; another worker may have written it, though this one did not."""
        if room is None or (room.timeout is None and time - room.last_at < self.idle):
            return None  # as nearly always: no need to look further
        return as_of(room, time, self.idle).timeout

    def _timeouts(self, key: RoomKey, room: Room, before: Row | None, time: int) -> None:
        now = self._timeout(room, time)
        if before is not None and before != now:
            # also where `moves` has both under one key: `timeouts`, sorted by edge, may have them under two
            self._write_timeout(key, room, before, 2 * room.folded, 1)
        if now is not None:
            self._write_timeout(key, room, now, 2 * room.folded + 1, 0)
        self.touched[key] = time

    def _write_timeout(self, key: RoomKey, room: Room, row: Row, version: int, is_deleted: int) -> None:
        self._write(key, room, row, version, is_deleted)
        self.timeouts.add((self.calendar.day(row.occurred_at), edge_of(key, row)))

    def _write(self, key: RoomKey, room: Room, row: Row, version: int, is_deleted: int) -> None:
        head = (key.site_id, key.room_id, room.customer_id, version, is_deleted)
        self.moves.append(head + astuple(row))


def _seq(entry: Entry) -> int:
    return entry.event.seq
