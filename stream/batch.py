"""What a batch does, and in which order (DESIGN.md, Delivery 6 and 7). At least once: every step may happen again.

    prepare: read back the rooms not in memory -> fold -> count, reading back the counts not in memory
    write rows: turns, dead_letters -> moves -> timeouts -> rooms
    write counts: edge_counts, edge_totals -> progress; then ack, commit

Each insert is synchronous and comes before the next, so that whoever finds a row finds what it came from. What is
written is a function of the log: a batch that is done again, here or by another worker, writes the same rows.
"""

from collections.abc import Collection, Iterable, Mapping
from functools import partial
from threading import Event as Flag
from typing import Any, Protocol

from msgspec.structs import astuple

from journey.calendar import Calendar
from journey.decode import DAY, YEAR_2149, decode_bot
from journey.errors import DeadLetter
from journey.events import TOPIC_BOTS, TOPIC_IMPORT, Entry, Event, RoomKey, Tick
from journey.room import Room, as_of
from sql.edges import Edge, TimeoutEdge
from sql.readback import Found, PlaceDay, Silent
from sql.sink import Rows
from stream import metrics
from stream.changes import Changes
from stream.counts import MOST_EDGES, Change, Counts
from stream.outages import Outages, Stopped
from stream.poll import Decoded, Place, Poll, dead_letter, decode_all, seqs, shown
from stream.prepared import Output, Prepared
from stream.rooms import Rooms
from stream.silence import Silence
from stream.windows import Quiet, Ticks

#: So many rooms are read back at a time: their entries are in memory only until they are folded.
READ_AT_ONCE = 5_000

#: Of a room that is read back only to be closed; above every seq.
NOTHING_COMES = 2**31


class Reads(Protocol):
    """What a batch must know first; sql.readback.Readback, or tables in memory."""

    def partition_time(self, topic: str, partition: int, offset: int) -> int: ...
    def known_rooms(self, keys: Iterable[RoomKey]) -> dict[RoomKey, set[str]]: ...
    def entries(self, keys: Iterable[RoomKey]) -> list[Found]: ...
    def silent_rooms(self, since: int, bound: int, most: int) -> list[Silent]: ...
    def counts(self, asked: Iterable[PlaceDay], most: int) -> Rows: ...
    def edges(self, asked: Mapping[PlaceDay, Iterable[Edge]]) -> Rows: ...


class Writes(Protocol):
    """Where a batch goes; sql.sink.Sink, or tables in memory."""

    def turns(self, rows: Rows) -> None: ...
    def dead_letters(self, rows: Rows) -> None: ...
    def bots(self, rows: Rows) -> None: ...
    def moves(self, rows: Rows) -> None: ...
    def timeouts(self, edges: Collection[TimeoutEdge]) -> None: ...
    def rooms(self, rows: Rows) -> None: ...
    def edge_counts(self, rows: Rows) -> None: ...
    def edge_totals(self, rows: Rows) -> None: ...
    def progress(self, rows: Rows) -> None: ...


