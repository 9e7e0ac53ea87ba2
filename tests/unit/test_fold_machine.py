"""Rooms under everything that may happen to them, as hypothesis likes it: the worker's batches over tables in memory.

After every step the tables must say what the pure fold says of the records consumed so far; a failure comes as the
shortest history that shows it. TURNPATH_TEST_EXAMPLES=2000 plays that many instead of 80.
"""

import os
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace as changed

from journey.balance import imbalance, inflow
from journey.calendar import Calendar
from journey.errors import DeadLetter
from journey.events import Event, RoomKey, Tick
from journey.fold import Folded, fold
from journey.order import folded
from journey.room import CLOSED, TIMEOUT_PART
from stream import batch
from stream.poll import Poll
from stream.windows import Quiet
from tests.unit.histories import BOTS, DIALOGS, T0, Record, received
from tests.unit.memory_tables import Crashed, MemoryTables
from tests.unit.test_delivery import IDLE, PLACE, WAIT, OneBehind, worker

KEYS = [RoomKey("s", "r"), RoomKey("t", "r"), RoomKey("s", "q")]
SECOND = 1000

turns = st.builds(
    lambda dialog, kind, given, error: {
        "dialog": dialog, "input_kind": kind, "error": error,
        "input": given[kind == "hotkey"] if kind in ("button", "hotkey") else "",
    },
    st.sampled_from([*DIALOGS, None]),
    st.sampled_from(["none", "button", "text", "hotkey"]),
    st.tuples(st.sampled_from("12"), st.sampled_from(["home", "back", "agent", "faq"])),
    st.sampled_from([None, None, True, False]),
)  # fmt: skip
events = st.one_of(
    turns.map(lambda said: {"type": "turn", **said}),
    turns.map(lambda said: {"type": "turn", **said}),
    st.sampled_from(
        [{"type": "agent_assigned"}, {"type": "agent_served"}, {"type": "room_closed", "closed_by": "auto"}]
    ),
)
pauses = st.sampled_from([0, SECOND, 20 * SECOND, WAIT, 2 * WAIT, IDLE - 1, IDLE])


