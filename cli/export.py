"""`turnpath export`: the journey of a bot, or of all of a site, as xlsx files."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from cli import output, wiring
from cli.asked import asked_options, bot_of, range_of, say_missing, say_out_of_use, say_sealed, site_of
from cli.progress import Progress
from exporter import report
from exporter.report import Asked, Exported
from journey import labels
from journey.errors import BadUsage, NoData
from journey.labels import Lang
from settings import load
from sql import read
from sql.client import Client


@click.command()
@asked_options
@click.option(
    "--output",
    "path",
    type=click.Path(path_type=Path),
    required=True,
    help="The file to write, ….xlsx; with --each a folder.",
)
@click.option("--today", is_flag=True, help="Today's moves so far, provisional, instead of sealed days.")
@click.option("--all-bots", is_flag=True, help="All bots of the site in one workbook.")
@click.option("--each", is_flag=True, help="All bots of the site, a workbook each.")
@click.option(
    "--lang", type=click.Choice(labels.LANGUAGES), default="ko", show_default=True, help="Language of the workbook."
)
def command(
    site: str | None,
    bot: str | None,
    first: date | None,
    last: date | None,
    path: Path,
    today: bool,
    all_bots: bool,
    each: bool,
    lang: Lang,
) -> None:
    """Write where a bot's customers went to an xlsx file: a cover, the table, dialogs, flows and hand-offs.

    An existing file is replaced, whole or not at all. Days that are not sealed, and whatever could not be written as
    it was, are named on standard error and on the cover.

    \b
    turnpath export --site shop --bot orders --from 2026-11-01 --to 2026-11-30 --output orders.xlsx
    turnpath export --site shop --all-bots --lang en --output shop.xlsx
    turnpath export --site shop --each --output folder
    """
    if today and (first or last):
        raise BadUsage("--today takes no --from or --to: give one or the other")
    if bool(bot) + all_bots + each > 1:
        raise BadUsage("--bot is one bot, --all-bots one workbook of all, --each one for each: give one or the other")
    settings = load()
    with wiring.client(settings) as client:
        whose: tuple[str, str | None] = (site_of(client, site), None) if all_bots or each else bot_of(client, site, bot)
        asked = _asked(client, *whose, None if today else (first, last), ZoneInfo(settings.timezone), lang)
        if each:
            _each(client, asked, path)
        else:
            _say(_export(client, asked, path), asked)


def _asked(
    client: Client, site: str, bot: str | None, days: tuple[date | None, date | None] | None, zone: ZoneInfo, lang: Lang
) -> Asked:
    """`bot`: None for all of the site; `days`: None for today."""
    bots = (bot,) if bot else None
    if days is None:
        return Asked.of_today(site, bots, zone, lang)
    return Asked(site, bots, *range_of(client, *days), zone, lang)


def _each(client: Client, asked: Asked, folder: Path) -> None:
    """A workbook for each bot that has rows; a bot without is named."""
    made: list[Exported] = []
    for bot in sorted(row["bot_id"] for row in read.bots_list(client).dicts() if row["site_id"] == asked.site):
        one = replace(asked, bots=(bot,))
        try:
            made.append(_export(client, one, folder / report.file_name(one)))
        except NoData as nothing:
            output.say(str(nothing))
            continue
        _say(made[-1], one, made[-2] if len(made) > 1 else None)
    if not made:
        raise NoData(f"none of the bots of site {asked.site!r} has rows there: no file was written")


def _export(client: Client, asked: Asked, path: Path) -> Exported:
    progress = Progress("rows")
    try:
        return report.export(client, asked, path, lambda rows, _: progress(rows))
    finally:
        progress.end()


def _say(made: Exported, asked: Asked, before: Exported | None = None) -> None:
    """What is in the workbook; of its days only where they are not those of the one `before` it."""
    if made.days and (before is None or before.days != made.days):
        say_missing(list(made.days_missing))
        say_sealed(made.days, asked.zone)
    say_out_of_use(asked.site, made.out_of_use)
    if made.bots_missing:
        output.say(f"no rows, and so not in it: {', '.join(made.bots_missing)}")
    for note in made.notes:
        output.say(f"{made.path}: {note.en}")
    days = "today" if asked.today else f"{asked.first} to {asked.last}"
    bots = made.bots[0] if len(made.bots) == 1 else f"{len(made.bots)} bots"
    output.say(f"{made.path}: {made.rows:,} rows, {made.size:,} bytes, {asked.site} / {bots}, {days}")
