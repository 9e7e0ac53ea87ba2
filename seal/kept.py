"""Are the events still there? `turns` and `moves` expire, sealed days do not: what is built of a remainder is wrong."""

from datetime import date, timedelta

from journey.errors import NoData, SealFailed
from seal.day import Day
from seal.stage import Stage
from sql.client import Client

#: How many rooms a message names.
_NAMED = 5

#: An import is sealed this soon after it was begun, ms: a week.
_IMPORT_TAKES = 7 * 86_400_000

_PUBLISHED = "FROM daily WHERE day = {day:Date} AND kind = 'room'"

# a published room has received something between these days, whatever else it received
_RECEIVED = (
    "FROM turns WHERE day BETWEEN {first_received_day:Date} AND "
    "(SELECT toDate(max(as_of), {zone:String}) FROM daily WHERE day = {day:Date} AND kind = 'seal')"
)
_LEFT = f"SELECT uniqExact(site_id, room) {_RECEIVED} AND (site_id, room) IN (SELECT site_id, room {_PUBLISHED})"

# rows by room and bot of rooms that were published, which are not in the stage as they were published
_FIGURES = "site_id, bot_id, room, room_id, customer, ended_at, moves, length(edges) AS came_by"
_CHANGED = (
    f"SELECT room, room_id FROM (SELECT {_FIGURES}, 1 AS was, 0 AS is {_PUBLISHED} "
    f"UNION ALL SELECT {_FIGURES}, 0, 1 FROM STAGE WHERE kind = 'room' AND room IN (SELECT room {_PUBLISHED})) "
    "WHERE concat(site_id, ':', bot_id) NOT IN {bots:Array(String)} "
    "GROUP BY site_id, bot_id, room, room_id, customer, ended_at, moves, came_by HAVING sum(was) <> sum(is)"
)
# What came late was received later, or lies behind the offsets that the seal noted: an import brings the times that its
# sender gives, and a broker's clock may be behind.
_UNEXPLAINED = (
    "WITH (SELECT (as_of, offsets) FROM daily WHERE day = {day:Date} AND kind = 'seal' LIMIT 1) AS known "
    f"SELECT DISTINCT room_id FROM ({_CHANGED}) WHERE room NOT IN ("
    f"SELECT room FROM turns WHERE room IN (SELECT room FROM ({_CHANGED})) AND (received_at > known.1 "
    "OR offset >= arrayFirst(o -> o.1 = topic AND o.2 = partition, known.2).3))"
)
_FIRST_SEALED = (
    "SELECT toUnixTimestamp64Milli(min(sealed_at)) FROM (SELECT day, kind, sealed_at FROM daily "
    "UNION ALL SELECT day, kind, sealed_at FROM daily_history) WHERE day = {day:Date} AND kind = 'seal'"
)


def see_that_turns_are_there(client: Client, day: Day, keep_events: timedelta, now: int) -> None:
    """NoData, naming the days that are gone, where `turns` has lost what the day's published rooms were made of."""
    ((rooms,),) = client.rows(f"SELECT uniqExact(site_id, room) {_PUBLISHED}", day.parameters())
    ((left,),) = client.rows(_LEFT, day.parameters())
    there = {found for (found,) in client.rows(f"SELECT DISTINCT day {_RECEIVED}", day.parameters())}
    span = [day.first_received_day + timedelta(days=n) for n in range((day.day - day.first_received_day).days + 2)]
    gone = [one for one in span if one not in there]
    nothing_to_go_by = not rooms and {day.day, day.day + timedelta(days=1)} <= set(gone)
    if left < rooms or (nothing_to_go_by and may_have_expired(client, day, keep_events, now)):
        raise NoData(
            f"{day.day} cannot be recomputed: of {rooms - left:,} of its {rooms:,} rooms `turns` has nothing any more"
            + (f" (of the events received on {_said(gone)} it has none)" if gone else "")
            + f". Events are kept for {keep_events.days} days (TURNPATH_KEEP_EVENTS); what is sealed stays as it is"
        )


def see_that_what_changed_came_late(
    client: Client, stage: Stage, day: Day, bots_changed: list[str], keep_events: timedelta, now: int
) -> None:
    """Raises where a published room is another in the stage although nothing of it came late.

    `bots_changed`: those left out in one of the two alone, as `site:bot`: a change of theirs came late.
    """
    parameters = {**day.parameters(), "bots": bots_changed}
    rooms = [room for (room,) in client.rows(_UNEXPLAINED.replace("STAGE", stage.daily), parameters)]
    if not rooms:
        return
    named = f"{len(rooms):,} of its rooms are not as they were published, though nothing of them came late, such as "
    named += ", ".join(sorted(rooms)[:_NAMED])
    if may_have_expired(client, day, keep_events, now):
        raise NoData(
            f"{day.day} cannot be resealed: {named}. Events are kept for {keep_events.days} days "
            "(TURNPATH_KEEP_EVENTS), and part of theirs is gone; what is sealed stays as it is"
        )
    raise SealFailed(
        f"{day.day}: {named}. Nothing was published. See whether TURNPATH_ROOM_IDLE is what it was, and what "
        f"`turnpath seal --verify {day.day}` says"
    )


def may_have_expired(client: Client, day: Day, keep_events: timedelta, now: int) -> bool:
    """May events that this sealed day was made of be gone, by their time to live?

    That counts from when they were written: of a live day when they were received, of an imported one not long
    before it was sealed.
    """
    sealed_at: int = client.rows(_FIRST_SEALED, day.parameters())[0][0]
    written_at = max(day.first_received, sealed_at - _IMPORT_TAKES)
    return now - written_at > keep_events // timedelta(milliseconds=1)


def _said(days: list[date]) -> str:
    return f"{days[0]} to {days[-1]}" if len(days) > 2 else " and ".join(map(str, days))
