"""The incremental counts of moves by edge, `edge_counts`: a replay, a correction or a zombie cannot count twice.

A change of a room's rows counts at the offset of the record that caused it, and for the local day of the row. What a
batch changes is written as totals with `upto`, the batch's last offset; the totals up to an offset are a function of
the log, so whoever writes them writes the same. An edge's total is read back at its first use: what was caused at or
below its `upto` is in it already. Rows of parts 0 and 1 only: a timeout's may be written by a quiet look at the
clock, which has no offset; they are counted anew from the rows that stand (sql/sink.py).

A day of a partition is read back whole, unless it has very many edges (buttons with an order's number in them make one
each): then only those that a batch touches, so that memory and work stay bounded.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from itertools import islice
from typing import Any

from journey.events import RoomKey
from journey.room import Row
from sql.edges import Edge
from sql.readback import PlaceDay
from stream.poll import Place

#: A row more, or fewer: the offset of the record that caused it, the row's local day, its edge, +1 or -1.
Change = tuple[int, date, Edge, int]

#: How many edges are held, over all partitions and days; those that were not touched for longest leave first.
MOST_EDGES = 300_000
#: Of a partition's day so large a part of them is read back whole: some two days of twelve partitions.
_WHOLE_PART = 16


def edge_of(key: RoomKey, row: Row) -> Edge:
    """What a row is counted under."""
    return (key.site_id, row.bot_id, row.step, row.dialog, row.move, row.message, row.next_step, row.next_dialog)


class Day:
    """A day of one partition. `totals`: of each edge held, [moves, the offset up to which they count].

    `whole`: an edge that is not held has none.
    """

    __slots__ = ("totals", "whole")

    def __init__(self, whole: bool) -> None:
        self.whole = whole
        self.totals: dict[Edge, list[int]] = {}


class Counts:
    """The totals in memory, of the edges that were touched lately; of one assignment."""

    def __init__(self, most_edges: int = MOST_EDGES) -> None:
        self._most_edges = most_edges
        self._days: dict[PlaceDay, Day] = {}

    @property
    def most_of_a_day(self) -> int:
        """So many edges of a partition's day are read back at its first use."""
        return max(1, self._most_edges // _WHOLE_PART)

    def forget(self) -> None:
        """A new assignment begins with empty memory."""
        self._days.clear()

    def unknown_days(self, changes: Mapping[Place, Iterable[Change]]) -> set[PlaceDay]:
        """The days of these partitions that were not used yet."""
        touched = {(place, change[1]) for place, some in changes.items() for change in some}
        return touched.difference(self._days)

    def unknown_edges(self, changes: Mapping[Place, Iterable[Change]]) -> dict[PlaceDay, set[Edge]]:
        """The edges that must be read back before these changes are counted; their days were used before."""
        unknown: dict[PlaceDay, set[Edge]] = {}
        for place, some in changes.items():
            for _, day, edge, _ in some:
                held = self._days[place, day]
                if not held.whole and edge not in held.totals:
                    unknown.setdefault((place, day), set()).add(edge)
        return unknown

    def restore_days(self, asked: Iterable[PlaceDay], found: Iterable[tuple[Any, ...]]) -> None:
        """Take in days, `most_of_a_day` edges of each at most: rows (topic, partition, day, *edge, moves, upto)."""
        days = {place_day: Day(whole=True) for place_day in asked}
        for topic, partition, day, *edge, moves, upto in found:
            days[(topic, partition), day].totals[tuple(edge)] = [moves, upto]
        for day_read in days.values():
            day_read.whole = len(day_read.totals) < self.most_of_a_day
        self._days.update(days)

    def restore_edges(self, asked: Mapping[PlaceDay, Iterable[Edge]], found: Iterable[tuple[Any, ...]]) -> None:
        """Take in edges that were read back, in such rows; those of which there is no row have no moves yet."""
        for place_day, edges in asked.items():
            self._days[place_day].totals.update((edge, [0, -1]) for edge in edges)
        for topic, partition, day, *edge, moves, upto in found:
            self._days[(topic, partition), day].totals[tuple(edge)] = [moves, upto]

    def count(self, place: Place, changes: Iterable[Change], last: int) -> list[tuple[Any, ...]]:
        """Count a batch's changes of a partition; the rows to be written, in the order of `restore_days`.

        `last`: the batch's last offset. Each edge that was touched is written, also where its changes add up to
        nothing, else a zombie's row of before would stand; or where all were counted before: a worker may have died
        between edge_counts and edge_totals, which has the edges of the rows written.
        """
        touched: dict[date, dict[Edge, list[int]]] = {}
        for offset, day, edge, sign in changes:
            total = self._days[place, day].totals.setdefault(edge, [0, -1])
            total[0] += sign * (offset > total[1])
            touched.setdefault(day, {})[edge] = total
        return [row for day, totals in touched.items() for row in self._written(place, day, totals, last)]

    def _written(self, place: Place, day: date, totals: dict[Edge, list[int]], last: int) -> list[tuple[Any, ...]]:
        held = self._days[place, day] = self._days.pop((place, day))  # the last touched stands last
        for edge, total in totals.items():
            total[1] = max(total[1], last)  # what was read back may be ahead: then it has all of the batch
            held.totals[edge] = held.totals.pop(edge)
        return [(*place, day, *edge, *total) for edge, total in totals.items()]

    def shrink(self) -> None:
        """Drop the edges that were not touched for longest, a day after the other."""
        surplus = sum(len(day.totals) for day in self._days.values()) - self._most_edges
        for day in self._days.values():
            if surplus <= 0:
                return
            leaving = list(islice(day.totals, surplus))
            day.whole = day.whole and not leaving
            for edge in leaving:
                del day.totals[edge]
            surplus -= len(leaving)
