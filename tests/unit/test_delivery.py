"""The worker's real batches over tables in memory: whatever is cut or repeated on the way, the tables are the log's.

Zombies, several partitions, ticks and counts are tests/faults' business; here are batches of every size, redelivery
from what was committed, a new memory each time, eviction, and crashes before any insert.
"""

import random
from threading import Event as Flag
from typing import Any

import pytest

from journey.calendar import Calendar
from journey.errors import DeadLetter
from journey.events import TOPIC_LIVE, Entry, Event, RoomKey, Tick
from journey.fold import fold
from journey.order import folded
from stream import batch
from stream.batch import Batches
from stream.poll import Poll
from stream.prepared import Prepared
from stream.windows import Quiet
from tests.unit.histories import Record, random_log, received
from tests.unit.memory_tables import Crashed, MemoryTables

WAIT, IDLE = 30_000, 86_400_000
PLACE = (TOPIC_LIVE, 3)


@pytest.fixture(autouse=True)
def decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records here carry their decoded event; decoding has tests of its own."""
    monkeypatch.setattr(batch, "decode_all", lambda poll: [record.sent for record in poll.records])


class OneBehind(Batches):
    """Writes a batch only when the next is prepared, or needs it: as the worker's two threads do at the worst."""

    behind: Prepared | None = None

    def step(self, polls: list[Poll]) -> Prepared | None:
        """Prepare these, write those before: what was written."""
        prepared, behind = self.prepare(polls), self.behind
        self.behind = prepared
        if behind is not None and not behind.written.is_set():
            self.write(behind)
        return behind

    def _await_batch(self, latest: Prepared) -> None:
        if not latest.written.is_set():
            self.write(latest)


def worker(tables: MemoryTables, rooms_in_memory: int) -> OneBehind:
    return OneBehind(
        tables, tables, tables.calendar, wait=WAIT, idle=IDLE, rooms_in_memory=rooms_in_memory, stopping=Flag()
    )


def expected_letters(log: list[Record]) -> set[int]:
    rooms = received(log)
    conflicts = {
        r.offset for r in log if isinstance(r.sent, tuple) and rooms[r.sent[0]][r.sent[1].seq].event != r.sent[1]
    }
    return conflicts | {r.offset for r in log if isinstance(r.sent, DeadLetter)}


def play(rng: random.Random, log: list[Record], tables: MemoryTables, crashes: int) -> int:
    """Consume the log in batches of random size, dying `crashes` times on the way; what is committed in the end."""
    committed = position = 0
    pipelined = rng.random() < 0.5
    batches = worker(tables, rng.choice((1, 2, 100)))
    while position < len(log) or batches.behind is not None:
        records = log[position : position + rng.randint(1, 6)]
        tables.crash_at = rng.randint(0, 8) if crashes and rng.random() < 0.4 else None
        try:
            limit = advance(batches, records, len(log), pipelined)
        except Crashed:
            crashes -= 1
            batches, position = worker(tables, rng.choice((1, 2, 100))), committed
            continue
        position = records[-1].offset + 1 if records else position
        # a commit lies at the end of a batch that was written
        committed = max([committed, *(offset for _, _, offset in tables.times if offset <= limit)])
        if rng.random() < 0.1:  # a rebalance: all is read again from what was committed
            batches, position = worker(tables, rng.choice((1, 2, 100))), committed
    tables.crash_at = None
    return committed


def advance(batches: OneBehind, records: list[Record], end: int, pipelined: bool) -> int:
    """One step of the worker; up to where it may be committed now."""
    if not records:
        behind = batches.behind
        assert behind is not None
        batches.behind = None
        if not behind.written.is_set():
            batches.write(behind)
        return behind.limits[PLACE]
    poll = Poll(*PLACE, records, end)
    if not pipelined:
        return batches.run([poll])[PLACE]
    written = batches.step([poll])
    return 0 if written is None else written.limits[PLACE]