class Rooms(RuleBasedStateMachine):
    """One partition of one topic. `log`: its records; `consumed`: how many of them a worker has taken in."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = MemoryTables(Calendar("Asia/Seoul"))
        self.log: list[Record] = []
        self.consumed = self.committed = 0
        self.time = T0
        self.batches: OneBehind = worker(self.tables, 100)
        self.sent: list[tuple[RoomKey, Event]] = []
        self.last = dict.fromkeys(KEYS, T0)
        self.seen_versions: dict[Any, tuple[int, int, Any]] = {}

    # -- what is sent --------------------------------------------------------------------------------------------------
    @rule(key=st.sampled_from(KEYS), seq=st.integers(1, 6), said=events, bot=st.sampled_from(BOTS), pause=pauses)
    def send(self, key: RoomKey, seq: int, said: dict[str, Any], bot: str, pause: int) -> None:
        """Any event of any seq; where the seq was sent already, it is a copy or a conflict."""
        occurred_at = self.last[key] + pause
        self.last[key] = occurred_at
        self._append((key, Event(seq=seq, occurred_at=occurred_at, bot_id=bot, customer_id=f"c{bot}", **said)))

    @rule(key=st.sampled_from(KEYS), said=st.lists(events, min_size=1, max_size=5))
    def send_the_next(self, key: RoomKey, said: list[dict[str, Any]]) -> None:
        """As a well-behaved producer does: the seqs in order, from the greatest so far."""
        greatest = max((event.seq for room, event in self.sent if room == key), default=0)
        for seq, fields in enumerate(said, greatest + 1):
            self.last[key] += SECOND
            self._append((key, Event(seq=seq, occurred_at=self.last[key], bot_id="x", customer_id="cx", **fields)))

    @rule(
        key=st.sampled_from(KEYS), said=st.tuples(events, events), pause=pauses, silence=st.sampled_from([WAIT, IDLE])
    )
    def leave_a_gap_and_fill_it_late(
        self, key: RoomKey, said: tuple[dict[str, Any], dict[str, Any]], pause: int, silence: int
    ) -> None:
        """The next event but one comes, time passes, and only then the one before it."""
        greatest = max((event.seq for room, event in self.sent if room == key), default=0)
        for seq, fields, by in ((greatest + 2, said[0], SECOND), (greatest + 1, said[1], pause)):
            self.last[key] += by
            self._append((key, Event(seq=seq, occurred_at=self.last[key], bot_id="x", customer_id="cx", **fields)))
            self.time += silence
            self._append(Tick())
            self.consume(len(self.log))
            self.fall_silent()

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        self._append(data.draw(st.sampled_from(self.sent)))

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_a_conflict(self, data: st.DataObject) -> None:
        key, event = data.draw(st.sampled_from(self.sent))
        self._append((key, changed(event, channel="another")))

    @rule()
    def send_rubbish(self) -> None:
        self._append(DeadLetter("not_json", ""))

    @rule(by=st.sampled_from([SECOND, WAIT, IDLE // 2, IDLE]))
    def let_time_pass(self, by: int) -> None:
        self.time += by

    def _append(self, sent: Any) -> None:
        if isinstance(sent, tuple):
            self.sent.append(sent)
        self.log.append(Record(len(self.log), self.time, sent))

    # -- what the workers do -------------------------------------------------------------------------------------------
    @precondition(lambda self: self.consumed < len(self.log))
    @rule(size=st.integers(1, 8))
    def consume(self, size: int) -> None:
        some = self.log[self.consumed : self.consumed + size]
        with patch.object(batch, "decode_all", lambda poll: [record.sent for record in poll.records]):
            limit = self.batches.run([Poll(*PLACE, some, len(self.log))])[PLACE]
        self.consumed += len(some)
        assert self.committed <= limit <= self.consumed
        self.committed = limit

    @rule(memory=st.sampled_from([1, 2, 100]))
    def start_anew(self, memory: int) -> None:
        """Killed after any batch: the next worker begins with nothing, at what was committed."""
        self.batches = worker(self.tables, memory)
        again, self.consumed = self.consumed - self.committed, self.committed
        if again:
            self.consume(again)

    @rule(key=st.sampled_from(KEYS), said=st.lists(events, min_size=1, max_size=5), inserts=st.integers(0, 6))
    def die_between_two_inserts(self, key: RoomKey, said: list[dict[str, Any]], inserts: int) -> None:
        """In a batch of a room that is known; the next worker reads again what was not committed, in other batches."""
        while self.consumed < len(self.log):
            self.consume(5)
        self.send_the_next(key, said)
        self.tables.crash_at = inserts
        try:
            self.consume(len(self.log))
        except Crashed:
            self.batches = worker(self.tables, 100)
            self.consumed = self.committed
        self.tables.crash_at = None
        while self.consumed < len(self.log):
            self.consume(3)

    @rule(memory=st.sampled_from([1, 2, 100]))
    def start_anew_from_the_beginning(self, memory: int) -> None:
        """As when the group's commits are lost: all is read once more."""
        self.batches = worker(self.tables, memory)
        until, self.consumed, self.committed = self.consumed, 0, 0
        if until:
            self.consume(until)

    @precondition(lambda self: self.consumed == len(self.log) > 0)
    @rule()
    def fall_silent(self) -> None:
        """Nothing more to read: idle rooms are closed by the log's time, and ticks asked for by the clock."""
        prepared = self.batches.prepare([], Quiet(self.time, {PLACE: len(self.log)}, look=True))
        self.batches.write(prepared)
        for at in prepared.ticks.values():
            self.log.append(Record(len(self.log), max(at, self.time), Tick()))

    # -- what must hold ------------------------------------------------------------------------------------------------
    def folds(self) -> Iterator[tuple[RoomKey, Folded]]:
        """Each room as the pure fold has it, of what was consumed, as of the log's time there."""
        now = max((record.timestamp for record in self.log[: self.consumed]), default=0)
        for key, entries in received(self.log[: self.consumed]).items():
            done = fold(folded(entries, now, WAIT), IDLE, now)
            if done is not None:
                yield key, done

    @invariant()
    def the_rows_are_the_folds(self) -> None:
        standing = self.tables.standing(self.tables.moves_rows)
        certain: dict[Any, Any] = {}
        possible: dict[Any, Any] = {}
        for key, done in self.folds():
            for row in done.rows:
                rows = possible if row.part == TIMEOUT_PART else certain
                rows[self._row_key(key, row)] = (row.move, row.step, row.dialog, row.next_step, row.next_dialog)
        found = {
            key: tuple(row[name] for name in ("move", "step", "dialog", "next_step", "next_dialog"))
            for key, row in standing.items()
        }
        assert certain.items() <= found.items(), "a row is missing or wrong"
        # a timeout is written when its room speaks or is looked at; none stands that the fold does not have
        assert found.items() <= {**certain, **possible}.items(), "a row outlived its reason"

    def _row_key(self, key: RoomKey, row: Any) -> Any:
        return (key, row.bot_id, self.tables.calendar.day(row.occurred_at), row.seq, row.part)

    @invariant()
    def the_balance_holds(self) -> None:
        for _, done in self.folds():
            room = done.room
            open_visit = {(room.bot_id, room.step, room.dialog): 1} if room.is_open else {}
            assert imbalance(done.rows) == open_visit
            assert not (room.phase == CLOSED and room.is_open)
            assert all(count > 0 for count in inflow(done.rows).values())

    @invariant()
    def a_step_is_the_length_of_the_path(self) -> None:
        place = self.batches.partitions.get(PLACE)
        for held in [] if place is None else place.held.values():
            if held.room is not None:
                assert held.room.step == len(held.room.path)
                assert held.room.is_open <= bool(held.room.path)
                assert held.room.gaps >= 0

    @invariant()
    def the_counts_are_those_of_the_rows(self) -> None:
        assert self.tables.totals() == self.tables.counted_anew()

    @invariant()
    def versions_only_grow_and_no_two_rows_share_one(self) -> None:
        assert not self.tables.ties
        for table in (self.tables.moves_rows, self.tables.rooms_rows):
            for key, (version, is_deleted, row) in table.items():
                before = self.seen_versions.get(key)
                if before is not None and (is_deleted, row) != before[1:] and not (is_deleted and before[1]):
                    assert version > before[0], f"{key} changed under version {version}"
                assert before is None or version >= before[0]
                self.seen_versions[key] = version, is_deleted, dict(row)

    @invariant()
    def every_event_is_there_once_and_every_breach_is_kept(self) -> None:
        rooms = received(self.log[: self.consumed])
        turns = {(key, seq): entry.offset for key, entries in rooms.items() for seq, entry in entries.items()}
        assert {key: row[4] for key, row in self.tables.turns_rows.items()} == turns
        letters = {
            record.offset
            for record in self.log[: self.consumed]
            if isinstance(record.sent, DeadLetter)
            or (isinstance(record.sent, tuple) and rooms[record.sent[0]][record.sent[1].seq].event != record.sent[1])
        }
        assert {offset for _, _, offset in self.tables.letters} == letters

    @invariant()
    def nothing_is_committed_past_what_waits(self) -> None:
        now = max((record.timestamp for record in self.log[: self.consumed]), default=0)
        for entries in received(self.log[: self.consumed]).values():
            done = {entry.offset for entry in folded(entries, now, WAIT)}
            assert all(entry.offset in done or entry.offset >= self.committed for entry in entries.values())

    def teardown(self) -> None:
        """At rest: gaps are given up and idle rooms closed; in whatever order it came, the rooms are the same."""
        self.time = max(self.time, *self.last.values()) + 4 * IDLE  # a sender's clock may be days ahead
        for _ in range(6):
            while self.consumed < len(self.log):
                self.consume(100)
            if self.log:
                self.fall_silent()
        self.the_rows_are_the_folds()
        assert self.committed == self.consumed == len(self.log)
        standing = self.tables.standing(self.tables.rooms_rows)
        expected = {(key, self.tables.calendar.day(done.room.opened_at)): done for key, done in self.folds()}
        assert {key: (row["phase"], row["closed_by"], row["gaps"]) for key, row in standing.items()} == {
            key: (CLOSED, done.room.closed_by, done.room.gaps) for key, done in expected.items()
        }
        assert len([k for k in self.tables.standing(self.tables.moves_rows) if k[-1] == TIMEOUT_PART]) == sum(
            done.room.timeout is not None for done in expected.values()
        )


Rooms.TestCase.settings = settings(
    max_examples=int(os.environ.get("TURNPATH_TEST_EXAMPLES", "80")), stateful_step_count=30, deadline=None
)
TestRooms = Rooms.TestCase


@settings(max_examples=60, deadline=None)
@given(st.lists(events, min_size=1, max_size=7), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_rows(said: list[dict[str, Any]], rng: Any) -> None:
    """Rows and versions too: whoever comes to the same events writes the same."""
    key = KEYS[0]
    made = [Event(seq=n, occurred_at=T0 + n, bot_id="x", customer_id="c", **fields) for n, fields in enumerate(said, 1)]
    standing = []
    for shuffled in (made, rng.sample(made, len(made))):
        log = [Record(at, T0 + WAIT, (key, event)) for at, event in enumerate(shuffled)]
        tables = MemoryTables(Calendar("UTC"))
        batches = worker(tables, 100)
        with patch.object(batch, "decode_all", lambda poll: [record.sent for record in poll.records]):
            for record in log:
                batches.run([Poll(*PLACE, [record], len(log))])
        standing.append(tables.standing(tables.moves_rows))
    assert standing[0] == standing[1]
