"""The questions of docs/sql.md on sealed days, with their answers counted another way (oracle.py)."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sql.client import Client
from tests.e2e.oracle import Day

DOCS = (Path(__file__).parents[2] / "docs" / "sql.md").read_text()
Node = tuple[int, str]
Rows = list[tuple[Any, ...]]
#: Those asked here; tests/integration/test_sql_questions.py has those on now.
NUMBERS = (1, 2, 4, 5, 6, 7, 8, 9)


class Week:
    """A bot's figures over some sealed days, added up in plain Python."""

    def __init__(self, days: dict[date, Day], wanted: Iterable[date], site: str, bot: str) -> None:
        self.edges: Counter[tuple[Any, ...]] = Counter()
        self.inflow: Counter[Node] = Counter()
        self.rooms: dict[tuple[Any, ...], set[str]] = {}
        self.customers: dict[tuple[Any, ...], set[str]] = {}
        for day in [days[day] for day in wanted if day in days]:
            for edge, count in day.moves.items():
                if edge[:2] == (site, bot):
                    self.edges[edge[2:]] += count
                    self.rooms.setdefault(edge[2:], set()).update(day.edge_rooms[edge])
                    self.customers.setdefault(edge[2:], set()).update(day.edge_customers[edge])
            self.inflow.update({node[2:]: count for node, count in day.inflow.items() if node[:2] == (site, bot)})

    def left_by(self, move: str) -> Counter[Node]:
        left: Counter[Node] = Counter()
        for (step, dialog, by, *_), count in self.edges.items():
            if by == move:
                left[step, dialog] += count
        return left

    def by_node(self, move: str, *also: str) -> Rows:
        """Of each (step, dialog) left by `move`: how often, then the counts of `also`, and the share of its inflow."""
        counted, others = self.left_by(move), [self.left_by(other) for other in also]
        found = [
            (*node, count, *(other[node] for other in others), round(100 * count / self.inflow[node], 1))
            for node, count in counted.items()
        ]
        return sorted(found, key=lambda row: (-row[2], row[:2]))


def check(client: Client, days: dict[date, Day], site: str, bot: str, first: date) -> int:
    """Ask the questions on the week from `first` and compare the answers; how many rows there were."""
    week, before = _days(first), _days(first - timedelta(days=7))
    now, then = Week(days, week, site, bot), Week(days, before, site, bot)
    menu = max(now.inflow, key=lambda node: (now.inflow[node], node))[1]
    answers: dict[int, Callable[[], Rows]] = {
        1: lambda: [(s, d, now.inflow[s, d], n, p) for s, d, n, p in now.by_node("dropout")],
        2: lambda: now.by_node("agent_connect", "agent_served"),
        4: lambda: _changes(now, then),
        5: lambda: _chosen(now, menu),
        6: lambda: _came_from(now, menu),
        7: lambda: _depth(now),
        8: lambda: now.by_node("error"),
        9: lambda: [_totals(now)],
    }
    assert tuple(answers) == NUMBERS
    total = 0
    for number, answer in answers.items():
        got = client.rows(_asked(number, site, bot, week, before, menu))
        assert [_rounded(row) for row in got] == [_rounded(row) for row in answer()], f"question {number}"
        total += len(got)
    return total


def _asked(number: int, site: str, bot: str, week: list[date], before: list[date], menu: str) -> str:
    text = re.search(rf"### {number}\. .*?```sql\n(.*?)```", DOCS, re.DOTALL)
    assert text is not None
    this, last = ("2026-11-08", "2026-11-14"), ("2026-11-01", "2026-11-07")
    if number != 4:
        this, last = last, this
    put = {"'shop'": f"'{site}'", "'orders'": f"'{bot}'", "'menu'": f"'{menu}'"}
    put |= {
        f"'{old}'": f"'{new}'"
        for old, new in zip((*this, *last), (week[0], week[-1], before[0], before[-1]), strict=True)
    }
    return re.sub("|".join(map(re.escape, put)), lambda found: put[found[0]], text[1])


def _days(first: date) -> list[date]:
    return [first + timedelta(days=n) for n in range(7)]


def _rounded(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(round(value, 1) if isinstance(value, float) else value for value in row)


def _changes(now: Week, then: Week) -> Rows:
    rows = []
    gone_now, gone_then = now.left_by("dropout"), then.left_by("dropout")
    for node in now.inflow.keys() | then.inflow.keys():
        more = now.inflow[node] - then.inflow[node]
        rate = _share(gone_now[node], now.inflow[node]) - _share(gone_then[node], then.inflow[node])
        rows += [(*node, more, round(100 * rate, 1))] if more else []
    return sorted(rows, key=lambda row: (-abs(row[2]), row[:2]))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _chosen(now: Week, menu: str) -> Rows:
    chosen: Counter[str] = Counter()
    for (_, dialog, move, message, *_), count in now.edges.items():
        if (dialog, move) == (menu, "next_step"):
            chosen[message] += count
    whole = chosen.total()
    return sorted(((m, n, round(100 * n / whole, 1)) for m, n in chosen.items()), key=lambda row: (-row[1], row[0]))


def _came_from(now: Week, menu: str) -> Rows:
    rows = [
        (step, dialog, move, message, count, len(now.rooms[edge]), len(now.customers[edge]))
        for edge, count in now.edges.items()
        for step, dialog, move, message, _, to in [edge]
        if to == menu
    ]
    return sorted(rows, key=lambda row: (-row[4], row[:4]))


def _depth(now: Week) -> Rows:
    ended = now.left_by("bot_end")
    steps = sorted({step for step, _ in now.inflow})
    return [
        (s, sum(n for (at, _), n in now.inflow.items() if at == s), sum(n for (at, _), n in ended.items() if at == s))
        for s in steps
    ]


def _totals(now: Week) -> tuple[Any, ...]:
    def moves(name: str) -> int:
        return now.left_by(name).total()

    rooms, customers = set().union(*now.rooms.values()), set().union(*now.customers.values())
    timeouts = sum(count for edge, count in now.edges.items() if edge[2:4] == ("bot_end", "timeout"))
    ways = moves("agent_connect"), moves("agent_served"), moves("bot_end"), timeouts, moves("dropout")
    return len(rooms), len(customers), now.inflow.total(), *ways
