"""What the worker does because time passes: which silent rooms it looks for, and when it appends ticks."""

from typing import Any

import pytest

from journey.calendar import Calendar
from journey.events import TOPIC_IMPORT, Event, RoomKey, Tick
from sql.readback import Silent
from sql.sink import ROOMS
from stream import batch, silence
from stream.batch import Batches
from stream.poll import Place, Poll
from stream.silence import OVERLAP_MS, WHOLE_MS, Silence
from stream.windows import Quiet, Ticks
from tests.unit.histories import Record
from tests.unit.memory_tables import MemoryTables
from tests.unit.test_delivery import IDLE, PLACE, WAIT, worker

T0 = 1_793_404_800_000
OTHER: Place = (TOPIC_IMPORT, 0)


class Table:
    """`rooms` as the looks see it: open rooms by name, with their place and last_at; remembers what was asked."""

    def __init__(self) -> None:
        self.rooms: dict[str, tuple[Place, int]] = {}
        self.asked: list[tuple[int, int]] = []

    def silent_rooms(self, since: int, bound: int, most: int) -> list[Silent]:
        self.asked.append((since, bound))
        found: list[Silent] = []
        for place in sorted({place for place, _ in self.rooms.values()}):
            mine = [(at, name) for name, (where, at) in self.rooms.items() if where == place and since < at <= bound]
            found += [Silent(RoomKey("s", name), *place, at) for at, name in sorted(mine)[:most]]
        return found


def row(last_at: int, phase: str) -> tuple[Any, ...]:
    """A row for `rooms`, as far as it matters here."""
    return tuple({"last_at": last_at, "phase": phase}.get(name) for name in ROOMS)


def names(keys: list[RoomKey]) -> set[str]:
    return {key.room_id for key in keys}


def test_after_the_first_look_only_what_has_fallen_silent_since_is_looked_for() -> None:
    table, rooms = Table(), Silence(IDLE)
    table.rooms = {"old": (PLACE, T0)}
    rooms.look(table, T0 + IDLE, T0 + IDLE)
    rooms.look(table, T0 + IDLE + 10_000, T0 + IDLE + 10_000)
    assert table.asked == [(0, T0), (T0 - OVERLAP_MS, T0 + 10_000)]
    assert names(rooms.due(PLACE, T0 + IDLE)) == {"old"}
    assert rooms.due(PLACE, T0 + IDLE) == []


def test_a_room_that_was_silent_before_the_look_and_is_written_after_it_is_found() -> None:
    """An import, or an event that was long on its way."""
    table, rooms = Table(), Silence(IDLE)
    rooms.look(table, T0 + IDLE, T0 + IDLE)
    table.rooms = {"late": (PLACE, T0 - 10 * OVERLAP_MS)}
    rooms.note([row(T0 - 10 * OVERLAP_MS, "bot")])
    rooms.look(table, T0 + IDLE + 1, T0 + IDLE + 1)
    assert names(rooms.due(PLACE, T0 + IDLE)) == {"late"}


def test_a_closed_room_or_one_that_speaks_now_needs_no_look_at_everything() -> None:
    table, rooms = Table(), Silence(IDLE)
    rooms.look(table, T0 + IDLE, T0 + IDLE)
    rooms.note([row(T0 - 10 * OVERLAP_MS, "closed"), row(T0 + IDLE, "bot")])
    rooms.look(table, T0 + IDLE + 1, T0 + IDLE + 1)
    assert table.asked[1][0] == T0 - OVERLAP_MS


def test_everything_is_looked_at_after_an_assignment_and_now_and_then() -> None:
    table, rooms = Table(), Silence(IDLE)
    for now in (0, 10_000, WHOLE_MS, WHOLE_MS + 10_000):
        rooms.look(table, T0 + IDLE + now, T0 + IDLE + now)
    assert [since == 0 for since, _ in table.asked] == [True, False, True, False]
    rooms.forget()
    rooms.look(table, T0 + IDLE + WHOLE_MS + 20_000, T0 + IDLE + WHOLE_MS + 20_000)
    assert table.asked[-1][0] == 0


def test_an_import_with_many_open_rooms_keeps_no_live_room_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "MOST", 3)
    table, rooms = Table(), Silence(IDLE)
    table.rooms = {f"import {n}": (OTHER, T0 - 10 * OVERLAP_MS + n) for n in range(10)} | {"live": (PLACE, T0)}
    rooms.look(table, T0 + IDLE, T0 + IDLE)
    assert names(rooms.due(PLACE, T0 + IDLE)) == {"live"}
    seen: set[str] = set()
    for _ in range(4):  # what a look did not bring, the next does
        found = names(rooms.due(OTHER, T0 + IDLE))
        seen |= found
        table.rooms = {name: room for name, room in table.rooms.items() if name not in found}
        rooms.look(table, T0 + IDLE, T0 + IDLE)
    assert seen == {f"import {n}" for n in range(10)}


