"""Is a sealed day what its events say? Recomputed from `turns` alone, room by room, beside what was published.

It knows what the seal knew: what was received by its as_of (of imports, what lay below the offsets that it noted), and
the bots that it noted as left out. It takes nothing from `moves` or `rooms`, and folds in Python what the seal counted
in SQL. Two streams are read side by side in one order, so that memory holds the day's edges and differences, no rooms.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from journey.calendar import Calendar
from journey.errors import NoData, NotSealed
from seal.compared import Comparison, Difference
from seal.day import Day, day_to_seal
from seal.kept import may_have_expired, see_that_turns_are_there
from seal.publish import summary
from seal.stage import connection
from seal.turns import FoldedRoom, Known, fold_turns, imported_below
from settings import Settings
from sql.client import Client, Table
from sql.timezone import check_timezone

#: Rooms that `daily` lacks are looked for in other days' seals so many at a time.
_AT_ONCE = 5_000

# a room that ended on the day has an event that occurred then, or so long before that its silence ended it then
_MAY_HAVE_ENDED = (
    "(site_id, room) IN (SELECT site_id, room FROM turns WHERE day >= {first_received_day:Date} "
    "AND toUnixTimestamp64Milli(occurred_at) >= {begin:Int64} - {idle:Int64} "
    "AND toUnixTimestamp64Milli(occurred_at) < {end:Int64})"
)
_SEAL = (
    "SELECT revision, toUnixTimestamp64Milli(as_of), offsets, bots_left_out, checksum FROM daily "
    "WHERE day = {day:Date} AND kind = 'seal'"
)
_ROOMS = (
    "SELECT site_id, room, bot_id, room_id, customer, channel, scenario_version, toUnixTimestamp64Milli(ended_at), "
    "moves, edges, nodes FROM daily WHERE day = {day:Date} AND kind = 'room' ORDER BY site_id, room, bot_id"
)
_PLACES = (
    "SELECT site_id, bot_id, number, step, dialog, move, message, next_step, next_dialog, moves, rooms FROM daily "
    "WHERE day = {day:Date} AND kind = {kind:String}"
)
# which of these rooms another day's seal had when this one was published: a room stays where it is
_ELSEWHERE = (
    "WITH seals AS (SELECT day, revision, sealed_at FROM daily WHERE kind = 'seal' "
    "UNION ALL SELECT day, revision, sealed_at FROM daily_history WHERE kind = 'seal'), "
    "rooms AS (SELECT day, revision, site_id, room FROM daily WHERE kind = 'room' AND room IN {rooms:Array(UInt128)} "
    "UNION ALL SELECT day, revision, site_id, room FROM daily_history "
    "WHERE kind = 'room' AND room IN {rooms:Array(UInt128)}) "
    "SELECT DISTINCT site_id, room FROM rooms WHERE day <> {day:Date} AND (day, revision) IN ("
    "SELECT day, max(revision) FROM seals "
    "WHERE sealed_at <= (SELECT max(sealed_at) FROM daily WHERE kind = 'seal' AND day = {day:Date}) GROUP BY day)"
)


@dataclass(frozen=True, slots=True)
class Verified:
    """A day's published revision beside its events. `rooms`, `moves`: as recomputed."""

    day: date
    revision: int
    rooms: int
    moves: int
    differences: list[Difference]

    def table(self) -> Table:
        """The differences, a row each."""
        names = list(Difference._fields)
        return Table(names, ["String"] * len(names), list(self.differences))


