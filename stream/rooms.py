"""The rooms of one partition, in memory while they speak: which events are folded, which wait, which are known.

A room is a function of (R, P): its events among the records so far, and the partition's time (DESIGN.md, Delivery 2).
Held in memory is the fold of what is folded, and the entries that wait; the folded entries themselves are read
back from `turns` only for a batch that brings a seq which may be known already.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from itertools import islice

from journey.errors import DeadLetter
from journey.events import Entry, RoomKey
from journey.fold import fold
from journey.order import folded_until
from journey.room import CLOSED, Room
from stream.changes import Changes
from stream.windows import Waits


class Held:
    """A room in memory. `known`: its folded entries by seq, only for a batch that brings a seq which may be among them.

    `elsewhere`: the topic that the room came by first, if it is not this one.
    """

    __slots__ = ("elsewhere", "known", "room", "waiting")

    def __init__(self) -> None:
        self.room: Room | None = None
        self.waiting: dict[int, Entry] = {}
        self.known: dict[int, Entry] | None = None
        self.elsewhere: str | None = None

    @property
    def greatest(self) -> int:
        return 0 if self.room is None else self.room.greatest

    @property
    def latest(self) -> int:
        """The greatest seq that came: what waits may be folded before what comes next."""
        return max(self.waiting, default=self.greatest)


class Rooms:
    """The rooms of a partition, and its time: P, the greatest received_at of its records so far (ms).

    `offset`: the next to be read. Nothing here waits or asks: what must be read back is handed in (`restore`).
    """

    def __init__(self, topic: str, partition: int, *, offset: int, time: int, wait: int, idle: int) -> None:
        self.topic, self.partition = topic, partition
        self.offset, self.time = offset, time
        self.wait, self.idle = wait, idle
        self.held: dict[RoomKey, Held] = {}
        self.waits = Waits()
        self.duplicates: list[int] = []  # offsets of this batch's
        self._ended: set[RoomKey] = set()
        self._ends = deque([offset])  # ends of batches, the first may be committed

    # -- what a batch needs to know first ------------------------------------------------------------------------------
    def unknown(self, events: Iterable[tuple[RoomKey, int]]) -> dict[RoomKey, int]:
        """Which rooms of a batch, given as (room, seq) in the order of the log, must be read back before it.

        Those not in memory, with the first seq that comes of each; and, with 0, those with a seq that is not the
        greatest so far: it may be known.
        """
        greatest: dict[RoomKey, int] = {}
        asked: dict[RoomKey, int] = {}
        for key, seq in events:
            before = greatest.get(key)
            if before is None:
                held = self.held.get(key)
                if held is None:
                    asked[key] = seq
                    before = 0
                else:
                    before = held.latest
            if seq <= before:
                asked[key] = 0
            greatest[key] = max(before, seq)
        return asked

    def restore(
        self, asked: Mapping[RoomKey, int], found: Mapping[RoomKey, list[Entry]], elsewhere: Mapping[RoomKey, str]
    ) -> None:
        """Take in what was read back: of each room asked for, its entries below this batch's first offset.

        `asked`: as `unknown` gives it; `elsewhere`: the rooms among them that came by another topic.
        """
        for key, first in asked.items():
            # of two copies of a seq the one with the lower offset stands
            received = {entry.event.seq: entry for entry in sorted(found.get(key, ()), key=_offset, reverse=True)}
            held = self.held.get(key)
            if held is None:
                self._remember(key, first, received, elsewhere.get(key))
            else:
                held.known = {seq: entry for seq, entry in received.items() if seq <= held.greatest}

    def _remember(self, key: RoomKey, first: int, received: dict[int, Entry], elsewhere: str | None) -> None:
        held = self.held[key] = Held()
        held.elsewhere = elsewhere
        until = folded_until(received, self.time, self.wait)
        known = {seq: received[seq] for seq in sorted(received) if seq <= until}
        folded = fold(known.values(), self.idle)
        held.room = None if folded is None else folded.room
        for seq, entry in received.items():
            if seq > until:
                held.waiting[seq] = entry
                self.waits.add(entry, key, self.wait)
        if first <= held.latest:
            held.known = known

    # -- the records of a batch ----------------------------------------------------------------------------------------
    def pass_time(self, time: int, changes: Changes) -> None:
        """P has come to `time`: what has waited long enough is folded."""
        self.time = time
        due: dict[RoomKey, int] = {}
        for key, seq in self.waits.due(time):
            due[key] = max(seq, due.get(key, 0))
        for key, until in due.items():
            self._fold_until(key, self.held[key], until, changes)

    def receive(self, key: RoomKey, entry: Entry, changes: Changes) -> bool:
        """Take in the next record's event: False where it is a duplicate; raises DeadLetter for a conflict."""
        held, seq = self.held[key], entry.event.seq
        if held.elsewhere is not None:
            raise DeadLetter("other_topic", f"this room's events come by {held.elsewhere}")
        known = held.waiting.get(seq) or (held.known or {}).get(seq)
        if known is not None:
            return self._again(known, entry)
        if seq > held.greatest:
            self._wait_or_fold(key, held, entry, changes)
        else:
            assert held.known is not None  # `unknown` named this room
            held.room = changes.refold(key, held.known.values(), entry, self.time)
            held.known[seq] = entry
        return True

    def _again(self, known: Entry, entry: Entry) -> bool:
        if known.event != entry.event:
            raise DeadLetter("conflict", f"seq {entry.event.seq} came with other content at offset {known.offset}")
        self.duplicates.append(entry.offset)
        return False

    def _wait_or_fold(self, key: RoomKey, held: Held, entry: Entry, changes: Changes) -> None:
        seq = entry.event.seq
        if seq == held.greatest + 1 and not held.waiting:
            self._fold(key, held, [entry], changes)
            return
        held.waiting[seq] = entry
        if seq == held.greatest + 1 or entry.received_at <= self.time - self.wait:
            self._fold_until(key, held, seq, changes)
        else:
            self.waits.add(entry, key, self.wait)  # no other can be ready: what was due has been folded

    def _fold_until(self, key: RoomKey, held: Held, until: int, changes: Changes) -> None:
        """Fold the waiting entries up to the seq `until`, which is one of them, and what follows on."""
        while until + 1 in held.waiting:
            until += 1
        span = range(held.greatest + 1, until + 1)
        seqs = span if len(span) <= len(held.waiting) else sorted(held.waiting)  # few wait, with large holes
        entries = [held.waiting.pop(seq) for seq in seqs if seq <= until and seq in held.waiting]
        self._fold(key, held, entries, changes)
        self.waits.settled(entries)

    def _fold(self, key: RoomKey, held: Held, entries: list[Entry], changes: Changes) -> None:
        held.room = changes.append(key, held.room, entries, self.time)
        if held.known is not None:
            for entry in entries:
                held.known[entry.event.seq] = entry

    def close_idle(self, keys: Iterable[RoomKey], changes: Changes) -> None:
        """Rule 11 as of the partition's time, for rooms in memory: written where it applies."""
        for key in keys:
            room = self.held[key].room
            if room is not None and room.is_idle(self.time, self.idle):
                changes.idle_close(key, room, self.time)

    def first_due(self) -> int | None:
        """By when the next event has waited long enough (ms); None where none waits."""
        return self.waits.first_due()

    # -- after a batch -------------------------------------------------------------------------------------------------
    def reach(self, offset: int) -> None:
        """All before this offset was taken in, and a batch ends here."""
        self.offset = offset
        self._ends.append(offset)

    def committable(self) -> int:
        """The last end of a batch before which nothing waits.

        Only there `progress` has the partition's time; whoever begins elsewhere begins with a time of long ago.
        """
        waiting = self.waits.first_offset()
        while len(self._ends) > 1 and (waiting is None or self._ends[1] <= waiting):
            self._ends.popleft()
        return self._ends[0]

    def forget(self, spoke: Collection[RoomKey], limit: int) -> None:
        """Drop what only the batch needed; keep some `limit` rooms, those that spoke last, and all that wait.

        A room that has ended leaves with the next batch. Those of this batch (`spoke`) stay in any case: their rows
        are not in `turns` and `rooms` yet.
        """
        for key in self._ended.difference(spoke):
            self.held.pop(key, None)
        self._ended.clear()
        for key in spoke:
            held = self.held.pop(key)
            held.known = None
            self.held[key] = held
            if held.room is not None and held.room.phase == CLOSED and not held.waiting:
                self._ended.add(key)
        surplus = len(self.held) - limit
        if surplus > 0:
            quiet = (key for key, held in self.held.items() if not held.waiting and key not in spoke)
            for key in list(islice(quiet, surplus)):
                del self.held[key]

    def let_go(self, keys: Iterable[RoomKey]) -> None:
        """Drop rooms that were read back only to be closed: where many fell silent, they would fill the memory."""
        for key in keys:
            if not self.held[key].waiting:
                del self.held[key]


def _offset(entry: Entry) -> int:
    return entry.offset
