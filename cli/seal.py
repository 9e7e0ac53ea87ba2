"""`turnpath seal`: all days that are due, or one."""

from collections.abc import Iterator
from datetime import UTC, datetime

import click

from cli import output
from journey.errors import TurnpathError
from journey.labels import Lang
from scheduler.clock import SystemClock
from seal.publish import Seal
from seal.run import Sealer
from settings import load
from sql.client import Table

_COLUMNS = {
    "day": "Date",
    "revision": "UInt32",
    "rooms": "UInt64",
    "moves": "UInt64",
    "as_of": "DateTime64(3)",
    "checksum": "String",
}


@click.command()
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Only this day, such as 2026-11-22.")
@output.output_options
def command(day: datetime | None, form: output.Form, lang: Lang) -> None:
    """Seal a day: publish the snapshot of the rooms that ended on it, as of 00:40 of the day after.

    Without --day: every day that is not sealed, from the first with data to yesterday, imported days among them. A
    day that is sealed already stays as it is. The seal waits for the workers to reach the cut-off; if it fails
    (exit code 7), nothing of that day is published, and it can be tried again at any time.

    \b
    turnpath seal
    turnpath seal --day 2026-11-22
    """
    sealer = Sealer(load(), SystemClock().now, output.say)
    seals: list[Seal] = []
    try:
        for seal in _sealed(sealer, day):
            output.say(f"{seal.day}: " + ("sealed" if seal.is_new else "is sealed already, left as it is"))
            seals.append(seal)
    except TurnpathError:
        if seals:  # days sealed before the one that failed are sealed
            output.show(_table(seals), form, lang)
        raise
    if not seals:
        output.say("no day is due: every day with data up to yesterday is sealed, or its cut-off is still to come")
    output.show(_table(seals), form, lang)


def _sealed(sealer: Sealer, day: datetime | None) -> Iterator[Seal]:
    if day is None:
        yield from sealer.seal_due(live_only=False)
    else:
        yield sealer.seal(day.date())


def _table(seals: list[Seal]) -> Table:
    return Table(list(_COLUMNS), list(_COLUMNS.values()), [_row(seal) for seal in seals])


def _row(seal: Seal) -> tuple[object, ...]:
    as_of = datetime.fromtimestamp(seal.as_of / 1000, UTC)
    return seal.day, seal.revision, seal.rooms, seal.moves, as_of, seal.checksum