def verify(settings: Settings, day: date, now: int, said: Callable[[str], None]) -> Verified:
    """Compare the published revision of the day with its events; `now`: ms, by which it is known what has expired.

    Raises NotSealed; NoData, with the days that are gone, where the events have expired.
    """
    calendar = Calendar(settings.timezone)
    meant = day_to_seal(day, calendar, settings.seal_at, settings.room_idle)
    with connection(settings, reconnect=True) as client, connection(settings) as turns, connection(settings) as was:
        check_timezone(client, settings.timezone)
        seals = client.rows(_SEAL, {"day": day})
        if not seals:
            raise NotSealed(f"{day} is not sealed: there is nothing to verify. `turnpath seal --day {day}` seals it")
        revision, as_of, offsets, left_out, checksum = seals[0]
        see_that_turns_are_there(client, meant, settings.keep_events, now)
        said(f"{day}: folding its rooms from turns")
        known = Known(as_of, imported_below(offsets))
        comparison = Comparison(_places(client, day, "edge"), _places(client, day, "node"), set(left_out))
        _compare_rooms(client, comparison, meant, _folded(turns, meant, known), _published(was, day))
        differences = list(comparison.differences())
        if differences and may_have_expired(client, meant, settings.keep_events, now):
            raise NoData(
                f"{day} cannot be verified any more: part of the events that it was made of has expired (they are kept "
                f"for {settings.keep_events.days} days, TURNPATH_KEEP_EVENTS); what is sealed stays as it is"
            )
        differences += _checksum(client, day, checksum)
        return Verified(day, revision, comparison.rooms, comparison.moves, differences)


def _places(client: Client, day: date, kind: str) -> list[tuple[Any, ...]]:
    return client.rows(_PLACES, {"day": day, "kind": kind})


def _checksum(client: Client, day: date, noted: str) -> Iterator[Difference]:
    found = summary(client, "daily", day)[2]
    if found != noted:
        yield Difference("checksum", "", "", "of the published rows", noted, found)


def _folded(client: Client, day: Day, known: Known) -> Iterator[tuple[Any, FoldedRoom]]:
    for room in fold_turns(client, _MAY_HAVE_ENDED, day.parameters(), known, day.idle, known.as_of):
        ended_at = room.folded.room.ended_at
        if ended_at is not None and day.begin <= ended_at < day.end:
            yield (room.key.site_id, room.room), room


def _published(client: Client, day: date) -> Iterator[tuple[Any, list[tuple[Any, ...]]]]:
    for key, rows in groupby(client.stream(_ROOMS, {"day": day}), key=lambda row: (row[0], row[1])):
        yield key, list(rows)


def _compare_rooms(
    client: Client,
    comparison: Comparison,
    day: Day,
    folded: Iterator[tuple[Any, FoldedRoom]],
    published: Iterator[tuple[Any, list[tuple[Any, ...]]]],
) -> None:
    """Every room that is on either side; `client` asks while both streams are open."""
    unpublished: list[FoldedRoom] = []
    for room, rows in _side_by_side(folded, published):
        if rows or room is None:
            comparison.room(room, rows or [])
        else:
            unpublished.append(room)
        if len(unpublished) >= _AT_ONCE:
            _compare_unpublished(client, comparison, day, unpublished)
            unpublished = []
    _compare_unpublished(client, comparison, day, unpublished)


def _compare_unpublished(client: Client, comparison: Comparison, day: Day, rooms: list[FoldedRoom]) -> None:
    hashes = [room.room for room in rooms]
    elsewhere = set(client.rows(_ELSEWHERE, {"day": day.day, "rooms": hashes})) if rooms else set()
    for room in rooms:
        if (room.key.site_id, room.room) not in elsewhere:
            comparison.room(room, [])


def _side_by_side(
    left: Iterable[tuple[Any, FoldedRoom]], right: Iterable[tuple[Any, list[tuple[Any, ...]]]]
) -> Iterator[tuple[FoldedRoom | None, list[tuple[Any, ...]] | None]]:
    """What both have of each key; each in ascending order of its keys, which it has once."""
    lefts, rights = iter(left), iter(right)
    a, b = next(lefts, None), next(rights, None)
    while a is not None or b is not None:
        takes_a = a is not None and (b is None or a[0] <= b[0])
        takes_b = b is not None and (a is None or b[0] <= a[0])
        yield (a[1] if a is not None and takes_a else None), (b[1] if b is not None and takes_b else None)
        if takes_a:
            a = next(lefts, None)
        if takes_b:
            b = next(rights, None)
