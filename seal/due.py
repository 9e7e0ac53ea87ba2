"""Which days are due: not sealed, their cut-off passed, and data there since."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time

from journey.calendar import Calendar
from journey.errors import BadUsage
from journey.events import TOPIC_LIVE
from sql.client import Client, Value

_ONE = timedelta(days=1)

# received by the cut-off of the day before, and occurred on it: what came in the first hour may be of that day
_BEGAN_BEFORE = (
    "SELECT count() FROM turns WHERE day = {first:Date} AND toUnixTimestamp64Milli(received_at) <= {cut_off:Int64} "
    "AND toUnixTimestamp64Milli(occurred_at) < {midnight:Int64}"
)


def sealed_days(client: Client) -> set[date]:
    """The days that are sealed."""
    return {day for (day,) in client.rows("SELECT DISTINCT day FROM daily WHERE kind = 'seal'")}


def first_live_day(client: Client) -> date | None:
    """The local day of the first live record; None before there is one."""
    return _first(client, "WHERE topic = {topic:String}")


def first_day(client: Client, calendar: Calendar, seal_at: clock_time) -> date | None:
    """The first day that any record, imported or live, may belong to; None before there is one."""
    first = _first(client, "")
    if first is None:
        return None
    cut_off = calendar.cut_off(first - _ONE, seal_at)
    began: dict[str, Value] = {"first": first, "cut_off": cut_off, "midnight": calendar.midnight(first)}
    return first - _ONE if client.rows(_BEGAN_BEFORE, began)[0][0] else first


def _first(client: Client, condition: str) -> date | None:
    ((count, first),) = client.rows(f"SELECT count(), min(day) FROM turns {condition}", {"topic": TOPIC_LIVE})
    return first if count else None


def due_days(
    first: date | None, sealed: Collection[date], calendar: Calendar, seal_at: clock_time, now: int
) -> list[date]:
    """The days from `first` on whose cut-off is not after `now` (ms) and that are not sealed, in order."""
    days = []
    while first is not None and calendar.cut_off(first, seal_at) <= now:
        if first not in sealed:
            days.append(first)
        first += _ONE
    return days


def next_cut_off(calendar: Calendar, seal_at: clock_time, now: int) -> int:
    """The first cut-off after `now` (ms)."""
    day = calendar.day(now) - 2 * _ONE
    while (at := calendar.cut_off(day, seal_at)) <= now:
        day += _ONE
    return at


def last_cut_off(calendar: Calendar, seal_at: clock_time, now: int) -> int:
    """The last cut-off up to `now` (ms)."""
    day = calendar.day(now)
    while (at := calendar.cut_off(day, seal_at)) > now:
        day -= _ONE
    return at


def see_that_it_is_shown(day: date, first: date) -> None:
    """Raises BadUsage for a day before `first`, TURNPATH_FIRST_DAY."""
    if day < first:
        raise BadUsage(
            f"{day} cannot be sealed: no reader would see it, days before {first} are empty. TURNPATH_FIRST_DAY is the "
            "first day that there is; `turnpath migrate` puts an earlier one into the views"
        )


def see_that_it_is_over(day: date, calendar: Calendar, seal_at: clock_time, now: int) -> None:
    """Raises BadUsage where the day's cut-off is still to come."""
    at = calendar.cut_off(day, seal_at)
    if at > now:
        when = datetime.fromtimestamp(at / 1000, UTC).isoformat(sep=" ", timespec="minutes").removesuffix("+00:00")
        local = f"{seal_at:%H:%M} on {day + _ONE} ({calendar.zone})"
        raise BadUsage(f"{day} cannot be sealed before {local}, {when} UTC: until then its rooms are not all known")
