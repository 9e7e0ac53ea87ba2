"""The incremental counts: whoever counts, in whatever batches and how often, the totals are those of the log."""

import random
from collections import Counter
from datetime import date, timedelta
from typing import Any

import pytest

from stream.counts import Change, Counts, Edge
from stream.poll import Place

PLACE: Place = ("chatbot.turns", 3)
FIRST = date(2026, 11, 1)


def edge(name: str) -> Edge:
    return ("site", "bot", 1, name, "next_step", "go", 2, "b")


def changes_of(rng: random.Random, offset: int) -> list[Change]:
    """What a record caused, a function of its offset; a correction takes rows of earlier ones back."""
    day = FIRST + timedelta(days=rng.choice((0, 0, 0, 1, 2)))
    made: list[Change] = [(offset, day, edge(rng.choice("abc")), 1) for _ in range(rng.choice((0, 1, 1, 2)))]
    return made + [(offset, change[1], change[2], -1) for change in made if rng.random() < 0.2]


class Table:
    """edge_counts: of each key the row with the greatest `upto`; a day's rows of an insert appear at once."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Any, ...], tuple[int, int]] = {}

    def insert(self, rows: list[tuple[Any, ...]]) -> None:
        for *key, moves, upto in rows:
            if upto >= self.rows.get(tuple(key), (0, -1))[1]:
                self.rows[tuple(key)] = moves, upto

    def read(self, asked: set[tuple[Place, date]]) -> list[tuple[Any, ...]]:
        return [(*key, *row) for key, row in self.rows.items() if ((key[0], key[1]), key[2]) in asked]


class Worker:
    """Reads on from an offset; what it has counted is inserted now, later, or never."""

    def __init__(self, log: list[list[Change]], table: Table, offset: int, most_edges: int) -> None:
        self.log, self.table, self.offset = log, table, offset
        self.counts = Counts(most_edges)
        self.pending: list[list[tuple[Any, ...]]] = []

    def batch(self, size: int) -> None:
        some = [change for record in self.log[self.offset : self.offset + size] for change in record]
        asked = self.counts.unknown({PLACE: some})
        if asked:
            self.write()  # what is counted must stand before it is read back
            self.counts.restore(asked, self.table.read(asked))
        self.offset = min(self.offset + size, len(self.log))
        self.pending.append(self.counts.count(PLACE, some, self.offset - 1))
        if len(self.pending) > 1:
            self.table.insert(self.pending.pop(0))
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
    worker = Worker(log, table, 0, most_edges=100)
    while worker.offset < len(log):
        worker.batch(rng.choice((1, 2, 9)))
        if rng.random() < 0.3:
            worker.write()
            committed = rng.randint(committed, worker.offset)
        if rng.random() < 0.2:  # a successor begins at what is committed; the one before may write on for a while
            zombies.append(worker)
            worker = Worker(log, table, committed, most_edges=100)
        if zombies and rng.random() < 0.5:
            rng.choice(zombies).batch(3)
    for one in rng.sample([*zombies, worker], len(zombies) + 1):
        one.write()
    expected: Counter[tuple[date, Edge]] = Counter()
    for record in log:
        for _, day, of, sign in record:
            expected[day, of] += sign
    found = Counter({(key[2], tuple(key[3:])): moves for key, (moves, _) in table.rows.items()})
    assert +found == +expected


def test_an_edge_whose_changes_add_up_to_nothing_is_written() -> None:
    """Else the newest `upto` of the day would not say that they are counted."""
    counts, some = Counts(), [(7, FIRST, edge("a"), 1), (8, FIRST, edge("a"), -1)]
    counts.restore(counts.unknown({PLACE: some}), [])
    assert counts.count(PLACE, some, 9) == [(*PLACE, FIRST, *edge("a"), 0, 9)]


def test_days_not_touched_for_longest_leave_first() -> None:
    counts = Counts(most_edges=2)
    days = [FIRST + timedelta(days=n) for n in range(3)]
    for offset, day in enumerate([*days, days[0]]):
        some: list[Change] = [(offset, day, edge("a"), 1)]
        counts.restore(counts.unknown({PLACE: some}), [])
        counts.count(PLACE, some, offset)
    counts.shrink()
    asked = counts.unknown({PLACE: [(9, day, edge("a"), 1) for day in days]})
    assert asked == {(PLACE, days[1])}
