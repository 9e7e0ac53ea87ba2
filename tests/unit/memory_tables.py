"""ClickHouse's tables in memory, with ReplacingMergeTree's rule, for running the worker's batches without services.

The engine itself is tested in tests/integration; here it is the protocol that is tried, in many short histories.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from journey.calendar import Calendar
from journey.events import Entry, Event, RoomKey
from journey.room import TIMEOUT_PART
from sql.edges import Edge
from sql.readback import Found, PlaceDay, Silent
from sql.sink import MOVES, ROOMS, TURNS

_EDGE = ("step", "dialog", "move", "message", "next_step", "next_dialog")


class MemoryTables:
    """What `Batches` reads and writes. `crash_at`: raise Crashed instead of the n-th insert from now on."""

    def __init__(self, calendar: Calendar) -> None:
        self.calendar = calendar
        self.turns_rows: dict[tuple[RoomKey, int], tuple[Any, ...]] = {}
        self.letters: dict[tuple[str, int, int], tuple[Any, ...]] = {}
        self.moves_rows: dict[tuple[Any, ...], tuple[int, int, dict[str, Any]]] = {}
        self.rooms_rows: dict[tuple[Any, ...], tuple[int, int, dict[str, Any]]] = {}
        self.counts_rows: dict[tuple[Any, ...], tuple[int, int]] = {}
        self.timeouts_rows: dict[tuple[Any, ...], dict[tuple[RoomKey, int], int]] = {}
        self.totals_rows: dict[tuple[Any, ...], tuple[int, int]] = {}
        self.times: dict[tuple[str, int, int], int] = {}
        self.ties: list[Any] = []
        self.crash_at: int | None = None

    # -- reads
    def partition_time(self, topic: str, partition: int, offset: int) -> int:
        return max(
            (t for (a, b, o), t in self.times.items() if (a, b) == (topic, partition) and o <= offset), default=0
        )

    def known_rooms(self, keys: Iterable[RoomKey]) -> dict[RoomKey, set[str]]:
        found: dict[RoomKey, set[str]] = {}
        asked = set(keys)
        for (key, _), (_, _, row) in self.rooms_rows.items():
            if key in asked:
                found.setdefault(key, set()).add(row["topic"])
        return found

    def entries(self, keys: Iterable[RoomKey]) -> list[Found]:
        asked = set(keys)
        return [
            Found(key, row[2], row[3], Entry(Event(*row[6:]), row[4], row[5]))
            for (key, _), row in self.turns_rows.items()
            if key in asked
        ]

    def silent_rooms(self, since: int, bound: int, most: int) -> list[Silent]:
        found = [
            Silent(key, row["topic"], row["partition"], row["last_at"])
            for (key, _), row in self.standing(self.rooms_rows).items()
            if row["phase"] != "closed" and since < row["last_at"] <= bound
        ]
        return sorted(found, key=lambda silent: silent.last_at)[:most]

    def counts(self, asked: Iterable[PlaceDay], most: int) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for place_day in asked:
            rows = [row for row in self._counted() if ((row[0], row[1]), row[2]) == place_day]
            found += rows[:most]
        return found

    def edges(self, asked: Mapping[PlaceDay, Iterable[Edge]]) -> list[tuple[Any, ...]]:
        return [row for row in self._counted() if row[3:-2] in asked.get(((row[0], row[1]), row[2]), ())]

    def _counted(self) -> list[tuple[Any, ...]]:
        return [(*key, *row) for key, row in self.counts_rows.items()]

    # -- writes
    def turns(self, rows: Any) -> None:
        self._may_crash()
        offset = TURNS.index("offset")
        for row in rows:
            key = RoomKey(row[0], row[1]), row[TURNS.index("seq")]
            if key not in self.turns_rows or row[offset] < self.turns_rows[key][offset]:
                self.turns_rows[key] = row

    def dead_letters(self, rows: Any) -> None:
        self._may_crash()
        self.letters.update({row[:3]: row for row in rows})

    def bots(self, rows: Any) -> None:
        assert not rows

    def moves(self, rows: Any) -> None:
        self._may_crash()
        for row in rows:
            named = dict(zip(MOVES, row, strict=True))
            key = RoomKey(row[0], row[1]), named["bot_id"], self.calendar.day(named["occurred_at"])
            if named["part"] == TIMEOUT_PART:
                self._note_timeout(key, named)
            self._replace(self.moves_rows, (*key, named["seq"], named["part"]), named)

    def _note_timeout(self, key: tuple[Any, ...], row: dict[str, Any]) -> None:
        """As the materialized view does; whether a row is a tombstone, its version says."""
        assert row["is_deleted"] == 1 - row["version"] % 2
        rows = self.timeouts_rows.setdefault(_edge_of(key, row), {})
        rows[key[0], row["seq"]] = max(row["version"], rows.get((key[0], row["seq"]), 0))

    def timeouts(self, edges: Any) -> None:
        self._may_crash()
        for day, edge in edges:
            versions = self.timeouts_rows[day, *edge].values()
            self._total((day, *edge), sum(versions), sum(version % 2 for version in versions))

    def rooms(self, rows: Any) -> None:
        self._may_crash()
        for row in rows:
            named = dict(zip(ROOMS, row, strict=True))
            self._replace(self.rooms_rows, (RoomKey(row[0], row[1]), self.calendar.day(named["opened_at"])), named)

    def edge_counts(self, rows: Any) -> None:
        """A day's rows of an insert appear at once, its days one after the other."""
        days = sorted({row[2] for row in rows})
        for day in days or [None]:
            self._may_crash()
            for *key, moves, upto in (row for row in rows if row[2] == day):
                if upto >= self.counts_rows.get(tuple(key), (0, -1))[1]:
                    self.counts_rows[tuple(key)] = moves, upto

    def edge_totals(self, rows: Any) -> None:
        """Each edge of these rows over all partitions, as far as its rows stand."""
        self._may_crash()
        for edge in edges_of(rows, self.counts_rows):
            standing = [row for key, row in self.counts_rows.items() if key[2:] == edge]
            self._total(edge, sum(upto + 1 for _, upto in standing), sum(moves for moves, _ in standing))

    def _total(self, edge: tuple[Any, ...], version: int, moves: int) -> None:
        assert self.totals_rows.get(edge, (version, moves)) <= (version, moves), "nothing else was read meanwhile"
        self.totals_rows[edge] = version, moves

    def progress(self, rows: Any) -> None:
        self._may_crash()
        for topic, partition, offset, time, _ in rows:
            place = (topic, partition, offset)
            assert self.times.get(place, time) == time, "the partition's time at an offset is a function of the log"
            self.times[place] = time

    def _replace(self, table: dict[Any, Any], key: Any, row: dict[str, Any]) -> None:
        version, is_deleted = row.pop("version"), row.pop("is_deleted")
        old = table.get(key)
        if old is None or version >= old[0]:
            if old is not None and version == old[0] and (is_deleted, row) != old[1:] and not (is_deleted and old[1]):
                self.ties.append((key, old, (version, is_deleted, row)))
            table[key] = (version, is_deleted, row)

    def _may_crash(self) -> None:
        if self.crash_at is not None:
            self.crash_at -= 1
            if self.crash_at < 0:
                self.crash_at = None
                raise Crashed

    # -- what stands
    def standing(self, table: dict[Any, tuple[int, int, dict[str, Any]]]) -> dict[Any, dict[str, Any]]:
        """FINAL: the newest version of each key, without tombstones."""
        return {key: row for key, (_, is_deleted, row) in table.items() if not is_deleted}

    def totals(self) -> Counter[tuple[Any, ...]]:
        """What live_counts would say, by (day, *edge)."""
        return +Counter({edge: moves for edge, (_, moves) in self.totals_rows.items()})

    def counted_anew(self) -> Counter[tuple[Any, ...]]:
        """What that must be: the rows that stand, by (day, *edge)."""
        return Counter(_edge_of(key, row) for key, row in self.standing(self.moves_rows).items())


def _edge_of(key: tuple[Any, ...], row: dict[str, Any]) -> tuple[Any, ...]:
    """(day, *edge) of a row of `moves`; `key` begins with its room, bot and day."""
    return (key[2], key[0].site_id, key[1], *(row[name] for name in _EDGE))


def edges_of(rows: Any, standing: Mapping[tuple[Any, ...], tuple[int, int]]) -> set[tuple[Any, ...]]:
    """The edges (day, *edge) of rows of edge_counts, found as the sink does: in what stands, by partition and `upto`.

    A row may not stand any more: merged away by another worker's that was ahead.
    """
    least: dict[Any, int] = {}
    for row in rows:
        least[row[:2]] = min(row[-1], least.get(row[:2], row[-1]))
    days = {row[2] for row in rows}
    return {key[2:] for key, (_, upto) in standing.items() if key[2] in days and upto >= least.get(key[:2], upto + 1)}


class Crashed(Exception):
    """The process died just here."""