def check(tables: MemoryTables, log: list[Record]) -> None:
    """At rest: turns, moves and rooms are what the log says at its last time; timeouts may come later."""
    rooms, time = received(log), max(record.timestamp for record in log)
    assert {key: row[4] for key, row in tables.turns_rows.items()} == {
        (key, seq): entry.offset for key, entries in rooms.items() for seq, entry in entries.items()
    }
    assert {place[2] for place in tables.letters} == expected_letters(log)
    moves: dict[Any, Any] = {}
    states: dict[Any, Any] = {}
    for key, entries in rooms.items():
        now = fold(folded(entries, time, WAIT), IDLE)
        if now is None:
            continue
        for row in now.rows:
            moves[key, row.bot_id, tables.calendar.day(row.occurred_at), row.seq, row.part] = row
        states[key, tables.calendar.day(now.room.opened_at)] = now.room
    standing = {k: row for k, row in tables.standing(tables.moves_rows).items() if k[-1] != 9}
    assert set(standing) == {k for k in moves if k[-1] != 9}
    for key, stands in standing.items():
        found = {name: stands[name] for name in moves[key].__struct_fields__}
        assert found == {name: getattr(moves[key], name) for name in found}
    assert set(tables.standing(tables.rooms_rows)) == set(states)
    for key, stands in tables.standing(tables.rooms_rows).items():
        for name in ("customer_id", "opened_at", "last_at", "turns", "errors", "gaps", "last_received_at"):
            assert stands[name] == getattr(states[key], name), name
    check_timeouts(tables, rooms, time)
    assert not tables.ties
    assert tables.totals() == tables.counted_anew()


def check_timeouts(tables: MemoryTables, rooms: dict[RoomKey, dict[int, Entry]], time: int) -> None:
    """A timeout that stands is one that the log has; one that an event of the log made is there."""
    standing = {k for k in tables.standing(tables.moves_rows) if k[-1] == 9}
    possible: set[Any] = set()
    certain: set[Any] = set()
    for key, entries in rooms.items():
        for now, keys in ((time, possible), (None, certain)):
            done = fold(folded(entries, time, WAIT), IDLE, now)
            row = None if done is None else done.room.timeout
            if row is not None:
                keys.add((key, row.bot_id, tables.calendar.day(row.occurred_at), row.seq, 9))
    assert certain <= standing <= possible


def pass_by(rng: random.Random, log: list[Record], tables: MemoryTables, committed: int, now: int) -> None:
    """Nothing comes any more, the clock goes on to `now`, over starts with empty memory: ticks are appended, read."""
    batches, position = worker(tables, 100), committed
    for _ in range(12):
        if position < len(log):
            limit = batches.run([Poll(*PLACE, log[position:], len(log))])[PLACE]
            position = len(log)
            committed = position if limit == position else committed
        prepared = batches.prepare([], Quiet(now, {PLACE: len(log)}, look=True))
        batches.write(prepared)
        log.extend(Record(len(log), at, Tick()) for at in prepared.ticks.values())
        if rng.random() < 0.3:
            batches, position = worker(tables, 100), committed
    assert committed == len(log), "something still waits"
    assert not prepared.ticks, "there is always one tick more"


def check_at_rest(tables: MemoryTables, log: list[Record]) -> None:
    """All gaps are given up, all idle rooms closed: all is the fold of all there is, at the log's last time."""
    time = max(record.timestamp for record in log)
    moves: dict[Any, Any] = {}
    for key, entries in received(log).items():
        done = fold([entries[seq] for seq in sorted(entries)], IDLE, time)
        assert done is not None
        for row in done.rows:
            moves[key, row.bot_id, tables.calendar.day(row.occurred_at), row.seq, row.part] = row.move
        state = tables.standing(tables.rooms_rows)[key, tables.calendar.day(done.room.opened_at)]
        assert (state["phase"], state["closed_by"], state["ended_at"]) == (
            done.room.phase, done.room.closed_by, done.room.ended_at,
        )  # fmt: skip
    assert {key: row["move"] for key, row in tables.standing(tables.moves_rows).items()} == moves
    assert not tables.ties
    assert tables.totals() == tables.counted_anew()


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize("in_order", [True, False])
def test_in_silence_gaps_are_given_up_and_idle_rooms_close(seed: int, in_order: bool) -> None:
    for number in range(30):
        rng = random.Random(f"silence {seed} {number} {in_order}")
        log = random_log(rng, in_order=in_order)
        if not log:
            continue
        tables = MemoryTables(Calendar("Asia/Seoul"))
        committed = play(rng, log, tables, crashes=rng.choice((0, 2)))
        pass_by(rng, log, tables, committed, now=max(record.timestamp for record in log) + 4 * IDLE)
        check_at_rest(tables, log)


