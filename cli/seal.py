"""`turnpath seal`: all days that are due, or one; and what is asked of sealed days afterwards."""

from collections.abc import Iterable
from datetime import UTC, date, datetime

import click

from cli import output, sealed
from cli.asked import Day
from journey.errors import BadUsage, TurnpathError
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
@click.option("--day", type=Day(), help="Seal only this day, such as 2026-11-22.")
@click.option("--reseal", type=Day(), help="Make the next revision of this sealed day, with what came too late for it.")
@click.option("--reason", help="Why it is resealed: kept with the new revision.")
@click.option("--verify", type=Day(), help="Recompute this day from its events and compare.")
@click.option("--status", is_flag=True, help="Every revision of every day, late rooms, and the days due.")
@click.option("--show", type=Day(), help="Print a sealed day's nodes and edges.")
@click.option("--revision", type=click.IntRange(1), help="With --show: an earlier revision.")
@output.output_options
def command(
    day: date | None,
    reseal: date | None,
    reason: str | None,
    verify: date | None,
    status: bool,
    show: date | None,
    revision: int | None,
    form: output.Form,
    lang: Lang,
) -> None:
    """Seal a day: publish the snapshot of the rooms that ended on it, as of 00:40 of the day after.

    Without options: every day that is not sealed, from the first with data to yesterday, imported days among them. A
    day that is sealed already stays as it is. The seal waits for the workers to reach the cut-off; if it fails
    (exit code 7), nothing of that day is published, and it can be tried again at any time.

    What came too late for a day shows in --status as late rooms. --reseal takes it in, also into the other sealed days
    that its rooms leave or join, as new revisions; the earlier ones can still be shown. --verify ends with exit code 7
    where a day is not what its events say, with 5 where they have expired.

    \b
    turnpath seal
    turnpath seal --day 2026-11-22
    turnpath seal --status
    turnpath seal --reseal 2026-11-22 --reason "the shop sent its evening again"
    turnpath seal --verify 2026-11-22
    turnpath seal --show 2026-11-22 --revision 1
    """
    _see_that_it_is_one(day, reseal, verify, show, status or None)
    _see_what_belongs_together(reseal, reason, show, revision)
    if status:
        return output.show(sealed.status(), form, lang)
    if show:
        return output.show(sealed.show(show, revision), form, lang)
    if verify:
        return sealed.verify(verify, form, lang)
    if reseal:
        return _show(sealed.reseal(reseal, reason or ""), form, lang)
    return _seal(day, form, lang)


def _see_that_it_is_one(*asked: object) -> None:
    if sum(one is not None for one in asked) > 1:
        raise BadUsage("give one of --day, --reseal, --verify, --show and --status at a time")


def _see_what_belongs_together(
    reseal: date | None, reason: str | None, show: date | None, revision: int | None
) -> None:
    if reseal and not (reason and reason.strip()):
        raise BadUsage('say why: --reseal DAY --reason "…"; the reason is kept with the new revision')
    if reason is not None and not reseal:
        raise BadUsage("--reason goes with --reseal DAY")
    if revision and not show:
        raise BadUsage("--revision goes with --show DAY")


def _seal(day: date | None, form: output.Form, lang: Lang) -> None:
    sealer = Sealer(load(), SystemClock().now, output.say)
    seals: list[Seal] = []
    try:
        for seal in [sealer.seal(day)] if day else sealer.seal_due(live_only=False):
            output.say(f"{seal.day}: " + ("sealed" if seal.is_new else "is sealed already, left as it is"))
            seals.append(seal)
    except TurnpathError:
        if seals:  # days sealed before the one that failed are sealed
            _show(seals, form, lang)
        raise
    if not seals:
        output.say("no day is due: every day with data up to yesterday is sealed, or its cut-off is still to come")
    _show(seals, form, lang)


def _show(seals: Iterable[Seal], form: output.Form, lang: Lang) -> None:
    output.show(Table(list(_COLUMNS), list(_COLUMNS.values()), [_row(seal) for seal in seals]), form, lang)


def _row(seal: Seal) -> tuple[object, ...]:
    as_of = datetime.fromtimestamp(seal.as_of / 1000, UTC)
    return seal.day, seal.revision, seal.rooms, seal.moves, as_of, seal.checksum
