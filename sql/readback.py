"""Reading back what was written: the entries of rooms from `turns`, a partition's time from `progress`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from journey.events import Entry, Event, RoomKey
from sql.client import Client, Value
from sql.edges import OF_EDGES, Edge, edge_parameters
from sql.sink import EDGE_COUNTS, EVENT
from sql.slices import slices

#: A topic's partition, and a local day.
PlaceDay = tuple[tuple[str, int], date]

_ASKED = "SELECT arrayJoin(arrayZip({sites:Array(String)}, {rooms:Array(String)})) AS pair"
_HASHES = f"SELECT pair.1, reinterpretAsUInt128(sipHash128(pair.1, pair.2)) FROM ({_ASKED})"

#: `rooms` first: most rooms that are asked for are new, and `turns` is by far the larger table. By their hashes alone,
#: which hold the site: a set of pairs takes three times as long.
KNOWN = (
    "SELECT DISTINCT site_id, room_id, topic FROM rooms WHERE room IN (SELECT arrayJoin(arrayMap("
    "(site, id) -> reinterpretAsUInt128(sipHash128(site, id)), {sites:Array(String)}, {rooms:Array(String)})))"
)

_TURNS = (
    "SELECT site_id, room_id, topic, partition, offset, toUnixTimestamp64Milli(received_at), "
    + ", ".join(f"toUnixTimestamp64Milli({name})" if name == "occurred_at" else name for name in EVENT)
    + f" FROM turns WHERE (site_id, room) IN ({_HASHES})"
)

#: The time only grows with the offset: the last row up to there has it, read from the end of the key's order.
_TIME = (
    "SELECT toUnixTimestamp64Milli(time) FROM progress "
    "WHERE topic = {topic:String} AND partition = {partition:UInt16} AND offset <= {offset:UInt64} "
    "ORDER BY topic DESC, partition DESC, offset DESC LIMIT 1"
)

#: Open rooms whose last event lies in (since, bound]: first those that any version says so of, then their newest ones.
_SILENT = (
    "SELECT site_id, room_id, topic, partition, toUnixTimestamp64Milli(last_at) FROM rooms FINAL "
    "WHERE (site_id, day, room) IN (SELECT site_id, day, room FROM rooms WHERE phase != 'closed' "
    "AND last_at > fromUnixTimestamp64Milli({since:Int64}) AND last_at <= fromUnixTimestamp64Milli({bound:Int64})) "
    "AND phase != 'closed' AND last_at <= fromUnixTimestamp64Milli({bound:Int64}) "
    "ORDER BY rooms.last_at LIMIT {most:UInt32} BY topic, partition"
)

_COUNTS = (
    f"SELECT {', '.join(EDGE_COUNTS)} FROM edge_counts FINAL WHERE (topic, partition, day) IN "
    "(SELECT arrayJoin(arrayZip({topics:Array(String)}, {partitions:Array(UInt16)}, {days:Array(Date)})))"
)
_COUNTS_OF_DAYS = f"{_COUNTS} LIMIT {{most:UInt32}} BY topic, partition, day"
#: By the key's beginning, (site, hash of the edge); which of their rows were asked for, the caller knows.
_COUNTS_OF_EDGES = f"{_COUNTS} AND {OF_EDGES}"


@dataclass(frozen=True, slots=True)
class Found:
    """An entry in `turns`, with where it came from."""

    key: RoomKey
    topic: str
    partition: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Silent:
    """An open room in `rooms`; `last_at`: its last event, ms."""

    key: RoomKey
    topic: str
    partition: int
    last_at: int

    @property
    def place(self) -> tuple[str, int]:
        return self.topic, self.partition


class Readback:
    """Reads through one connection; every method raises what sql.client.Client raises."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def known_rooms(self, keys: Iterable[RoomKey]) -> dict[RoomKey, set[str]]:
        """Which of these rooms `rooms` has, and the topics that they came by."""
        topics: dict[RoomKey, set[str]] = {}
        for params in _parameters(keys):
            for site_id, room_id, topic in self._client.rows(KNOWN, params):
                topics.setdefault(RoomKey(site_id, room_id), set()).add(topic)
        return topics

    def entries(self, keys: Iterable[RoomKey]) -> list[Found]:
        """All that `turns` has of these rooms, in no order; a seq may be there more than once."""
        return [
            Found(RoomKey(row[0], row[1]), row[2], row[3], Entry(Event(*row[6:]), row[4], row[5]))
            for params in _parameters(keys)
            for row in self._client.rows(_TURNS, params)
        ]

    def silent_rooms(self, since: int, bound: int, most: int) -> list[Silent]:
        """The open rooms whose last event came after `since`, and none after `bound` (ms).

        Of each partition at most so many, the longest silent first.
        """
        rows = self._client.rows(_SILENT, {"since": since, "bound": bound, "most": most})
        return [Silent(RoomKey(row[0], row[1]), *row[2:]) for row in rows]

    def counts(self, asked: Iterable[PlaceDay], most: int) -> list[tuple[Any, ...]]:
        """What `edge_counts` has of these partitions' days, at most so many rows of each: as sql.sink.EDGE_COUNTS."""
        return self._client.rows(_COUNTS_OF_DAYS, {**_place_days(asked), "most": most})

    def edges(self, asked: Mapping[PlaceDay, Iterable[Edge]]) -> list[tuple[Any, ...]]:
        """What `edge_counts` has of these edges of these partitions' days: as sql.sink.EDGE_COUNTS."""
        found: list[tuple[Any, ...]] = []
        wanted = {edge for edges in asked.values() for edge in edges}
        for edges in slices(wanted):
            rows = self._client.rows(_COUNTS_OF_EDGES, {**_place_days(asked), **edge_parameters(edges)})
            found += [row for row in rows if row[3:-2] in asked[(row[0], row[1]), row[2]]]
        return found

    def partition_time(self, topic: str, partition: int, offset: int) -> int:
        """The partition's time (ms) when it had been consumed up to `offset`: 0 before the first record."""
        place: dict[str, Value] = {"topic": topic, "partition": partition, "offset": offset}
        rows = self._client.rows(_TIME, place)
        return rows[0][0] if rows else 0


def _parameters(keys: Iterable[RoomKey]) -> Iterator[dict[str, list[str]]]:
    for some in slices(keys):
        yield {"sites": [key.site_id for key in some], "rooms": [key.room_id for key in some]}


def _place_days(asked: Iterable[PlaceDay]) -> dict[str, list[Value]]:
    places = list(asked)
    return {
        "topics": [topic for (topic, _), _ in places],
        "partitions": [partition for (_, partition), _ in places],
        "days": [day for _, day in places],
    }
