"""The read views as functions: each a Table with the view's columns, in the view's order (docs/sql.md).

What is wrong with a range is said by the view itself (BadUsage). Days are local days. A site, bot or day without rows
gives an empty table; `nearest` says what there is instead.
"""

from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any

from journey.errors import BadUsage
from sql.client import Client, Table, Value

_TYPES = {"from": "Date", "to": "Date", "day": "Date", "minutes": "UInt32"}
_DAYS = (date(1970, 1, 1), date(2149, 6, 6))  # ClickHouse's Date; beyond it days wrap around silently


def journey_table(client: Client, site: str, bot: str, from_day: date, to_day: date) -> Table:
    """Sealed days: each way out of each (step, dialog), with the dialog's own figures beside it."""
    return _view(client, "journey_table", **_range(site, bot, from_day, to_day))


def journey_nodes(client: Client, site: str, bot: str, from_day: date, to_day: date) -> Table:
    """Sealed days: each (step, dialog), its inflow and how often it was left by each move."""
    return _view(client, "journey_nodes", **_range(site, bot, from_day, to_day))


def journey_edges(client: Client, site: str, bot: str, from_day: date, to_day: date) -> Table:
    """Sealed days: each edge, `start` and agent_served among them."""
    return _view(client, "journey_edges", **_range(site, bot, from_day, to_day))


def journey_totals(client: Client, site: str, bot: str, from_day: date, to_day: date) -> Table:
    """Sealed days: one row, the figures of the whole range."""
    return _view(client, "journey_totals", **_range(site, bot, from_day, to_day))


def sankey_links(client: Client, site: str, bot: str, from_day: date, to_day: date) -> Table:
    """Sealed days: the links of a Sankey diagram, without a cycle."""
    return _view(client, "sankey_links", **_range(site, bot, from_day, to_day))


def journey_days(client: Client, from_day: date, to_day: date) -> Table:
    """Each day of the range: its revision (0: not sealed), whether it is sealed, and as of when."""
    return _view(client, "journey_days", **{"from": from_day, "to": to_day})


def days_unsealed(client: Client, from_day: date, to_day: date) -> list[date]:
    """The days of the range that are not sealed."""
    return [row["day"] for row in journey_days(client, from_day, to_day).dicts() if not row["sealed"]]


def today_table(client: Client, site: str, bot: str) -> Table:
    """Today's moves, provisional: the columns of journey_table, then open and carried."""
    return _view(client, "today_table", site=site, bot=bot)


def today_nodes(client: Client, site: str, bot: str) -> Table:
    """Today's moves by (step, dialog): the columns of journey_nodes, then open and carried."""
    return _view(client, "today_nodes", site=site, bot=bot)


def today_edges(client: Client, site: str, bot: str) -> Table:
    """Today's moves by edge: the columns of journey_edges, then carried."""
    return _view(client, "today_edges", site=site, bot=bot)


def day_table(client: Client, site: str, bot: str, day: date) -> Table:
    """A day's moves as today_table, for any day whose moves are kept."""
    return _view(client, "day_table", site=site, bot=bot, day=day)


def day_nodes(client: Client, site: str, bot: str, day: date) -> Table:
    """A day's moves as today_nodes, for any day whose moves are kept."""
    return _view(client, "day_nodes", site=site, bot=bot, day=day)


def day_edges(client: Client, site: str, bot: str, day: date) -> Table:
    """A day's moves as today_edges, for any day whose moves are kept."""
    return _view(client, "day_edges", site=site, bot=bot, day=day)


def live_counts(client: Client, site: str) -> Table:
    """Today's moves of each bot by edge, from the incremental counts."""
    return _view(client, "live_counts", site=site)


def rooms_now(client: Client, site: str) -> Table:
    """How many rooms of each bot are in which status now, and for how long."""
    return _view(client, "rooms_now", site=site)


def room_path(client: Client, site: str, room: str) -> Table:
    """A room's rows in order, with times."""
    return _view(client, "room_path", site=site, room=room)


