"""What a batch does, and in which order (DESIGN.md, Delivery 6 and 7). At least once: every step may happen again.

    prepare: read back the rooms not in memory -> fold
    write: turns, dead_letters -> moves -> rooms -> progress; then ack, commit

Each insert is synchronous and comes before the next, so that whoever finds a row finds what it came from. What is
written is a function of the log: a batch that is done again, here or by another worker, writes the same rows.
"""

from collections.abc import Callable, Iterable
from functools import partial
from threading import Event as Flag
from typing import Any, Protocol, TypeVar

import structlog
from msgspec import Struct
from msgspec.structs import astuple

from journey.calendar import Calendar
from journey.decode import decode_bot
from journey.errors import DeadLetter, Retry
from journey.events import TOPIC_BOTS, Entry, Event, RoomKey
from journey.room import Room, as_of
from sql.readback import Found, Silent
from sql.sink import Rows
from stream.changes import Changes
from stream.poll import Decoded, Place, Poll, dead_letter, decode_all, seqs
from stream.rooms import Rooms
from stream.windows import Quiet

log = structlog.get_logger()

T = TypeVar("T")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0

#: Silent rooms that are closed at a time; the next look finds the others.
AT_ONCE = 10_000


class Stopped(Exception):
    """The worker stops while a part does not answer: the batch is given up, and read again by whoever comes next."""


class Output(Struct):
    """The rows of a batch, by table; tuples as sql.sink names them."""

    turns: list[tuple[Any, ...]] = []
    dead_letters: list[tuple[Any, ...]] = []
    moves: list[tuple[Any, ...]] = []
    rooms: list[tuple[Any, ...]] = []
    bots: list[tuple[Any, ...]] = []
    progress: list[tuple[Any, ...]] = []


class Prepared(Struct, frozen=True):
    """A batch that is folded and not yet written, or being written.

    `limits`: of each partition, up to where it may be committed once this is written; `rooms`: those with rows in it;
    `ticks`: the partitions that need one, with their times (ms); `written`: set when it is.
    """

    output: Output
    limits: dict[Place, int]
    rooms: set[RoomKey]
    ticks: dict[Place, int]
    written: Flag


class Reads(Protocol):
    """What a batch must know first; sql.readback.Readback, or tables in memory."""

    def partition_time(self, topic: str, partition: int, offset: int) -> int: ...
    def known_rooms(self, keys: Iterable[RoomKey]) -> dict[RoomKey, set[str]]: ...
    def entries(self, keys: Iterable[RoomKey]) -> list[Found]: ...
    def silent_rooms(self, bound: int, most: int) -> list[Silent]: ...


class Writes(Protocol):
    """Where a batch goes; sql.sink.Sink, or tables in memory."""

    def turns(self, rows: Rows) -> None: ...
    def dead_letters(self, rows: Rows) -> None: ...
    def bots(self, rows: Rows) -> None: ...
    def moves(self, rows: Rows) -> None: ...
    def rooms(self, rows: Rows) -> None: ...
    def progress(self, rows: Rows) -> None: ...


