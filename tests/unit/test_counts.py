"""The incremental counts: whoever counts, in whatever batches and how often, the totals are those of the log."""

import random
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import pytest

from sql.edges import Edge
from sql.readback import PlaceDay
from stream.counts import Change, Counts
from stream.poll import Place
from tests.unit.memory_tables import edges_of

PLACE: Place = ("chatbot.turns", 3)
OTHER: Place = ("chatbot.turns", 4)
FIRST = date(2026, 11, 1)


def edge(name: str) -> Edge:
    return ("site", "bot", 1, name, "next_step", "go", 2, "b")


def changes_of(rng: random.Random, offset: int) -> list[Change]:
    """What a record caused, a function of its offset; a correction takes rows of earlier ones back."""
    day = FIRST + timedelta(days=rng.choice((0, 0, 0, 1, 2)))
    made: list[Change] = [(offset, day, edge(rng.choice("abc")), 1) for _ in range(rng.choice((0, 1, 1, 2)))]
    return made + [(offset, change[1], change[2], -1) for change in made if rng.random() < 0.2]


class Table:
    """edge_counts: of each key the row with the greatest `upto`; a day's rows of an insert appear at once.

    `totals`: edge_totals, counted anew from these, and written a moment later.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[Any, ...], tuple[int, int]] = {}
        self.totals: dict[tuple[Any, ...], tuple[int, int]] = {}
        self.late: list[dict[tuple[Any, ...], tuple[int, int]]] = []

    def insert(self, rows: list[tuple[Any, ...]], *, torn: bool = False, late: bool = False) -> None:
        """`torn`: the worker dies before it counts the totals; `late`: it stands still before it writes them."""
        for *key, moves, upto in rows:
            if upto >= self.rows.get(tuple(key), (0, -1))[1]:
                self.rows[tuple(key)] = moves, upto
        if not torn:
            self.late.append({edge: self._total(edge) for edge in edges_of(rows, self.rows)})
        while self.late and not late:
            self.write(self.late.pop())

    def _total(self, edge: tuple[Any, ...]) -> tuple[int, int]:
        standing = [row for key, row in self.rows.items() if key[2:] == edge]
        return sum(moves for moves, _ in standing), sum(upto + 1 for _, upto in standing)

    def write(self, totals: dict[tuple[Any, ...], tuple[int, int]]) -> None:
        for edge, (moves, version) in totals.items():
            if version >= self.totals.get(edge, (0, -1))[1]:
                self.totals[edge] = moves, version

    def days(self, asked: set[PlaceDay], most: int) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for place_day in asked:
            found += [row for row in self._all() if ((row[0], row[1]), row[2]) == place_day][:most]
        return found

    def edges(self, asked: dict[PlaceDay, set[Edge]]) -> list[tuple[Any, ...]]:
        return [row for row in self._all() if row[3:-2] in asked.get(((row[0], row[1]), row[2]), ())]

    def _all(self) -> list[tuple[Any, ...]]:
        return [(*key, *row) for key, row in self.rows.items()]


class Worker:
    """Reads on from an offset; what it has counted is inserted now, later, or never."""

    def __init__(
        self, log: list[list[Change]], table: Table, offset: int, most_edges: int, place: Place = PLACE
    ) -> None:
        self.log, self.table, self.offset, self.place = log, table, offset, place
        self.counts = Counts(most_edges)
        self.pending: list[list[tuple[Any, ...]]] = []

    def batch(self, size: int, *, late: bool = False) -> None:
        some = [change for record in self.log[self.offset : self.offset + size] for change in record]
        if days := self.counts.unknown_days({self.place: some}):
            self.write()  # what is counted must stand before it is read back
            self.counts.restore_days(days, self.table.days(days, self.counts.most_of_a_day))
        if edges := self.counts.unknown_edges({self.place: some}):
            self.write()
            self.counts.restore_edges(edges, self.table.edges(edges))
        self.offset = min(self.offset + size, len(self.log))
        self.pending.append(self.counts.count(self.place, some, self.offset - 1))
        if len(self.pending) > 1:
            self.table.insert(self.pending.pop(0), late=late)
            self.counts.shrink()

    def write(self) -> None:
        for rows in self.pending:
            self.table.insert(rows)
        self.pending.clear()


@pytest.mark.parametrize("seed", range(200))
def test_crashes_replays_and_zombies_count_once(seed: int) -> None:
    rng = random.Random(seed)
    log = [changes_of(rng, offset) for offset in range(rng.choice((5, 40, 150)))]
    table, committed, zombies = Table(), 0, list[Worker]()
    most = rng.choice((1, 3, 100))
    worker, other = Worker(log, table, 0, most), Worker(log, table, 0, most, OTHER)
    while min(worker.offset, other.offset) < len(log):
        worker.batch(rng.choice((1, 2, 9)), late=rng.random() < 0.3)
        other.batch(rng.choice((1, 3)), late=rng.random() < 0.3)
        if rng.random() < 0.3:
            worker.write()
            committed = rng.randint(committed, worker.offset)
        if rng.random() < 0.2:  # a successor begins at what is committed; the one before may write on for a while
            if rng.random() < 0.3:
                for rows in worker.pending[:1]:
                    table.insert(rows, torn=True)
            else:
                zombies.append(worker)
            worker = Worker(log, table, committed, most)
        if zombies and rng.random() < 0.5:
            rng.choice(zombies).batch(3)
    for one in rng.sample([*zombies, worker, other], len(zombies) + 2):
        one.write()
    expected: Counter[tuple[date, Edge]] = Counter()
    for record in log:
        for _, day, of, sign in record:
            expected[day, of] += sign
    for place in (PLACE, OTHER):
        found = {(key[2], key[3:]): moves for key, (moves, _) in table.rows.items() if key[:2] == place}
        assert +Counter(found) == +expected
    totals = Counter({(key[0], key[1:]): moves for key, (moves, _) in table.totals.items()})
    assert +totals == +expected + expected


def known(counts: Counts, some: list[Change], rows: Iterable[tuple[Any, ...]] = ()) -> dict[PlaceDay, set[Edge]]:
    """Read back what these changes need, where the table has these rows; the edges that were asked for."""
    days = counts.unknown_days({PLACE: some})
    counts.restore_days(days, list(rows)[: counts.most_of_a_day])
    edges = counts.unknown_edges({PLACE: some})
    counts.restore_edges(edges, [row for row in rows if row[3:-2] in edges.get((PLACE, row[2]), ())])
    return edges


def test_an_edge_whose_changes_add_up_to_nothing_is_written() -> None:
    """Else the row of a zombie, of before the second of them, would stand."""
    counts, some = Counts(), [(7, FIRST, edge("a"), 1), (8, FIRST, edge("a"), -1)]
    known(counts, some)
    assert counts.count(PLACE, some, 9) == [(*PLACE, FIRST, *edge("a"), 0, 9)]


def test_what_was_counted_before_is_written_once_more() -> None:
    """A worker may have died between edge_counts, which has it, and edge_totals."""
    counts, some = Counts(), [(7, FIRST, edge("a"), 1)]
    known(counts, some, [(*PLACE, FIRST, *edge("a"), 5, 9)])
    assert counts.count(PLACE, some, 8) == [(*PLACE, FIRST, *edge("a"), 5, 9)]


def test_of_a_day_with_very_many_edges_those_are_read_back_that_are_touched() -> None:
    """Buttons with an order's number in them: the memory of a worker grew all day."""
    counts = Counts(most_edges=32)
    table = [(*PLACE, FIRST, *edge(str(n)), 5, 100) for n in range(1000)]
    some: list[Change] = [(101, FIRST, edge(str(n)), 1) for n in (0, 500, 1000)]
    assert known(counts, some, table) == {(PLACE, FIRST): {edge("500"), edge("1000")}}
    assert [row[-2:] for row in counts.count(PLACE, some, 101)] == [(6, 101), (6, 101), (1, 101)]


def test_no_more_edges_are_held_than_shall_be_those_not_touched_for_longest_leave() -> None:
    counts = Counts(most_edges=3)
    for offset, name in enumerate("abcdeb"):
        some: list[Change] = [(offset, FIRST, edge(name), 1)]
        known(counts, some)
        counts.count(PLACE, some, offset)
        counts.shrink()
    touched: list[Change] = [(9, FIRST, edge(name), 1) for name in "abcde"]
    assert counts.unknown_edges({PLACE: touched}) == {(PLACE, FIRST): {edge("a"), edge("c")}}


def test_days_not_touched_for_longest_leave_first() -> None:
    counts = Counts(most_edges=2)
    days = [FIRST + timedelta(days=n) for n in range(3)]
    for offset, day in enumerate([*days, days[0]]):
        some: list[Change] = [(offset, day, edge("a"), 1)]
        known(counts, some)
        counts.count(PLACE, some, offset)
    counts.shrink()
    assert counts.unknown_edges({PLACE: [(9, day, edge("a"), 1) for day in days]}) == {(PLACE, days[1]): {edge("a")}}
