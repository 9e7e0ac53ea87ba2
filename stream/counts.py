"""The incremental counts of moves by edge, `edge_counts`: a replay, a correction or a zombie cannot count twice.

A change of a room's rows counts at the offset of the record that caused it, and for the local day of the row. What a
batch changes is written as totals with `upto`, the batch's last offset; the totals up to an offset are a function of
the log, so whoever writes them writes the same. At the first use of a day of a partition its totals are read back;
what was caused at or below the newest `upto` among them is in them already. Rows of parts 0 and 1 only: a timeout's
may be written by a quiet look at the clock, which has no offset (live_counts adds them from `timeouts`).
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from journey.events import RoomKey
from journey.room import Row
from stream.poll import Place

#: site_id, bot_id, step, dialog, move, message, next_step, next_dialog
Edge = tuple[str, str, int, str, str, str, int, str]

#: A row more, or fewer: the offset of the record that caused it, the row's local day, its edge, +1 or -1.
Change = tuple[int, date, Edge, int]

PlaceDay = tuple[Place, date]

#: How many edges are held, over all partitions and days; days that were not touched for longest leave first.
MOST_EDGES = 300_000


def edge_of(key: RoomKey, row: Row) -> Edge:
    """What a row is counted under."""
    return (key.site_id, row.bot_id, row.step, row.dialog, row.move, row.message, row.next_step, row.next_dialog)


class Day:
    """A day's totals of one partition. `upto`: what was caused up to this offset is in them; -1 before anything."""

    __slots__ = ("totals", "upto")

    def __init__(self) -> None:
        self.upto = -1
        self.totals: dict[Edge, int] = {}


class Counts:
    """The totals in memory, of the partitions and days that were touched lately; of one assignment."""

    def __init__(self, most_edges: int = MOST_EDGES) -> None:
        self._most_edges = most_edges
        self._days: dict[PlaceDay, Day] = {}

    def forget(self) -> None:
        """A new assignment begins with empty memory."""
        self._days.clear()

    def unknown(self, changes: Mapping[Place, Iterable[Change]]) -> set[PlaceDay]:
        """The days of these partitions that must be read back before these changes are counted."""
        touched = {(place, change[1]) for place, some in changes.items() for change in some}
        return touched.difference(self._days)

    def restore(self, asked: Iterable[PlaceDay], found: Iterable[tuple[Any, ...]]) -> None:
        """Take in what was read back in one query: rows (topic, partition, day, *edge, moves, upto)."""
        self._days.update((place_day, Day()) for place_day in asked)
        for topic, partition, day, *edge, moves, upto in found:
            of_day = self._days[(topic, partition), day]
            of_day.totals[tuple(edge)] = moves
            of_day.upto = max(of_day.upto, upto)

    def count(self, place: Place, changes: Iterable[Change], last: int) -> list[tuple[Any, ...]]:
        """Count a batch's changes of a partition; the rows to be written, in the order of `restore`.

        `last`: the batch's last offset. Each edge that was touched is written, also where its changes add up to
        nothing: the greatest `upto` of the day says what is counted.
        """
        touched: dict[date, dict[Edge, None]] = {}
        for offset, day, edge, sign in changes:
            of_day = self._days[place, day]
            if offset > of_day.upto:
                of_day.totals[edge] = of_day.totals.get(edge, 0) + sign
                touched.setdefault(day, {})[edge] = None
        rows: list[tuple[Any, ...]] = []
        for day, edges in touched.items():
            of_day = self._days[place, day] = self._days.pop((place, day))  # the last touched stands last
            of_day.upto = last
            rows += [(*place, day, *edge, of_day.totals[edge], last) for edge in edges]
        return rows

    def shrink(self) -> None:
        """Drop the days that were not touched for longest. Their rows must be in `edge_counts`."""
        held = sum(len(day.totals) for day in self._days.values())
        for place_day in list(self._days):
            if held <= self._most_edges:
                return
            held -= len(self._days.pop(place_day).totals)