class Batches:
    """Takes polls, and holds the rooms of each partition of one assignment.

    `prepare` is called by one thread, one call after the other; `write` by another, in the same order, one batch
    behind: so the engine inserts while the next batch is folded.

    `wait`, `idle`: REORDER_WAIT and ROOM_IDLE in ms; `rooms_in_memory`: over all partitions; `stopping`: set when the
    worker is to end.
    """

    def __init__(
        self,
        reads: Reads,
        writes: Writes,
        calendar: Calendar,
        *,
        wait: int,
        idle: int,
        rooms_in_memory: int,
        stopping: Flag,
    ) -> None:
        self._reads, self._writes, self._calendar = reads, writes, calendar
        self._wait, self._idle = wait, idle
        self._rooms_in_memory = rooms_in_memory
        self._stopping = stopping
        self._latest: Prepared | None = None
        self._silent: list[Silent] = []
        self.partitions: dict[Place, Rooms] = {}

    def forget(self) -> None:
        """A new assignment begins with empty memory: its polls start at what was committed."""
        self.partitions.clear()
        self._silent = []

    def run(self, polls: list[Poll]) -> dict[Place, int]:
        """Prepare and write; for each partition, up to where it may be committed."""
        prepared = self.prepare(polls)
        self.write(prepared)
        return prepared.limits

    def prepare(self, polls: list[Poll], quiet: Quiet | None = None) -> Prepared:
        """Fold what these polls bring, at most one a partition, and what time brings to partitions that are quiet.

        Raises Stopped, and whatever a retry cannot mend.
        """
        output = Output()
        turns = [poll for poll in polls if poll.topic != TOPIC_BOTS]
        decoded = {poll.place: decode_all(poll) for poll in turns}
        for poll in turns:
            self._open(poll.place, poll.first)
        self._read_back(turns, decoded)
        spoke = [self._fold(poll, decoded[poll.place], output) for poll in turns]
        for poll in polls:
            if poll.topic == TOPIC_BOTS:
                _take_bots(poll, output)
        limits = {poll.place: self._committable(poll) for poll in polls}
        closed, ticks = (set(), {}) if quiet is None else self._pass_quietly(quiet, output)
        self._latest = Prepared(output, limits, closed.union(*spoke), ticks, Flag())
        return self._latest

    def write(self, prepared: Prepared) -> None:
        """Insert what was prepared, table by table. Raises as `prepare` does."""
        output = prepared.output
        self._insist("turns", lambda: self._writes.turns(output.turns))
        self._insist("dead_letters", lambda: self._writes.dead_letters(output.dead_letters))
        self._insist("bots", lambda: self._writes.bots(output.bots))
        self._insist("moves", lambda: self._writes.moves(output.moves))
        self._insist("rooms", lambda: self._writes.rooms(output.rooms))
        self._insist("progress", lambda: self._writes.progress(output.progress))
        prepared.written.set()

    # -- what must be known first --------------------------------------------------------------------------------------
    def _open(self, place: Place, first: int) -> Rooms:
        """The partition's rooms: those in memory, or none yet where it begins, or begins again, at `first`."""
        rooms = self.partitions.get(place)
        if rooms is None or first < rooms.offset:
            time = self._insist("progress", partial(self._reads.partition_time, *place, first))
            rooms = Rooms(*place, offset=first, time=time, wait=self._wait, idle=self._idle)
            self.partitions[place] = rooms
        return rooms

    def _read_back(self, polls: list[Poll], decoded: dict[Place, list[Decoded]]) -> None:
        """One look-up for all partitions of the batch; of each, only what lies below its own first offset counts."""
        asked = {poll.place: self.partitions[poll.place].unknown(seqs(decoded[poll.place])) for poll in polls}
        keys = set().union(*asked.values())
        if not keys:
            return
        self._await_written(keys)
        topics = self._insist("read back rooms", lambda: self._reads.known_rooms(keys))
        found = self._insist("read back turns", lambda: self._reads.entries(topics))
        for poll in polls:
            mine = _by_room(found, poll.place, poll.first)
            elsewhere = {key: min(came) for key, came in topics.items() if poll.topic not in came}
            self.partitions[poll.place].restore(asked[poll.place], mine, elsewhere)

    def _await_written(self, keys: set[RoomKey]) -> None:
        """What the batch before brought of these rooms must be in `turns` before it is read back."""
        latest = self._latest
        if latest is not None and not keys.isdisjoint(latest.rooms):
            while not latest.written.wait(0.05):
                if self._stopping.is_set():
                    raise Stopped("the batch before was not written")

    # -- what time brings ----------------------------------------------------------------------------------------------
    def _pass_quietly(self, quiet: Quiet, output: Output) -> tuple[set[RoomKey], dict[Place, int]]:
        """Close the rooms that are idle by their partition's time; name the partitions whose time must be moved.

        Answers the rooms with rows, and the times (ms) of the ticks.
        """
        for place, end in quiet.ends.items():
            rooms = self.partitions.get(place) or self._open(place, end)
            output.progress.append((*place, rooms.offset, rooms.time, end))
        if quiet.look:
            latest = max([quiet.now, *(rooms.time for rooms in self.partitions.values())])
            look = partial(self._reads.silent_rooms, latest - self._idle, AT_ONCE)
            self._silent = self._insist("silent rooms", look)
        closed: set[RoomKey] = set()
        for place, rooms in self.partitions.items():
            closed |= self._close_idle(place, rooms, output)
        asleep = {silent.place for silent in self._silent if silent.last_at + self._idle <= quiet.now}
        due = (place for place in quiet.ends if place in asleep or self.partitions[place].is_due(quiet.now))
        return closed, {place: max(quiet.now, self.partitions[place].time) for place in due}

    def _close_idle(self, place: Place, rooms: Rooms, output: Output) -> set[RoomKey]:
        """What `rooms` says is open may have spoken since, or be closed: the memory knows, or what is read back."""
        mine = [s.key for s in self._silent if s.place == place and s.last_at + self._idle <= rooms.time]
        if not mine:
            return set()
        gone = {key for key in mine if key not in rooms.held}
        self._await_written(gone)  # they may have left the memory in this very batch
        found = self._insist("read back turns", partial(self._reads.entries, gone)) if gone else []
        rooms.restore(gone, _by_room(found, place, rooms.offset), {})
        changes = Changes(self._calendar, self._idle)
        rooms.close_idle(mine, changes)
        self._silent = [s for s in self._silent if s.key not in changes.touched]
        output.moves += changes.moves
        output.rooms += _room_rows(rooms, changes)
        rooms.let_go(gone)
        return set(changes.touched)

    # -- fold ----------------------------------------------------------------------------------------------------------
    def _fold(self, poll: Poll, decoded: list[Decoded], output: Output) -> set[RoomKey]:
        """Fold a partition's records, one by one; the rooms that spoke, or changed because time passed."""
        rooms = self.partitions[poll.place]
        changes = Changes(self._calendar, self._idle)
        spoke: set[RoomKey] = set()
        for record, item in zip(poll.records, decoded, strict=True):
            if record.timestamp > rooms.time:
                rooms.pass_time(record.timestamp, changes)
            if type(item) is tuple:
                spoke.add(item[0])
                self._receive(poll, record, item, rooms, changes, output)
            elif isinstance(item, DeadLetter):
                output.dead_letters.append(dead_letter(poll, record, item))
        rooms.reach(poll.next)
        output.moves += changes.moves
        output.rooms += _room_rows(rooms, changes)
        output.progress.append((*poll.place, poll.next, rooms.time, poll.log_end))
        spoke |= changes.touched.keys()
        rooms.forget(spoke, self._rooms_in_memory // len(self.partitions))
        return spoke

    def _receive(
        self, poll: Poll, record: Any, item: tuple[RoomKey, Event], rooms: Rooms, changes: Changes, output: Output
    ) -> None:
        key, event = item
        try:
            new = rooms.receive(key, Entry(event, record.offset, record.timestamp), changes)
        except DeadLetter as dead:
            output.dead_letters.append(dead_letter(poll, record, dead))
            return
        if new:
            place = (key.site_id, key.room_id, poll.topic, poll.partition, record.offset, record.timestamp)
            output.turns.append(place + astuple(event))

    def _committable(self, poll: Poll) -> int:
        rooms = self.partitions.get(poll.place)
        return poll.next if rooms is None else rooms.committable()

    def _insist(self, step: str, call: Callable[[], T]) -> T:
        """Do it until it is done: a part that is away stops the stream, and nothing is acked meanwhile."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                return call()
            except Retry as error:
                log.warning("retry", step=step, error=str(error), pause_s=pause)
            if self._stopping.wait(pause):
                raise Stopped(step)
            pause = min(2 * pause, LONGEST_PAUSE_S)


def _by_room(found: Iterable[Found], place: Place, below: int) -> dict[RoomKey, list[Entry]]:
    """What was read back of this topic, below this offset: what lies above is yet to come, here before or not."""
    rooms: dict[RoomKey, list[Entry]] = {}
    for item in found:
        if item.topic == place[0] and item.entry.offset < below:
            rooms.setdefault(item.key, []).append(item.entry)
    return rooms


def _take_bots(poll: Poll, output: Output) -> None:
    for record in poll.records:
        try:
            change, at = decode_bot(record.value, record.key, record.timestamp)
        except DeadLetter as dead:
            output.dead_letters.append(dead_letter(poll, record, dead))
            continue
        described = (change.name, change.in_use, change.channel or "", change.category or "")
        place = (at, record.timestamp, poll.partition, record.offset)
        output.bots.append((change.site_id, change.bot_id, *described, *place))
    output.progress.append((*poll.place, poll.next, max(0, poll.records[-1].timestamp), poll.log_end))


def _room_rows(rooms: Rooms, changes: Changes) -> list[tuple[Any, ...]]:
    """The rows for `rooms`: of each room that changed, as it was at the partition's time of its last change."""
    rows = []
    for key, opened_at, version in changes.left_days:
        room = rooms.held[key].room
        assert room is not None
        rows.append(_room_row(rooms, key, room, version, 1, opened_at))
    for key, at in changes.touched.items():
        room = rooms.held[key].room
        assert room is not None
        room = as_of(room, at, rooms.idle)
        version = 2 * room.folded + (room.closed_by == "timeout")
        rows.append(_room_row(rooms, key, room, version, 0, room.opened_at))
    return rows


def _room_row(rooms: Rooms, key: RoomKey, room: Room, version: int, is_deleted: int, opened_at: int) -> tuple[Any, ...]:
    return (
        key.site_id, key.room_id, rooms.topic, rooms.partition, version, is_deleted, room.bot_id, room.customer_id,
        opened_at, room.last_at, room.entered_at, room.ended_at, room.closed_by, room.phase, room.phase_since,
        room.ended_from, room.step, room.dialog, room.turns, room.errors, room.gaps, room.last_received_at,
    )  # fmt: skip