def moves_per_minute(client: Client, site: str, bot: str, minutes: int) -> Table:
    """Moves of each of the last `minutes` minutes; minutes without moves are absent."""
    return _view(client, "moves_per_minute", site=site, bot=bot, minutes=minutes)


def handoff_waits(client: Client, site: str, minutes: int) -> Table:
    """Of each bot: who asked for an agent in the last `minutes` minutes, and how long those waited who got one."""
    return _view(client, "handoff_waits", site=site, minutes=minutes)


def error_rate(client: Client, site: str, minutes: int) -> Table:
    """Of each bot: the share of errors among the ways out of the last `minutes` minutes."""
    return _view(client, "error_rate", site=site, minutes=minutes)


def dead_letters_by_reason(client: Client) -> Table:
    """How many dead letters are kept, by topic and reason."""
    return _view(client, "dead_letters_by_reason")


def columns_help(client: Client) -> Table:
    """What each column of each view means, in Korean and English."""
    return _view(client, "columns_help")


def bots_list(client: Client) -> Table:
    """The bots that were heard of."""
    return _view(client, "bots_list")


def freshness(client: Client) -> Table:
    """How far the workers have come in each partition."""
    return _view(client, "freshness")


def late_rooms(client: Client) -> Table:
    """Rooms that belong to a sealed day and are not, or not so, in its published rows."""
    return _view(client, "late_rooms")


def seals(client: Client) -> Table:
    """Every sealed revision of every day."""
    return _view(client, "seals")


def nearest(client: Client, site: str, bot: str, day: date | None = None) -> str:
    """A sentence on what there is, where nothing was found for a site, a bot of it, or a day of that bot."""
    bots = [(row["site_id"], row["bot_id"]) for row in bots_list(client).dicts()]
    if not bots:
        return "Nothing has been received yet: send events with `turnpath replay FILE` or `turnpath simulate`"
    sites = sorted({known for known, _ in bots})
    if site not in sites:
        return f"There is no site {site!r}; there {_is(_like(site, sites))}"
    names = sorted(known for of, known in bots if of == site)
    if bot not in names:
        return f"Site {site!r} has no bot {bot!r}; it has {', '.join(_like(bot, names))}"
    return _nearest_days(client, site, bot, day)


def _nearest_days(client: Client, site: str, bot: str, day: date | None) -> str:
    rows = client.rows(
        "SELECT day FROM daily WHERE kind = 'node' AND site_id = {site:String} AND bot_id = {bot:String} "
        "GROUP BY day ORDER BY abs(dateDiff('day', day, {day:Date})), day LIMIT 3",
        {"site": site, "bot": bot, "day": day or _DAYS[1]},
    )
    there = sorted(found.isoformat() for (found,) in rows)
    if not there:
        return f"No sealed day has rows of bot {bot!r} of site {site!r} yet; `turnpath table --today` shows today's"
    what = "the last" if day is None else "the nearest"
    return f"Bot {bot!r} of site {site!r} has no rows there; {what} days that have some: {', '.join(there)}"


def _like(name: str, known: Sequence[str]) -> Sequence[str]:
    folded = {k.casefold(): k for k in known}
    return [folded[k] for k in get_close_matches(name.casefold(), folded, 5, 0.5)] or known[:5]


def _is(names: Sequence[str]) -> str:
    return f"is {names[0]}" if len(names) == 1 else f"are {', '.join(names)}"


def _range(site: str, bot: str, from_day: date, to_day: date) -> dict[str, Value]:
    return {"site": site, "bot": bot, "from": from_day, "to": to_day}


def _view(client: Client, name: str, **given: Any) -> Table:
    for value in given.values():
        if isinstance(value, date) and not _DAYS[0] <= value <= _DAYS[1]:
            raise BadUsage(f"{value} is not a day that can have rows: give one from 1970-01-01 to 2149-06-06")
    filled = ", ".join(f"{key} = {{{key}:{_TYPES.get(key, 'String')}}}" for key in given)
    return client.table(f"SELECT * FROM {name}({filled})" if given else f"SELECT * FROM {name}", given)
