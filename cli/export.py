"""`turnpath export`: the journey table of a bot as an xlsx file."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from cli import output, wiring
from cli.asked import asked_options, bot_of, range_of, say_missing
from exporter import report, workbook
from journey import labels
from journey.labels import Lang
from settings import load


@click.command()
@asked_options
@click.option("--output", "path", type=click.Path(path_type=Path), required=True, help="The file to write, ….xlsx.")
@click.option(
    "--lang", type=click.Choice(labels.LANGUAGES), default="ko", show_default=True, help="Language of the workbook."
)
def command(site: str | None, bot: str | None, first: date | None, last: date | None, path: Path, lang: Lang) -> None:
    """Write where a bot's customers went on sealed days to an xlsx file: a cover and the table.

    An existing file is replaced, whole or not at all. Days that are not sealed are named on standard error and on
    the cover.

    \b
    turnpath export --site shop --bot orders --from 2026-11-01 --to 2026-11-30 --output orders.xlsx
    """
    workbook.check_name(path)
    settings = load()
    with wiring.client(settings) as client:
        meant = bot_of(client, site, bot)
        made = report.report(client, *meant, *range_of(client, first, last))
    say_missing(made.missing)
    count = workbook.write(path, made, ZoneInfo(settings.timezone), datetime.now(UTC), lang)
    output.say(f"{path}: {count:,} rows, {made.site} / {made.bot}, {made.first} to {made.last}")
