"""Guards that random histories seldom need, each in the shortest history that is wrong without it.

docs/delivery.md lists all guards with their tests; tests/faults/guards.py takes them out one by one.
"""

from collections.abc import Iterable
from threading import Event as Flag
from typing import Any

import pytest

from journey.calendar import Calendar
from journey.events import TOPIC_IMPORT, TOPIC_LIVE, Entry, Event, RoomKey, Tick
from stream import batch
from stream.batch import NOTHING_COMES, Batches
from stream.changes import Changes
from stream.poll import Place, Poll
from stream.prepared import Prepared
from stream.rooms import Rooms
from stream.windows import Quiet
from tests.unit.histories import T0, Record
from tests.unit.memory_tables import Crashed, MemoryTables

WAIT, IDLE = 30_000, 86_400_000
PLACE = (TOPIC_LIVE, 3)
ROOM, OTHER = RoomKey("s", "r"), RoomKey("s", "other")


@pytest.fixture(autouse=True)
def decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records here carry their decoded event."""
    monkeypatch.setattr(batch, "decode_all", lambda poll: [record.sent for record in poll.records])


@pytest.fixture
def tables() -> MemoryTables:
    return MemoryTables(Calendar("UTC"))


def worker(tables: MemoryTables, rooms_in_memory: int = 100) -> Batches:
    given = {"wait": WAIT, "idle": IDLE, "rooms_in_memory": rooms_in_memory, "stopping": Flag()}
    return Batches(tables, tables, tables.calendar, **given)  # type: ignore[arg-type]


def turn(seq: int, at: int = T0, customer: str = "c", dialog: str = "A") -> Event:
    return Event("turn", seq, at, "x", customer, dialog=dialog)


def came(offset: int, at: int, event: Event, key: RoomKey = ROOM) -> Record:
    return Record(offset, at, (key, event))


def poll(*records: Record, place: Place = PLACE) -> Poll:
    return Poll(*place, list(records), records[-1].offset + 1)


def look(batches: Batches, now: int, end: int) -> Prepared:
    """Nothing more comes: look for silent rooms, write what that brings."""
    prepared = batches.prepare([], Quiet(now, {PLACE: end}, look=True))
    batches.write(prepared)
    return prepared


# -- versions and differences (Delivery 4, 5) --------------------------------------------------------------------------
def test_a_timeout_that_stands_again_outlasts_the_taking_back_of_the_one_before(tables: MemoryTables) -> None:
    """A late filler takes the timeout back; the room falls silent again; then a zombie does the filler's batch."""
    first = [came(0, T0, turn(1)), came(1, T0, turn(3))]
    filler = came(2, T0 + IDLE + 10_000, turn(2, T0 + 20_000))
    tick = Record(3, T0 + IDLE + 30_000, Tick())
    zombie, stopped = worker(tables), poll(*first, filler)
    in_hand = zombie.prepare([stopped])
    successor = worker(tables)
    successor.run([poll(*first)])
    successor.run([poll(filler)])
    successor.run([poll(tick)])
    look(successor, tick.timestamp, 4)
    closed = [key for key in tables.standing(tables.moves_rows) if key[-1] == 9]
    assert len(closed) == 1
    zombie.write(in_hand)
    assert [key for key in tables.standing(tables.moves_rows) if key[-1] == 9] == closed
    assert {row["closed_by"] for row in tables.standing(tables.rooms_rows).values()} == {"timeout"}


def test_a_late_first_event_gives_all_rows_of_the_room_its_customer(tables: MemoryTables) -> None:
    """Rows that it changes in nothing else, too."""
    batches = worker(tables)
    batches.run([poll(came(0, T0, turn(2, customer="second")))])
    late = Event("agent_assigned", 1, T0, "x", "first")
    batches.run([poll(came(1, T0 + WAIT, late))])
    assert {row["customer_id"] for row in tables.standing(tables.moves_rows).values()} == {"first"}
    assert {row["customer_id"] for row in tables.standing(tables.rooms_rows).values()} == {"first"}


# -- reading back (Delivery 6, 7) --------------------------------------------------------------------------------------
def test_of_two_copies_that_are_read_back_the_one_with_the_lower_offset_stands() -> None:
    """In whatever order the tables give them: else a copy of the first were a conflict."""
    low, high = Entry(turn(1), 4, T0), Entry(turn(1, dialog="B"), 9, T0)
    for found in ([low, high], [high, low]):
        rooms = Rooms(*PLACE, offset=10, time=T0, wait=WAIT, idle=IDLE)
        rooms.restore({ROOM: 1}, {ROOM: found}, {})
        room = rooms.held[ROOM].room
        assert room is not None
        assert room.dialog == "A"
        assert not rooms.receive(ROOM, Entry(turn(1), 10, T0), Changes(Calendar("UTC"), IDLE))


