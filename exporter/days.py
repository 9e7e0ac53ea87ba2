"""Which days of a range are sealed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from journey.errors import NotSealed
from sql import read
from sql.client import Client


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a range: sealed, by which revision and as of when; or not."""

    day: date
    sealed: bool
    revision: int
    as_of: datetime | None


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


def said(days: Iterable[date], to: str = "to") -> str:
    """Days as people write them, runs of days shortened: `2026-11-01 to 2026-11-03, 2026-11-07`."""
    runs: list[list[date]] = []
    for day in sorted(set(days)):
        if runs and (day - runs[-1][-1]).days == 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} {to} {run[-1]}" for run in runs)
