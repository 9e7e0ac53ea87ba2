"""Which site, bot and days a command is about, from its options and what is there."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from cli import output
from exporter import report
from exporter.days import said
from journey.errors import BadUsage, NoData, NotSealed
from sql import read
from sql.client import Client

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Day(click.ParamType):
    """A day, written YYYY-MM-DD."""

    name = "day"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no day: write it like 2026-11-23", param, ctx)


def asked_options(command: _Command) -> _Command:
    """Adds --site, --bot, --from and --to; the command gets them as site, bot, first and last."""
    for option in reversed(
        [
            click.option("--site", help="The company; may be left out where there is only one."),
            click.option("--bot", help="The bot; may be left out where its site has only one."),
            click.option("--from", "first", type=Day(), help="First day [default: --to, or the last sealed day]."),
            click.option("--to", "last", type=Day(), help="Last day, yesterday at the latest [default: --from]."),
        ]
    ):
        command = option(command)
    return command


def bot_of(client: Client, site: str | None, bot: str | None) -> tuple[str, str]:
    """The site and bot meant. NoData, with the nearest, where they are not there; BadUsage where one must be named."""
    known = [(row["site_id"], row["bot_id"]) for row in read.bots_list(client).dicts()]
    fitting = [pair for pair in known if site in (None, pair[0]) and bot in (None, pair[1])]
    if len(fitting) == 1:
        return fitting[0]
    if not fitting:
        only = {pair[0] for pair in known}
        raise NoData(read.nearest(client, site or (only.pop() if len(only) == 1 else ""), bot or ""))
    there = ", ".join(f"--site {s} --bot {b}" for s, b in fitting[:10])
    more = f" and {len(fitting) - 10} more" if len(fitting) > 10 else ""
    raise BadUsage(f"say which bot is meant; there are: {there}{more}")


def site_of(client: Client, site: str | None) -> str:
    """The site meant. NoData, with the nearest, where it is not there; BadUsage where one must be named."""
    known = sorted({row["site_id"] for row in read.bots_list(client).dicts()})
    if site in known or (site is None and len(known) == 1):
        return site or known[0]
    if site is not None or not known:
        raise NoData(read.nearest(client, site or "", ""))
    raise BadUsage(f"say which site is meant; there are: {', '.join(f'--site {name}' for name in known[:10])}")


def range_of(client: Client, first: date | None, last: date | None) -> tuple[date, date]:
    """The days meant: those given, one alone for both, none for the last sealed day."""
    one = first or last or report.last_sealed(client)
    if one is None:
        raise NotSealed(
            "no day is sealed yet: `turnpath seal` seals all due days; today's table is `turnpath table --today`"
        )
    return first or one, last or one


def say_missing(days: list[date]) -> None:
    """Name the days that are not sealed, on standard error."""
    if days:
        output.say(f"not sealed, and so not in it: {said(days)}; `turnpath seal` seals what is due")


def say_out_of_use(site: str, left_out: Mapping[str, Sequence[date]]) -> None:
    """Name the days from which bots were left out, on standard error: else nobody would know why they have nothing."""
    for bot, days in left_out.items():
        output.say(f"out of use on {said(days)}, and so not in it: {site} / {bot}")


def say_sealed(days: Iterable[report.Day], zone: ZoneInfo) -> None:
    """As of when the sealed days are, and which of them were resealed, on standard error."""
    sealed = [(day, day.as_of) for day in days if day.as_of is not None]
    times = sorted(as_of for _, as_of in sealed)
    ends = dict.fromkeys(f"{as_of.astimezone(zone):%Y-%m-%d %H:%M}" for as_of in (times[0], times[-1]))
    again = ", ".join(f"{day.day} (revision {day.revision})" for day, _ in sealed if day.revision > 1)
    output.say(
        f"sealed as of {' to '.join(ends)} {zone.key}, "
        + (f"resealed: {again}" if again else "each day in its first revision")
    )
