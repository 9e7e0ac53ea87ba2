"""What the API answers: each a plain object for JSON, made with one client in one thread."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from exporter import report
from journey import labels
from journey.errors import NoData
from journey.labels import Label
from sql import read
from sql.client import Client, Table
from web import sankey

_NEWEST_DAYS = 31

# Each insert into `moves` takes block numbers that were never used before, and parts are listed without reading any.
_MARK = """
SELECT groupArray((partition_id, newest)) FROM (
    SELECT partition_id, max(max_block_number) AS newest FROM system.parts
    WHERE database = currentDatabase() AND table = 'moves' AND active GROUP BY partition_id ORDER BY partition_id
)
"""


def mark(client: Client, zone: ZoneInfo) -> str:
    """A text that differs whenever `moves` may have changed, and on another day; it reads no rows."""
    return f"{datetime.now(zone).date()} {client.rows(_MARK)[0][0]}"


def words() -> dict[str, Any]:
    """The labels, for the page: moves, messages by move, columns, and the sentences of which day counts."""
    return {
        "moves": _labels(labels.MOVES),
        "messages": {move: _labels(known) for move, known in labels.MESSAGES.items()},
        "columns": _labels(labels.COLUMNS),
        "table": list(labels.TABLE),
        "today_table": labels.TODAY_TABLE,
        "by_room_end": labels.BY_ROOM_END._asdict(),
        "by_move": labels.BY_MOVE._asdict(),
    }


def bots(client: Client) -> dict[str, Any]:
    """The bots that were heard of."""
    return {"bots": read.bots_list(client).dicts()}


def days(client: Client, zone: ZoneInfo, first_day: date, first: date | None, last: date | None) -> dict[str, Any]:
    """Which days are sealed, of those asked for, else of the newest 31; and what the page needs to offer days."""
    today = datetime.now(zone).date()
    last = last or today - timedelta(days=1)
    first = first or last - timedelta(days=_NEWEST_DAYS - 1)
    return {
        "timezone": zone.key,
        "today": today,
        "yesterday": today - timedelta(days=1),
        "first_day": first_day,
        "last_sealed": report.last_sealed(client),
        "days": [_day(day) for day in report.days(client, first, last)],
    }


def today(client: Client, zone: ZoneInfo, site: str, bot: str) -> dict[str, Any]:
    """Today's table and links, provisional; without rows where a bot has none yet. NoData: no such bot."""
    as_of = datetime.now(UTC)
    day = as_of.astimezone(zone).date()
    table = read.day_table(client, site, bot, day)  # as today_table, of the day that the answer names also at midnight
    if not table.rows and (site, bot) not in {row[:2] for row in read.bots_list(client).rows}:
        raise NoData(read.nearest(client, site, bot))
    return {
        "view": "today",
        "provisional": True,
        "site": site,
        "bot": bot,
        "day": day,
        "as_of": as_of,
        "table": _table(table),
        "links": sankey.links(table.columns, table.rows),
        "freshness": read.freshness(client).dicts(),
    }


def journey(client: Client, site: str, bot: str, first: date, last: date) -> dict[str, Any]:
    """The table, links and totals of sealed days, all of the same revisions, and which days those are.

    Raises NotSealed, NoData, BadUsage.
    """

    def read_all(known: list[report.Day]) -> dict[str, Any]:
        return {
            "table": _table(report.table(client, site, bot, known)),
            "links": read.sankey_links(client, site, bot, first, last).dicts(),
            "totals": read.journey_totals(client, site, bot, first, last).dicts()[0],
        }

    known, figures = report.of_one_revision(client, first, last, read_all)
    return {
        "view": "sealed",
        "provisional": False,
        "site": site,
        "bot": bot,
        "from": first,
        "to": last,
        "days": [_day(day) for day in known],
        "missing": [day.day for day in known if not day.sealed],
        "out_of_use": report.out_of_use(known, site, [bot]).get(bot, []),
        **figures,
    }


def body(answer: Any) -> bytes:
    """An answer as JSON: times in UTC with Z, days as YYYY-MM-DD."""
    return orjson.dumps(answer, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z)


def figures(answer: bytes) -> str:
    """A digest of the figures in the body of `today`: the same exactly where a page would show the same."""
    parts = orjson.loads(answer)
    return hashlib.blake2b(orjson.dumps([parts["day"], parts["table"]])).hexdigest()


def _day(day: report.Day) -> dict[str, Any]:
    return {"day": day.day, "sealed": day.sealed, "revision": day.revision, "as_of": day.as_of}


def _table(table: Table) -> dict[str, Any]:
    return {"columns": table.columns, "rows": table.rows}


def _labels(known: Any) -> dict[str, Any]:
    return {key: label._asdict() for key, label in known.items() if isinstance(label, Label)}