def test_a_clock_that_is_ahead_decides_nothing() -> None:
    """Only reading the tick moves the partition's time: until then nothing is written that the log does not say."""
    tables, key = MemoryTables(Calendar("UTC")), RoomKey("s", "r")
    batches, at = worker(tables, 100), 1_793_404_800_000
    batches.run([Poll(*PLACE, [Record(0, at, (key, Event("turn", 1, at, "x", "c", dialog="A")))], 1)])
    prepared = batches.prepare([], Quiet(at + 9 * IDLE, {PLACE: 1}, look=True))
    batches.write(prepared)
    assert prepared.ticks == {PLACE: at + 9 * IDLE}
    assert {k[-1] for k in tables.moves_rows} == {0}
    batches.run([Poll(*PLACE, [Record(1, at + 9 * IDLE, Tick())], 2)])
    batches.write(batches.prepare([], Quiet(at, {PLACE: 2}, look=True)))
    assert {k[-1] for k in tables.moves_rows} == {0, 9}


def test_nothing_is_ticked_where_nothing_is_due() -> None:
    tables, at = MemoryTables(Calendar("UTC")), 1_793_404_800_000
    batches, key = worker(tables, 100), RoomKey("s", "r")
    batches.run([Poll(*PLACE, [Record(0, at, (key, Event("turn", 1, at, "x", "c", dialog="A")))], 1)])
    assert batches.prepare([], Quiet(at + IDLE - 1, {PLACE: 1}, look=True)).ticks == {}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("in_order", [True, False])
def test_the_tables_are_the_logs_whatever_happens(seed: int, in_order: bool) -> None:
    for number in range(40):
        rng = random.Random(f"{seed} {number} {in_order}")
        log = random_log(rng, in_order=in_order)
        if not log:
            continue
        tables = MemoryTables(Calendar("Asia/Seoul"))
        play(rng, log, tables, crashes=rng.choice((0, 1, 3)))
        check(tables, log)


def stand(tables: MemoryTables, table: Any) -> Any:
    """What FINAL gives, and every key's version; what else a tombstone carries does not matter."""
    return tables.standing(table), {key: (version, is_deleted) for key, (version, is_deleted, _) in table.items()}


@pytest.mark.parametrize("seed", range(10))
def test_batches_of_any_size_write_the_same(seed: int) -> None:
    log = random_log(random.Random(seed), rooms=4)
    results = []
    for size in (1, 2, 1000):
        tables = MemoryTables(Calendar("America/New_York"))
        batches = worker(tables, 100)
        for start in range(0, len(log), size):
            batches.run([Poll(*PLACE, log[start : start + size], len(log))])
        results.append((stand(tables, tables.moves_rows), stand(tables, tables.rooms_rows), tables.turns_rows))
    assert results[0] == results[1] == results[2]


def test_nothing_is_committed_past_an_event_that_waits() -> None:
    tables, log = MemoryTables(Calendar("UTC")), random_log(random.Random(5))
    key, event = next(record.sent for record in log)
    skipped = Record(10, 1_793_404_800_000, (key, type(event)("turn", 9, event.occurred_at, "x", "c", dialog="A")))
    batches = worker(tables, 100)
    assert batches.run([Poll(*PLACE, [skipped], 11)])[PLACE] == 10
    later = Record(11, skipped.timestamp + WAIT, DeadLetter("not_json", ""))
    assert batches.run([Poll(*PLACE, [later], 12)])[PLACE] == 12