def test_what_another_topic_brought_of_a_room_is_not_taken_in(tables: MemoryTables) -> None:
    """Two workers began the same room by two topics at once; each goes on by what its own log says."""
    imported: Place = (TOPIC_IMPORT, 0)
    before = T0 - 2 * IDLE
    one, other = worker(tables), worker(tables)
    by_live = one.prepare([poll(came(10, T0, turn(1)))])
    gap = [came(0, before, turn(2, before, dialog="B")), Record(1, before + WAIT, Tick())]
    by_import = other.prepare([poll(*gap, place=imported)])
    one.write(by_live)
    other.write(by_import)
    after = worker(tables)
    after.run([poll(came(11, T0, turn(2, dialog="C")))])
    assert not tables.letters
    room = after.partitions[PLACE].held[ROOM].room
    assert room is not None
    assert (room.folded, room.dialog) == (2, "C")


def test_a_look_for_silent_rooms_sees_what_the_batch_before_wrote(tables: MemoryTables) -> None:
    """That batch hung for a minute; what a look has missed so lies behind all later looks."""
    batches = worker(tables)
    look(batches, T0, 0)
    prepared = batches.prepare([poll(came(0, T0, turn(1)))])
    now = T0 + IDLE + 120_000
    written: list[Prepared] = []

    def write_now(latest: Prepared) -> None:
        written.append(latest)
        batches.write(latest)

    batches._await_batch = write_now  # type: ignore[method-assign]
    look(batches, now, 1)
    if not written:
        batches.write(prepared)
    assert look(batches, now + 40_000, 1).ticks
    assert written == [prepared]


def test_a_partition_that_is_read_from_further_back_begins_there_anew(tables: MemoryTables) -> None:
    """With the time that it had there: what is written is a function of the log, also when it is written again."""
    batches, records = worker(tables), [came(0, T0, turn(1)), came(1, T0 + IDLE, turn(2, T0 + 1))]
    batches.run([poll(records[0])])
    batches.run([poll(records[1])])
    before = tables.standing(tables.rooms_rows)
    assert batches.run([poll(records[0])])[PLACE] == 1
    assert (tables.times[*PLACE, 1], batches.partitions[PLACE].time) == (T0, T0)
    batches.run([poll(records[1])])
    assert tables.standing(tables.rooms_rows) == before
    assert batches.partitions[PLACE].duplicates == []


# -- memory (Delivery 8) -----------------------------------------------------------------------------------------------
def test_a_room_that_speaks_in_a_batch_is_not_closed_by_what_was_read_of_it_before(tables: MemoryTables) -> None:
    """Memory is full of what waits; `rooms` says that the room is silent; its event is in this very batch."""
    batches = worker(tables, rooms_in_memory=1)
    batches.run([poll(came(0, T0, turn(1)))])
    late, end = T0 + IDLE - 20_000, T0 + IDLE + 1
    waits = came(1, late, turn(2, late), OTHER)
    batches.run([poll(waits)])
    look(batches, end, 2)
    speaks = came(2, end - 10_000, turn(2, T0 + 60_000, dialog="B"))
    batches.write(batches.prepare([poll(speaks, Record(3, end, Tick()))], Quiet(end, {}, look=False)))
    standing = tables.standing(tables.rooms_rows)
    assert {key[0]: row["phase"] for key, row in standing.items()} == {ROOM: "bot"}
    assert not [key for key in tables.standing(tables.moves_rows) if key[-1] == 9]


def test_a_room_whose_last_event_is_on_its_way_is_not_closed_by_what_was_read_of_it_before(
    tables: MemoryTables,
) -> None:
    """It spoke in the batch before, which is being written; it leaves the memory in this one, and seems silent."""
    batches = worker(tables, rooms_in_memory=0)
    batches.run([poll(came(0, T0, turn(1)))])
    look(batches, T0 + IDLE + 1, 1)
    before = batches.prepare([poll(came(1, T0 + IDLE - 10_000, turn(2, T0 + 60_000, dialog="B")))])
    batches._await_batch = batches.write  # type: ignore[method-assign, assignment]
    tick = Record(2, T0 + IDLE + 1, Tick())
    prepared = batches.prepare([poll(tick)], Quiet(T0 + IDLE + 1, {}, look=False))
    if not before.written.is_set():
        batches.write(before)
    batches.write(prepared)
    assert {row["phase"] for row in tables.standing(tables.rooms_rows).values()} == {"bot"}
    assert not [key for key in tables.standing(tables.moves_rows) if key[-1] == 9]


def test_a_room_read_back_to_be_closed_stays_where_something_of_it_waits() -> None:
    rooms, changes = Rooms(*PLACE, offset=9, time=T0, wait=WAIT, idle=IDLE), Changes(Calendar("UTC"), IDLE)
    rooms.restore({ROOM: NOTHING_COMES}, {ROOM: [Entry(turn(1), 4, T0), Entry(turn(3), 8, T0)]}, {})
    rooms.let_go({ROOM})
    rooms.pass_time(T0 + WAIT, changes)
    room = rooms.held[ROOM].room
    assert room is not None
    assert (room.folded, room.gaps) == (2, 1)


