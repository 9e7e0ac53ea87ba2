"""Rooms as the log of record has them: streamed out of `turns`, room by room, so that no day is too large.

What a seal published is checked against this, and only this: it shares no query with the seal's own way.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from journey.events import TOPIC_IMPORT, Entry, Event, RoomKey
from journey.fold import Folded, fold
from sql.client import Client, Params
from sql.sink import EVENT

_COLUMNS = (
    "site_id, room, room_id, customer, topic, partition, offset, toUnixTimestamp64Milli(received_at) AS received, "
    + ", ".join(f"toUnixTimestamp64Milli({name})" if name == "occurred_at" else name for name in EVENT)
)
_EVENT_FROM = 8
_SEQ = _EVENT_FROM + EVENT.index("seq")


@dataclass(frozen=True, slots=True)
class Known:
    """What a look at the log knew: what was received by `as_of` (ms), and of imports what lay below these offsets.

    An imported event carries the time that its sender gives, so that time does not say when it came. `imported`:
    partition -> offset; None: all that is there.
    """

    as_of: int
    imported: Mapping[int, int] | None = None

    def has(self, topic: str, partition: int, offset: int, received_at: int) -> bool:
        """Was this record known?"""
        if received_at > self.as_of:
            return False
        return self.imported is None or topic != TOPIC_IMPORT or offset < self.imported.get(partition, 0)


def imported_below(reached: Iterable[tuple[str, int, int]]) -> dict[int, int] | None:
    """Of (topic, partition, offset) those of the imports, for `Known`; None where nothing is said of them."""
    return {partition: offset for topic, partition, offset in reached if topic == TOPIC_IMPORT} or None


@dataclass(frozen=True, slots=True)
class FoldedRoom:
    """A room folded from what was known; `room` and `customer`: the hashes by which `daily` knows them."""

    key: RoomKey
    room: int
    customer: int
    folded: Folded


def fold_turns(
    client: Client, condition: str, parameters: Params, known: Known, idle: int, now: int
) -> Iterator[FoldedRoom]:
    """The rooms of `turns` for which `condition` holds, in the order of site and hash, folded with `now` (ms).

    Rooms of which nothing was known are left out. The connection is this stream's until it ends.
    """
    sql = f"SELECT {_COLUMNS} FROM turns WHERE {condition} ORDER BY site_id, room, seq, offset"
    for (site_id, room), rows in groupby(client.stream(sql, parameters), key=lambda row: (row[0], row[1])):
        taken = [row for row in _first_copies(rows) if known.has(row[4], row[5], row[6], row[7])]
        folded = fold((Entry(Event(*row[_EVENT_FROM:]), row[6], row[7]) for row in taken), idle, now)
        if folded is not None:
            yield FoldedRoom(RoomKey(site_id, taken[0][2]), room, taken[0][3], folded)


def _first_copies(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Of each seq the copy with the lowest offset: what came again changes nothing."""
    for _, copies in groupby(rows, key=lambda row: row[_SEQ]):
        yield next(copies)