def test_a_partition_knows_when_its_next_room_falls_silent() -> None:
    table, rooms = Table(), Silence(IDLE)
    table.rooms = {"b": (PLACE, T0 + 2), "a": (PLACE, T0 + 1)}
    assert rooms.first_due(PLACE) is None
    rooms.look(table, T0 + IDLE + 5, T0 + IDLE + 5)
    assert rooms.first_due(PLACE) == T0 + 1 + IDLE
    assert names(rooms.due(PLACE, T0 + 1 + IDLE)) == {"a"}
    assert rooms.first_due(PLACE) == T0 + 2 + IDLE


def test_nothing_due_needs_no_tick() -> None:
    assert Ticks().needed({PLACE: None, OTHER: T0 + 1}, T0) == []


def test_what_is_due_needs_one_each_second_until_it_is_read() -> None:
    ticks = Ticks()
    assert ticks.needed({PLACE: T0}, T0) == [PLACE]
    assert ticks.needed({PLACE: T0}, T0 + 1000) == [PLACE]


def test_a_clock_ahead_of_the_brokers_does_not_tick_all_the_while() -> None:
    """The worker's clock is an hour ahead: things seem due an hour too early."""
    ticks, hour = Ticks(), 3_600_000
    sent = []
    for second in range(1, 301):
        broker = T0 + 1000 * second
        if ticks.needed({PLACE: T0 + 200_000}, broker + hour):
            sent.append(second)
            ticks.read(PLACE, broker)
    assert len([second for second in sent if second < 200]) <= 200 // 30 + 2
    assert 200 in sent  # due by the broker's clock: at once


def test_a_clock_that_was_ahead_and_is_right_again_ticks_within_half_a_minute() -> None:
    ticks, hour = Ticks(), 3_600_000
    assert ticks.needed({PLACE: T0}, T0 + hour) == [PLACE]
    ticks.read(PLACE, T0 - 1000)  # an hour ahead; then somebody sets it
    assert next(s for s in range(40) if ticks.needed({PLACE: T0}, T0 + 1000 * s)) <= 30


def test_a_worker_whose_clock_is_ahead_closes_a_room_at_the_brokers_time() -> None:
    tables, hour = MemoryTables(Calendar("UTC")), 3_600_000
    batches = worker(tables, 100)
    event = Event("turn", 1, T0, "x", "c", dialog="A")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "decode_all", lambda poll: [record.sent for record in poll.records])
        log = [Record(0, T0, (RoomKey("s", "r"), event))]
        batches.run([Poll(*PLACE, log, 1)])
        ticks = 0
        for second in range(IDLE // 1000 - 60, IDLE // 1000 + 5):
            broker = T0 + 1000 * second
            prepared = batches.prepare([], Quiet(broker + hour, {PLACE: len(log)}, look=second % 10 == 0))
            batches.write(prepared)
            if prepared.ticks:
                ticks += 1
                log.append(Record(len(log), broker, Tick()))
                batches.run([Poll(*PLACE, log[-1:], len(log))])
    assert ticks <= 5
    (room,) = tables.standing(tables.rooms_rows).values()
    assert (room["closed_by"], room["ended_at"]) == ("timeout", T0 + IDLE)


def test_what_waits_in_an_import_that_lies_ahead_of_now_is_given_up_when_it_is_quiet() -> None:
    """Else its place in the log is not committed for a year, and no day is sealed until then."""
    tables, year = MemoryTables(Calendar("UTC")), 365 * IDLE
    batches = worker(tables, 100)
    event = Event("turn", 2, T0 + year, "x", "c", dialog="A")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "decode_all", lambda poll: [record.sent for record in poll.records])
        waiting = batches.prepare([Poll(*OTHER, [Record(0, T0 + year, (RoomKey("s", "r"), event))], 1)])
        batches.write(waiting)
        assert waiting.limits == {OTHER: 0}
        prepared = batches.prepare([], Quiet(T0, {OTHER: 1}, look=True))
        batches.write(prepared)
        assert prepared.ticks == {OTHER: T0 + year + WAIT}
        assert batches.run([Poll(*OTHER, [Record(1, prepared.ticks[OTHER], Tick())], 2)]) == {OTHER: 2}
    assert [row["dialog"] for row in tables.standing(tables.rooms_rows).values()] == ["A"]


def test_an_import_record_of_the_year_9999_closes_no_room() -> None:
    tables = MemoryTables(Calendar("UTC"))
    batches: Batches = worker(tables, 100)
    value = b'{"type":"turn","site_id":"s","bot_id":"b","room_id":"r%d","customer_id":"c","seq":1,'
    value += b'"occurred_at":"2026-11-01T00:00:00Z","dialog":"A","input_kind":"none"}'

    class Sent:
        def __init__(self, offset: int, timestamp: int) -> None:
            self.offset, self.timestamp = offset, timestamp
            self.value, self.key = value % offset, b"r%d" % offset

    records = [Sent(0, T0), Sent(1, 253_370_764_800_000), Sent(2, T0 + 1000)]
    batches.run([Poll(*OTHER, records, 3)])
    assert batches.partitions[OTHER].time == T0 + 1000
    assert {(row[2], row[5]) for row in tables.letters.values()} == {(1, "bad_value")}
    assert {key.room_id: row["phase"] for (key, _), row in tables.standing(tables.rooms_rows).items()} == {
        "r0": "bot",
        "r2": "bot",
    }