class Batches:
    """Takes polls, and holds the rooms of each partition of one assignment.

    `prepare` is called by one thread, one call after the other; `write_rows` and `write_counts` by another, in the same
    order, one batch behind: so the engine inserts while the next batch is folded.

    `wait`, `idle`: REORDER_WAIT and ROOM_IDLE in ms; `rooms_in_memory`, `edges_in_memory`: over all partitions;
    `stopping`: set when the worker is to end.
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
        edges_in_memory: int = MOST_EDGES,
    ) -> None:
        self._reads, self._writes, self._calendar = reads, writes, calendar
        self._wait, self._idle = wait, idle
        self._rooms_in_memory = rooms_in_memory
        self._stopping = stopping
        self._latest: Prepared | None = None
        self._silence, self._ticks, self._counts = Silence(idle), Ticks(), Counts(edges_in_memory)
        self._counted: dict[Place, int] = {}  # up to which offset this process has counted
        self.outages = Outages(stopping)
        self.partitions: dict[Place, Rooms] = {}

    def forget(self) -> None:
        """A new assignment begins with empty memory: its polls start at what was committed."""
        self.partitions.clear()
        metrics.forget()
        self._silence.forget()
        self._ticks.forget()
        self._counts.forget()

    def run(self, polls: list[Poll]) -> dict[Place, int]:
        """Prepare and write; for each partition, up to where it may be committed."""
        prepared = self.prepare(polls)
        self.write(prepared)
        return prepared.limits

    def write(self, prepared: Prepared) -> None:
        """Rows, then counts."""
        self.write_rows(prepared)
        self.write_counts(prepared)

    @metrics.STEP_S.labels("prepare").time()
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
        tallies: list[metrics.Tally] = []
        counted: dict[Place, list[Change]] = {}
        spoke = [self._fold(poll, decoded[poll.place], output, tallies, counted) for poll in turns]
        self._count(counted, output)
        for poll in polls:
            if poll.topic == TOPIC_BOTS:
                _take_bots(poll, output)
        limits = {poll.place: self._committable(poll) for poll in polls}
        closed, ticks = (set(), {}) if quiet is None else self._pass_quietly(quiet, output)
        self._silence.note(output.rooms)  # after the look, which did not see them
        metrics.held(self.partitions)
        self._latest = Prepared(output, limits, closed.union(*spoke), ticks, Flag(), tallies)
        return self._latest

    @metrics.STEP_S.labels("write rows").time()
    def write_rows(self, prepared: Prepared) -> None:
        """Insert what was prepared, table by table. Raises as `prepare` does."""
        output, insist = prepared.output, self.outages.insist
        insist("turns", lambda: self._writes.turns(output.turns))
        insist("dead_letters", lambda: self._writes.dead_letters(output.dead_letters))
        insist("bots", lambda: self._writes.bots(output.bots))
        insist("moves", lambda: self._writes.moves(output.moves))
        # before `rooms`, by which a silent room would not be found again
        insist("timeouts", lambda: self._writes.timeouts(output.timeouts))
        insist("rooms", lambda: self._writes.rooms(output.rooms))

    @metrics.STEP_S.labels("write counts").time()
    def write_counts(self, prepared: Prepared) -> None:
        """Count it, once its rows stand, and write down how far the log is read. Raises as `prepare` does."""
        output, insist = prepared.output, self.outages.insist
        insist("edge_counts", lambda: self._writes.edge_counts(output.edge_counts))
        insist("edge_totals", lambda: self._writes.edge_totals(output.edge_counts))
        insist("progress", lambda: self._writes.progress(output.progress))
        prepared.written.set()
        metrics.add(prepared.tallies, output)

    # -- what must be known first --------------------------------------------------------------------------------------
    def _open(self, place: Place, first: int) -> Rooms:
        """The partition's rooms: those in memory, or none yet where it begins, or begins again, at `first`."""
        rooms = self.partitions.get(place)
        if rooms is None or first < rooms.offset:
            time = self.outages.insist("partition time", partial(self._reads.partition_time, *place, first))
            rooms = Rooms(*place, offset=first, time=time, wait=self._wait, idle=self._idle)
            self.partitions[place] = rooms
        return rooms

    def _read_back(self, polls: list[Poll], decoded: dict[Place, list[Decoded]]) -> None:
        """One look-up for all partitions of the batch; of each, only what lies below its own first offset counts."""
        asked = {poll.place: self.partitions[poll.place].unknown(seqs(decoded[poll.place])) for poll in polls}
        keys = {key for some in asked.values() for key in some}
        if not keys:
            return
        self._await_written(keys)
        topics = self.outages.insist("read back rooms", lambda: self._reads.known_rooms(keys))
        for poll in polls:
            new = {key: first for key, first in asked[poll.place].items() if key not in topics}
            self.partitions[poll.place].restore(new, {}, {})
        known = list(topics)
        for begin in range(0, len(known), READ_AT_ONCE):
            some = {key: topics[key] for key in known[begin : begin + READ_AT_ONCE]}
            found = self.outages.insist("read back turns", partial(self._reads.entries, some))
            for poll in polls:
                mine = {key: first for key, first in asked[poll.place].items() if key in some}
                elsewhere = {key: min(some[key]) for key in mine if poll.topic not in some[key]}
                self.partitions[poll.place].restore(mine, _by_room(found, poll.place, poll.first), elsewhere)
        metrics.READ_BACK.inc(len(topics))

    def _await_written(self, keys: set[RoomKey]) -> None:
        """What the batch before brought of these rooms must be in `turns` before it is read back."""
        latest = self._latest
        if latest is not None and not keys.isdisjoint(latest.rooms):
            self._await_batch(latest)

    def _await_batch(self, latest: Prepared) -> None:
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
            metrics.behind(place, 0)
        if quiet.look:
            if self._latest is not None:
                self._await_written(self._latest.rooms)  # what they say, the look shall find
            latest = max([quiet.now, *(rooms.time for rooms in self.partitions.values())])
            self.outages.insist("silent rooms", lambda: self._silence.look(self._reads, quiet.now, latest))
        closed = [self._close_idle(place, rooms, output) for place, rooms in self.partitions.items()]
        due = {place: self._first_due(place, quiet.now) for place in quiet.ends}
        needed = self._ticks.needed({place: at for place, (at, _) in due.items()}, quiet.now)
        return set().union(*closed), {place: due[place][1] for place in needed}

    def _first_due(self, place: Place, now: int) -> tuple[int | None, int]:
        """By when something in the partition is due, and to when a tick then moves its time (ms)."""
        rooms = self.partitions[place]
        waits, silent = rooms.first_due(), self._silence.first_due(place)
        if place[0] == TOPIC_IMPORT and waits is not None and rooms.time > now:
            # Its sender's times lie ahead of now: waited for, it would hold up the commit, and so every seal, till then
            return 0, waits
        return min((at for at in (waits, silent) if at is not None), default=None), max(now, rooms.time)

    def _close_idle(self, place: Place, rooms: Rooms, output: Output) -> set[RoomKey]:
        """What `rooms` says is open may have spoken since, or be closed: the memory knows, or what is read back."""
        mine = self._silence.due(place, rooms.time)
        if not mine:
            return set()
        gone = {key for key in mine if key not in rooms.held}
        self._await_written(gone)  # they may have left the memory in this very batch
        read = partial(self._reads.entries, gone)
        found = self.outages.insist("read back turns", read) if gone else []
        metrics.READ_BACK.inc(len(gone))
        rooms.restore(dict.fromkeys(gone, NOTHING_COMES), _by_room(found, place, rooms.offset), {})
        changes = Changes(self._calendar, self._idle)
        rooms.close_idle(mine, changes)
        _take(changes, rooms, output)
        rooms.let_go(gone)
        return set(changes.touched)

    # -- fold ----------------------------------------------------------------------------------------------------------
    def _fold(
        self,
        poll: Poll,
        decoded: list[Decoded],
        output: Output,
        tallies: list[metrics.Tally],
        counted: dict[Place, list[Change]],
    ) -> set[RoomKey]:
        """Fold a partition's records, one by one; the rooms that spoke, or changed because time passed."""
        rooms = self.partitions[poll.place]
        changes = Changes(self._calendar, self._idle)
        spoke: set[RoomKey] = set()
        letters = len(output.dead_letters)
        for record, item in zip(poll.records, decoded, strict=True):
            changes.offset = record.offset
            if rooms.time < record.timestamp < YEAR_2149 + DAY:  # a tick may come after the last event
                rooms.pass_time(record.timestamp, changes)
            if type(item) is tuple:
                spoke.add(item[0])
                self._receive(poll, record, item, rooms, changes, output)
            elif isinstance(item, DeadLetter):
                output.dead_letters.append(dead_letter(poll, record, item))
            elif type(item) is Tick:
                self._ticks.read(poll.place, record.timestamp)
        rooms.reach(poll.next)
        counted[poll.place] = changes.counted
        _take(changes, rooms, output)
        output.progress.append((*poll.place, poll.next, rooms.time, poll.log_end))
        metrics.behind(poll.place, poll.log_end - poll.next)
        tallies.append(self._tally(poll, decoded, rooms, output.dead_letters[letters:]))
        spoke |= changes.touched.keys()
        rooms.forget(spoke, self._rooms_in_memory // len(self.partitions))
        return spoke

    def _count(self, counted: dict[Place, list[Change]], output: Output) -> None:
        """Turn what came and went into totals, reading back what is not in memory.

        An edge that has left the memory may have been counted in the batch before: it must be written first. Of a day
        that this assignment has not used yet nothing is on its way but what it will count again.
        """
        counts, insist = self._counts, self.outages.insist
        if days := counts.unknown_days(counted):
            read = partial(self._reads.counts, days, counts.most_of_a_day)
            counts.restore_days(days, insist("read back counts", read))
        if edges := counts.unknown_edges(counted):
            if self._latest is not None:
                self._await_batch(self._latest)
            counts.restore_edges(edges, insist("read back edges", partial(self._reads.edges, edges)))
        for place, changes in counted.items():
            output.edge_counts += counts.count(place, changes, self.partitions[place].offset - 1)
        counts.shrink()

    def _tally(self, poll: Poll, decoded: list[Decoded], rooms: Rooms, letters: list[tuple[Any, ...]]) -> metrics.Tally:
        mark = self._counted.get(poll.place, 0)
        self._counted[poll.place] = max(mark, poll.next)
        duplicates, rooms.duplicates = rooms.duplicates, []
        return metrics.count(poll, decoded, duplicates, letters, mark)

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
    output.progress.append((*poll.place, poll.next, shown(poll.records[-1].timestamp), poll.log_end))


def _take(changes: Changes, rooms: Rooms, output: Output) -> None:
    output.moves += changes.moves
    output.timeouts |= changes.timeouts
    output.rooms += _room_rows(rooms, changes)


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
        room.first_at,
    )  # fmt: skip
