"""Which days of a range are sealed, from which a bot was left out, and what is read of them as of one revision each."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeVar

from journey.errors import NotSealed, Retry
from sql import read
from sql.client import Client

_T = TypeVar("_T")

_TRIES = 3

_LEFT_OUT = (
    "SELECT day, revision, bots_left_out FROM daily "
    "WHERE kind = 'seal' AND day BETWEEN {first:Date} AND {last:Date} AND notEmpty(bots_left_out)"
)


@dataclass(frozen=True, slots=True)
class Day:
    """A day of a range: sealed, by which revision and as of when; or not.

    `left_out`: the bots that were out of use at its cut-off and had moves on it, as `site:bot`.
    """

    day: date
    sealed: bool
    revision: int
    as_of: datetime | None
    left_out: tuple[str, ...] = ()


def days(client: Client, first: date, last: date) -> list[Day]:
    """Which days from `first` to `last` are sealed; BadUsage for a range that cannot be."""
    found = read.journey_days(client, first, last).rows
    seals = client.rows(_LEFT_OUT, {"first": first, "last": last})
    left_out = {(day, revision): tuple(bots) for day, revision, bots in seals}
    return [
        Day(day, bool(sealed), revision, as_of, left_out.get((day, revision), ()))
        for day, revision, sealed, as_of in found
    ]


def sealed_days(client: Client, first: date, last: date) -> list[Day]:
    """As `days`; NotSealed where none of them is."""
    found = days(client, first, last)
    if not any(day.sealed for day in found):
        known = last_sealed(client)
        nearest = f"the last day sealed is {known}" if known else "no day is sealed yet"
        asked = str(first) if first == last else f"{first} to {last}"
        raise NotSealed(f"{asked}: not sealed; {nearest}. `turnpath seal` seals all days that are due")
    return found


def of_one_revision(client: Client, first: date, last: date, make: Callable[[list[Day]], _T]) -> tuple[list[Day], _T]:
    """The days, and what `make` reads of them: where a day is sealed anew meanwhile, it begins again.

    The days are asked for before and after, for what is read by several queries may be of two revisions, or of a day
    that was not sealed yet. Raises NotSealed as `sealed_days`, Retry where it would not hold still.
    """
    for _ in range(_TRIES):
        known = sealed_days(client, first, last)
        made = make(known)
        if days(client, first, last) == known:
            return known, made
    raise Retry(f"{first} to {last} is being sealed anew: try again when that is done")


def out_of_use(known: Iterable[Day], site: str, bots: Iterable[str]) -> dict[str, list[date]]:
    """The days from which each of these bots was left out, being out of use; without the bots that have none."""
    days = list(known)
    found = {bot: [day.day for day in days if f"{site}:{bot}" in day.left_out] for bot in bots}
    return {bot: left_out for bot, left_out in found.items() if left_out}


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


def said_of_bots(days: Mapping[str, Iterable[date]], to: str = "to") -> list[str]:
    """Bots, each with its days: `orders (2026-11-01 to 2026-11-03)`."""
    return [f"{bot} ({said(its, to)})" for bot, its in days.items()]
