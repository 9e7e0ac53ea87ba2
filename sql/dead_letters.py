"""Reading the dead letters: newest first, one of them, how many of which reason, all in pages; what of them is counted.

A letter may have been written more than once (at least once, after a crash): everything here reads with FINAL.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from journey.events import MAX_BYTES, Event, RoomKey
from sql.client import Client, Table, Value
from sql.sink import EVENT

#: Letters a page: at most some 64 MB.
_PAGE = 1000

_WANTED = (
    "(empty({reasons:Array(String)}) OR reason IN {reasons:Array(String)}) "
    "AND (empty({topics:Array(String)}) OR topic IN {topics:Array(String)}) "
    "AND written_at >= {since:DateTime('UTC')}"
)
_LETTER = "topic, partition, offset, reason, detail, key, {value}, toUnixTimestamp64Milli(received_at), written_at"
_COUNTS = (
    "SELECT reason, topic, count() AS letters, max(written_at) AS newest FROM dead_letters FINAL "
    f"WHERE {_WANTED} GROUP BY reason, topic ORDER BY letters DESC, reason, topic"
)
#: First which they are, by small columns, then their values.
_NEWEST = (
    f"SELECT {_LETTER.format(value='value')} FROM dead_letters FINAL WHERE (topic, partition, offset) IN "
    f"(SELECT topic, partition, offset FROM dead_letters FINAL WHERE {_WANTED} "
    "ORDER BY written_at DESC, topic, partition, offset DESC LIMIT {most:UInt64}) "
    "ORDER BY written_at DESC, topic, partition, offset DESC"
)
_ONE = (
    f"SELECT {_LETTER.format(value='value')} FROM dead_letters FINAL "
    "WHERE topic = {topic:String} AND partition = {partition:UInt16} AND offset = {offset:UInt64}"
)
_PLACES = f"SELECT DISTINCT topic, partition FROM dead_letters WHERE {_WANTED} ORDER BY topic, partition"
#: Of what is too large no more is read than shows that it is.
_PAGE_OF = (
    f"SELECT {_LETTER.format(value=f'substring(value, 1, {MAX_BYTES + 1})')} FROM dead_letters FINAL "
    "WHERE topic = {topic:String} AND partition = {partition:UInt16} AND offset >= {offset:UInt64} "
    f"AND {_WANTED} AND written_at <= {{until:DateTime('UTC')}} ORDER BY offset LIMIT {_PAGE}"
)

_IDS = "reinterpretAsUInt128(sipHash128(pair.1, pair.2))"
_COUNTED = (
    f"SELECT site_id, room_id, offset, {', '.join(EVENT)} FROM turns "
    f"WHERE (site_id, room, seq) IN (SELECT pair.1, {_IDS}, pair.3 FROM "
    "(SELECT arrayJoin(arrayZip({sites:Array(String)}, {rooms:Array(String)}, {seqs:Array(UInt32)})) AS pair))"
).replace(" occurred_at,", " toUnixTimestamp64Milli(occurred_at),")
_BOTS = (
    "SELECT site_id, bot_id, toUnixTimestamp64Milli(occurred_at), name, in_use, channel, category FROM bots "
    "WHERE (site_id, bot_id) IN (SELECT pair.1, pair.2 FROM "
    "(SELECT arrayJoin(arrayZip({sites:Array(String)}, {bots:Array(String)})) AS pair))"
)


class Wanted(Struct, frozen=True):
    """Which letters are meant: of these reasons and topics (none: of all), written down at `since` or later."""

    reasons: list[str] = []
    topics: list[str] = []
    since: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    def params(self) -> dict[str, Any]:
        return {"reasons": self.reasons, "topics": self.topics, "since": _second(self.since)}


class Letter(Struct, frozen=True):
    """A record that breaks the contract, as it came. `received_at`: ms; `written_at`: when the worker put it aside."""

    topic: str
    partition: int
    offset: int
    reason: str
    detail: str
    key: bytes | None
    value: bytes | None
    received_at: int
    written_at: datetime


def counts(client: Client, wanted: Wanted) -> Table:
    """How many letters of which reason and topic, and when the newest of them was written; the most first."""
    return client.table(_COUNTS, wanted.params())


def newest(client: Client, wanted: Wanted, most: int) -> list[Letter]:
    """At most so many letters, whole, the newest first."""
    return [_letter(row) for row in client.rows(_NEWEST, {**wanted.params(), "most": most})]


def one(client: Client, topic: str, partition: int, offset: int) -> Letter | None:
    """The letter of this record."""
    place: dict[str, Value] = {"topic": topic, "partition": partition, "offset": offset}
    rows = client.rows(_ONE, place)
    return _letter(rows[0]) if rows else None


def pages(client: Client, wanted: Wanted) -> Iterator[list[Letter]]:
    """All letters that are there now, in the order of topic, partition and offset; those that come meanwhile are not.

    Values that are too large are cut to one byte more than an event may have.
    """
    until = _second(client.rows("SELECT now('UTC')")[0][0])
    for topic, partition in client.rows(_PLACES, wanted.params()):
        place: dict[str, Any] = {"topic": topic, "partition": partition, "offset": 0, "until": until}
        while page := [_letter(row) for row in client.rows(_PAGE_OF, {**wanted.params(), **place})]:
            yield page
            place["offset"] = page[-1].offset + 1


def counted(client: Client, events: Iterable[tuple[RoomKey, int]]) -> dict[tuple[RoomKey, int], Event]:
    """Which of these (room, seq) stand in `turns`, and as what: of two copies the one received first."""
    keys = list(events)
    params: dict[str, Any] = {
        "sites": [key.site_id for key, _ in keys], "rooms": [key.room_id for key, _ in keys],
        "seqs": [seq for _, seq in keys],
    }  # fmt: skip
    rows = sorted(client.rows(_COUNTED, params), key=lambda row: -int(row[2])) if keys else []
    return {(RoomKey(row[0], row[1]), row[4]): Event(*row[3:]) for row in rows}


def bot_changes(client: Client, bots: Iterable[tuple[str, str]]) -> set[tuple[Any, ...]]:
    """The changes of these (site, bot) that `bots` has, as (site, bot, occurred_at, name, in_use, channel, category).

    occurred_at: ms."""
    asked = list(bots)
    params = {"sites": [site for site, _ in asked], "bots": [bot for _, bot in asked]}
    return set(client.rows(_BOTS, params)) if asked else set()


def _letter(row: tuple[Any, ...]) -> Letter:
    topic, partition, offset, reason, detail, key, value, received_at, written_at = row
    raw = (_bytes(key), _bytes(value))
    return Letter(topic, partition, offset, reason, detail, *raw, received_at, written_at.replace(tzinfo=UTC))


def _bytes(text: str | bytes | None) -> bytes | None:
    """The driver gives what is UTF-8 as str, anything else as the bytes that it is."""
    return text.encode() if isinstance(text, str) else text


def _second(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S") if at.tzinfo is None else _second(at.astimezone(UTC).replace(tzinfo=None))
