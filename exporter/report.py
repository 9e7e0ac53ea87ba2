"""What is said of a bot's sealed days: the table, the totals, and which days they are made of."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from journey.errors import NoData, NotSealed
from sql import read
from sql.client import Client, Table


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a range: sealed, by which revision and as of when; or not."""

    day: date
    sealed: bool
    revision: int
    as_of: datetime | None


@dataclass(frozen=True, slots=True)
class Report:
    """`columns` and `rows` are those of `journey_table`; `totals` those of `journey_totals`, by name."""

    site: str
    bot: str
    first: date
    last: date
    days: Sequence[Day]
    columns: Sequence[str]
    rows: Iterable[tuple[Any, ...]]
    totals: dict[str, Any]

    @property
    def missing(self) -> list[date]:
        """The days of the range that are not sealed, and so not in it."""
        return [day.day for day in self.days if not day.sealed]


def days(client: Client, first: date, last: date) -> list[Day]:
    """Which days from `first` to `last` are sealed; BadUsage for a range that cannot be."""
    found = read.journey_days(client, first, last).dicts()
    return [Day(row["day"], bool(row["sealed"]), row["revision"], row["as_of"]) for row in found]


def sealed_days(client: Client, first: date, last: date) -> list[Day]:
    """As `days`; NotSealed where none of them is."""
    found = days(client, first, last)
    if not any(day.sealed for day in found):
        known = last_sealed(client)
        nearest = f"the last day sealed is {known}" if known else "no day is sealed yet"
        asked = str(first) if first == last else f"{first} to {last}"
        raise NotSealed(f"{asked}: not sealed; {nearest}. `turnpath seal` seals all days that are due")
    return found


def last_sealed(client: Client) -> date | None:
    """The last sealed day of all; None before the first seal."""
    found: list[tuple[date]] = client.rows("SELECT day FROM daily WHERE kind = 'seal' ORDER BY day DESC LIMIT 1")
    return found[0][0] if found else None


def table(client: Client, site: str, bot: str, first: date, last: date) -> Table:
    """`journey_table`; NoData, with the nearest there is, where it has no rows."""
    found = read.journey_table(client, site, bot, first, last)
    if not found.rows:
        raise NoData(read.nearest(client, site, bot, last))
    return found


def report(client: Client, site: str, bot: str, first: date, last: date) -> Report:
    """All of it, read one after the other: days first, so that no unsealed day is taken for an empty one."""
    known = sealed_days(client, first, last)
    rows = table(client, site, bot, first, last)
    totals = read.journey_totals(client, site, bot, first, last).dicts()[0]
    return Report(site, bot, first, last, known, rows.columns, rows.rows, totals)
