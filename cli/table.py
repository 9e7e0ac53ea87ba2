"""`turnpath table`: the journey table of a bot, printed."""

from datetime import date
from zoneinfo import ZoneInfo

import click

from cli import output, wiring
from cli.asked import asked_options, bot_of, range_of, say_missing, say_out_of_use, say_sealed
from exporter import report
from journey import labels
from journey.errors import BadUsage, NoData
from journey.labels import Lang
from settings import load
from sql import read
from sql.client import Client, Table


@click.command()
@asked_options
@click.option("--today", is_flag=True, help="Today's moves so far, provisional, instead of sealed days.")
@output.output_options
def command(
    site: str | None, bot: str | None, first: date | None, last: date | None, today: bool, form: output.Form, lang: Lang
) -> None:
    """Print where a bot's customers went, step by step: sealed days, or today so far.

    Sealed days go by the day on which a room ended, today by the day of each move: the two never add up to the same.
    Without --from and --to it is the last sealed day. Days that are not sealed are named on standard error.

    \b
    turnpath table --site shop --bot orders
    turnpath table --site shop --bot orders --from 2026-11-01 --to 2026-11-07 --format csv
    turnpath table --today
    """
    if today and (first or last):
        raise BadUsage("--today takes no --from or --to: give one or the other")
    settings = load()
    with wiring.client(settings) as client:
        meant = bot_of(client, site, bot)
        zone = ZoneInfo(settings.timezone)
        found = _today(client, *meant, lang) if today else _sealed(client, *meant, first, last, zone, lang)
        output.show(output.journey(found, lang) if form == "table" else found, form, lang)


def _sealed(
    client: Client, site: str, bot: str, first: date | None, last: date | None, zone: ZoneInfo, lang: Lang
) -> Table:
    first, last = range_of(client, first, last)
    days, found = report.of_one_revision(client, first, last, lambda days: report.table(client, site, bot, days))
    say_missing([day.day for day in days if not day.sealed])
    say_out_of_use(site, report.out_of_use(days, site, [bot]))
    say_sealed(days, zone)
    output.say(f"{site} / {bot}, {first} to {last}. {labels.BY_ROOM_END.of(lang)}")
    return found


def _today(client: Client, site: str, bot: str, lang: Lang) -> Table:
    found = read.today_table(client, site, bot)
    if not found.rows:
        raise NoData(f"{site} / {bot} has no moves today yet; `turnpath table` shows sealed days")
    output.say(f"{site} / {bot}, today. {labels.BY_MOVE.of(lang)}")
    return found
