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
from journey.events import TOPIC_LIVE, Entry, RoomKey
from journey.fold import fold
from journey.order import folded
from stream import batch
from stream.batch import Batches, Prepared
from stream.poll import Poll
from tests.unit.histories import Record, random_log
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

    def _await_written(self, keys: set[RoomKey]) -> None:
        if self.behind is not None and not keys.isdisjoint(self.behind.rooms):
            self.write(self.behind)


def worker(tables: MemoryTables, rooms_in_memory: int) -> OneBehind:
    return OneBehind(
        tables, tables, tables.calendar, wait=WAIT, idle=IDLE, rooms_in_memory=rooms_in_memory, stopping=Flag()
    )


def truth(log: list[Record]) -> dict[RoomKey, dict[int, Entry]]:
    """From the log alone: of each seq the copy with the lowest offset."""
    rooms: dict[RoomKey, dict[int, Entry]] = {}
    for record in log:
        if isinstance(record.sent, tuple):
            key, event = record.sent
            rooms.setdefault(key, {}).setdefault(event.seq, Entry(event, record.offset, record.timestamp))
    return rooms


def expected_letters(log: list[Record]) -> set[int]:
    rooms = truth(log)
    conflicts = {
        r.offset for r in log if isinstance(r.sent, tuple) and rooms[r.sent[0]][r.sent[1].seq].event != r.sent[1]
    }
    return conflicts | {r.offset for r in log if isinstance(r.sent, DeadLetter)}


def play(rng: random.Random, log: list[Record], tables: MemoryTables, crashes: int) -> None:
    """Consume the log from the committed offset on, in batches of random size, dying `crashes` times on the way."""
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
    rooms, time = truth(log), max(record.timestamp for record in log)
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