def test_a_commit_ends_where_progress_has_the_time() -> None:
    """Several polls are one batch: an event that waits in the last holds them all, else P would be forgotten."""
    tables, at = MemoryTables(Calendar("UTC")), 1_793_404_800_000
    batches = worker(tables, 100)
    ahead = Record(5, at + 9 * IDLE, DeadLetter("not_json", ""))
    waits = Record(6, at + 9 * IDLE, (RoomKey("s", "r"), Event("turn", 2, at, "x", "c", dialog="A")))
    assert batches.run([Poll(*PLACE, [Record(4, at, DeadLetter("not_json", ""))], 7)])[PLACE] == 5
    limit = batches.run([Poll(*PLACE, [ahead, waits], 7)])[PLACE]
    assert limit == 5
    assert (*PLACE, limit) in tables.times


def test_counts_of_an_assignment_before_are_not_counted_on() -> None:
    """Another worker counted meanwhile: what this one had in memory is of long ago."""
    tables, at = MemoryTables(Calendar("UTC")), 1_793_404_800_000
    one, other = worker(tables, 100), worker(tables, 100)
    for offset, batches in enumerate((one, other, one)):
        batches.forget()
        sent = RoomKey("s", f"r{offset}"), Event("turn", 1, at, "x", "c", dialog="A")
        batches.run([Poll(*PLACE, [Record(offset, at, sent)], offset + 1)])
    assert list(tables.totals().values()) == [3]
    assert tables.totals() == tables.counted_anew()


def test_a_silent_room_that_left_the_memory_in_this_batch_is_read_back_whole() -> None:
    """`rooms` still says that it is open, and its last event is on its way into `turns`."""
    tables, at, key = MemoryTables(Calendar("UTC")), 1_793_404_800_000, RoomKey("s", "r")
    batches, late = worker(tables, 100), at + IDLE + 1
    batches.step([Poll(*PLACE, [Record(0, at, (key, Event("turn", 1, at, "x", "c", dialog="A")))], 1)])
    batches.write(batches.prepare([Poll(*PLACE, [Record(1, at, DeadLetter("not_json", ""))], 2)]))
    batches.step([Poll(*PLACE, [Record(2, late, (key, Event("turn", 2, late, "x", "c", dialog="B")))], 3)])
    other = Record(3, late, DeadLetter("not_json", ""))
    prepared = batches.prepare([Poll(*PLACE, [other], 4)], Quiet(late, {}, look=True))  # a room that has ended leaves
    assert prepared.output.moves == []
    assert prepared.output.rooms == []


def test_rooms_read_back_to_be_closed_do_not_stay() -> None:
    tables, at = MemoryTables(Calendar("UTC")), 1_793_404_800_000
    rooms = [(RoomKey("s", f"r{n}"), Event("turn", 1, at, "x", "c", dialog="A")) for n in range(5)]
    worker(tables, 100).run([Poll(*PLACE, [Record(n, at, sent) for n, sent in enumerate(rooms)], 5)])
    batches = worker(tables, 1)
    batches.run([Poll(*PLACE, [Record(5, at + IDLE, Tick())], 6)])
    batches.write(batches.prepare([], Quiet(at + IDLE, {PLACE: 6}, look=True)))
    assert sum(key[-1] == 9 for key in tables.standing(tables.moves_rows)) == 5
    assert not batches.partitions[PLACE].held


def test_what_waits_is_not_forgotten_where_the_end_seems_to_lie_further_back() -> None:
    tables, at = MemoryTables(Calendar("UTC")), 1_793_404_800_000
    batches = worker(tables, 100)
    waits = Record(8, at, (RoomKey("s", "r"), Event("turn", 2, at, "x", "c", dialog="A")))
    batches.run([Poll(*PLACE, [waits], 9)])
    batches.write(batches.prepare([], Quiet(at, {PLACE: 7}, look=False)))
    assert batches.run([Poll(*PLACE, [Record(9, at, DeadLetter("not_json", ""))], 10)])[PLACE] == 8