def test_no_more_rooms_are_held_than_shall_be(tables: MemoryTables) -> None:
    batches = worker(tables, rooms_in_memory=10)
    for number in range(50):
        batches.run([poll(came(number, T0, turn(1), RoomKey("s", f"r{number}")))])
    assert len(batches.partitions[PLACE].held) == 10


def test_events_that_are_read_back_are_held_a_few_rooms_at_a_time_and_only_where_one_may_come_again(
    tables: MemoryTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start amid 30,000 rooms of 30 turns held 900,000 of them, half a GB."""
    keys = [RoomKey("s", f"r{number}") for number in range(10)]
    worker(tables).run([poll(*(came(number, T0, turn(1), key) for number, key in enumerate(keys)))])
    monkeypatch.setattr(batch, "READ_AT_ONCE", 4)
    batches, asked, kept = worker(tables), list[int](), set[RoomKey]()
    entries, receive = tables.entries, Rooms.receive

    def noted(some: Iterable[RoomKey]) -> Any:
        asked.append(len(list(some)))
        return entries(some)

    def received(rooms: Rooms, key: RoomKey, entry: Entry, changes: Changes) -> bool:
        kept.update(each for each, held in rooms.held.items() if held.known)
        return receive(rooms, key, entry, changes)

    monkeypatch.setattr(tables, "entries", noted)
    monkeypatch.setattr(Rooms, "receive", received)
    batches.run([poll(*(came(10 + n, T0, turn(2 if n else 1), key) for n, key in enumerate(keys)))])
    assert asked == [4, 4, 2]
    assert kept == {keys[0]}
    assert len(tables.turns_rows) == 19


def test_what_waits_may_be_folded_before_a_lower_seq_comes(tables: MemoryTables) -> None:
    """By that record's own time: the room is folded anew, with what was read back of it."""
    worker(tables).run([poll(came(0, T0, turn(1)), came(1, T0, turn(3, dialog="C")))])
    batches = worker(tables)
    batches.run([poll(came(2, T0 + WAIT, turn(2, dialog="B")))])
    assert [row["dialog"] for row in tables.standing(tables.rooms_rows).values()] == ["C"]
    assert [row["step"] for row in tables.standing(tables.rooms_rows).values()] == [3]


def test_what_a_batch_has_read_back_does_not_stay(tables: MemoryTables) -> None:
    """Of a room its fold is held, not its events."""
    worker(tables).run([poll(came(0, T0, turn(1)))])
    batches = worker(tables)
    batches.run([poll(came(1, T0, turn(2)))])
    (held,) = batches.partitions[PLACE].held.values()
    assert held.room is not None
    assert held.room.folded == 2
    assert held.known is None


# -- the order of a batch (Delivery 6) ---------------------------------------------------------------------------------
def test_whoever_finds_a_row_finds_what_it_came_from(tables: MemoryTables) -> None:
    """A batch that dies before any of its inserts: what stands by then stands on what was written before."""
    records = [came(0, T0, turn(1)), came(1, T0, turn(2, dialog="B")), came(2, T0, turn(1), OTHER)]
    for crash_at in range(10):
        dying = MemoryTables(Calendar("UTC"))
        dying.crash_at = crash_at
        try:
            worker(dying).run([poll(*records)])
        except Crashed:
            pass
        else:
            assert dying.times
            break
        turns = {(key, seq) for key, seq in dying.turns_rows}
        assert turns >= {(key, seq) for key, _, _, seq, _ in dying.moves_rows}
        assert {key for key, _, _, _, _ in dying.moves_rows} >= {key for key, _ in dying.rooms_rows}
        assert not dying.times
        assert bool(dying.rooms_rows) <= (len(turns) == len(records))
    else:
        raise AssertionError("it has more inserts than that")


def test_a_batch_counts_as_written_after_its_last_insert(tables: MemoryTables, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads back waits for that."""
    batches, early = worker(tables), []
    prepared = batches.prepare([poll(came(0, T0, turn(1)))])
    for name in ("turns", "dead_letters", "moves", "rooms", "progress"):
        insert = getattr(tables, name)

        def watched(rows: Any, insert: Any = insert) -> None:
            early.append(prepared.written.is_set())
            insert(rows)

        monkeypatch.setattr(tables, name, watched)
    batches.write(prepared)
    assert early == [False] * 5
    assert prepared.written.is_set()


def test_a_room_goes_on_by_the_topic_that_it_began_by(tables: MemoryTables) -> None:
    worker(tables).run([poll(came(0, T0, turn(1)), place=(TOPIC_IMPORT, 0))])
    worker(tables).run([poll(came(5, T0, turn(2)))])
    assert [row[5] for row in tables.letters.values()] == ["other_topic"]
    assert {seq for _, seq in tables.turns_rows} == {1}
