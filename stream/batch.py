"""What a batch does, and in which order (DESIGN.md, Delivery 6 and 7). At least once: every step may happen again.

    read back the rooms not in memory -> fold -> turns, dead_letters -> moves -> rooms -> progress -> ack -> commit

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
from journey.decode import decode, decode_bot
from journey.errors import DeadLetter, Retry
from journey.events import TOPIC_BOTS, Entry, Event, RoomKey, Tick
from journey.room import Room, as_of
from sql.readback import Found
from sql.sink import Rows
from stream.changes import Changes
from stream.rooms import Rooms

log = structlog.get_logger()

T = TypeVar("T")
Place = tuple[str, int]
Decoded = tuple[RoomKey, Event] | Tick | DeadLetter

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0


class Poll(Struct, frozen=True):
    """A partition's poll: aiokafka records in the order of offsets; `log_end`: the offset after the log's last."""

    topic: str
    partition: int
    records: list[Any]
    log_end: int

    @property
    def place(self) -> Place:
        return self.topic, self.partition

    @property
    def first(self) -> int:
        offset: int = self.records[0].offset
        return offset

    @property
    def next(self) -> int:
        offset: int = self.records[-1].offset + 1
        return offset


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


class Reads(Protocol):
    """What a batch must know first; sql.readback.Readback, or tables in memory."""

    def partition_time(self, topic: str, partition: int, offset: int) -> int: ...
    def known_rooms(self, keys: Iterable[RoomKey]) -> dict[RoomKey, set[str]]: ...
    def entries(self, keys: Iterable[RoomKey]) -> list[Found]: ...


class Writes(Protocol):
    """Where a batch goes; sql.sink.Sink, or tables in memory."""

    def turns(self, rows: Rows) -> None: ...
    def dead_letters(self, rows: Rows) -> None: ...
    def bots(self, rows: Rows) -> None: ...
    def moves(self, rows: Rows) -> None: ...
    def rooms(self, rows: Rows) -> None: ...
    def progress(self, rows: Rows) -> None: ...


class Batches:
    """Takes polls, one call after the other, in one thread; holds the rooms of each partition of one assignment.

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
        self.partitions: dict[Place, Rooms] = {}

    def forget(self) -> None:
        """A new assignment begins with empty memory: its polls start at what was committed."""
        self.partitions.clear()

    def run(self, polls: list[Poll]) -> dict[Place, int]:
        """Write what these polls bring (at most one a partition); for each partition, up to where it may be committed.

        Raises Stopped, and whatever a retry cannot mend.
        """
        output = Output()
        turns = [poll for poll in polls if poll.topic != TOPIC_BOTS]
        decoded = {poll.place: _decode_all(poll) for poll in turns}
        self._open(turns)
        self._read_back(turns, decoded)
        for poll in turns:
            self._fold(poll, decoded[poll.place], output)
        for poll in polls:
            if poll.topic == TOPIC_BOTS:
                _take_bots(poll, output)
        self._write(output)
        return {poll.place: self._committable(poll) for poll in polls}

    # -- what must be known first --------------------------------------------------------------------------------------
    def _open(self, polls: list[Poll]) -> None:
        for poll in polls:
            rooms = self.partitions.get(poll.place)
            if rooms is None or poll.first < rooms.offset:
                place = poll.place
                known = self._insist("progress", partial(self._partition_time, poll))
                self.partitions[place] = Rooms(*place, offset=poll.first, time=known, wait=self._wait, idle=self._idle)

    def _partition_time(self, poll: Poll) -> int:
        return self._reads.partition_time(poll.topic, poll.partition, poll.first)

    def _read_back(self, polls: list[Poll], decoded: dict[Place, list[Decoded]]) -> None:
        """One look-up for all partitions of the batch; of each, only what lies below its own first offset counts."""
        asked = {poll.place: self.partitions[poll.place].unknown(_seqs(decoded[poll.place])) for poll in polls}
        keys = set().union(*asked.values())
        if not keys:
            return
        topics = self._insist("read back rooms", lambda: self._reads.known_rooms(keys))
        found = self._insist("read back turns", lambda: self._reads.entries(topics))
        for poll in polls:
            mine: dict[RoomKey, list[Entry]] = {}
            for item in found:
                if item.topic == poll.topic and item.entry.offset < poll.first:
                    mine.setdefault(item.key, []).append(item.entry)
            elsewhere = {key: min(came) for key, came in topics.items() if poll.topic not in came}
            self.partitions[poll.place].restore(asked[poll.place], mine, elsewhere)

    # -- fold ----------------------------------------------------------------------------------------------------------
    def _fold(self, poll: Poll, decoded: list[Decoded], output: Output) -> None:
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
                output.dead_letters.append(_dead_letter(poll, record, item))
        rooms.offset = poll.next
        output.moves += changes.moves
        output.rooms += _room_rows(rooms, changes)
        output.progress.append((*poll.place, poll.next, rooms.time, poll.log_end))
        rooms.forget(spoke, self._rooms_in_memory // len(self.partitions))

    def _receive(
        self, poll: Poll, record: Any, item: tuple[RoomKey, Event], rooms: Rooms, changes: Changes, output: Output
    ) -> None:
        key, event = item
        try:
            new = rooms.receive(key, Entry(event, record.offset, record.timestamp), changes)
        except DeadLetter as dead:
            output.dead_letters.append(_dead_letter(poll, record, dead))
            return
        if new:
            place = (key.site_id, key.room_id, poll.topic, poll.partition, record.offset, record.timestamp)
            output.turns.append(place + astuple(event))

    # -- write ---------------------------------------------------------------------------------------------------------
    def _write(self, output: Output) -> None:
        self._insist("turns", lambda: self._writes.turns(output.turns))
        self._insist("dead_letters", lambda: self._writes.dead_letters(output.dead_letters))
        self._insist("bots", lambda: self._writes.bots(output.bots))
        self._insist("moves", lambda: self._writes.moves(output.moves))
        self._insist("rooms", lambda: self._writes.rooms(output.rooms))
        self._insist("progress", lambda: self._writes.progress(output.progress))

    def _committable(self, poll: Poll) -> int:
        rooms = self.partitions.get(poll.place)
        waiting = None if rooms is None else rooms.first_waiting()
        return poll.next if waiting is None else waiting

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


def _decode_all(poll: Poll) -> list[Decoded]:
    decoded: list[Decoded] = []
    for record in poll.records:
        try:
            decoded.append(decode(record.value, record.key, record.timestamp))
        except DeadLetter as dead:
            decoded.append(dead)
    return decoded


def _seqs(decoded: Iterable[Decoded]) -> Iterable[tuple[RoomKey, int]]:
    return ((item[0], item[1].seq) for item in decoded if type(item) is tuple)


def _take_bots(poll: Poll, output: Output) -> None:
    for record in poll.records:
        try:
            change, at = decode_bot(record.value, record.key, record.timestamp)
        except DeadLetter as dead:
            output.dead_letters.append(_dead_letter(poll, record, dead))
            continue
        described = (change.name, change.in_use, change.channel or "", change.category or "")
        place = (at, record.timestamp, poll.partition, record.offset)
        output.bots.append((change.site_id, change.bot_id, *described, *place))
    output.progress.append((*poll.place, poll.next, max(0, poll.records[-1].timestamp), poll.log_end))


def _dead_letter(poll: Poll, record: Any, dead: DeadLetter) -> tuple[Any, ...]:
    return (*poll.place, record.offset, record.key, record.value, dead.reason, dead.detail, max(0, record.timestamp))


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
