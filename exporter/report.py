"""The exporter's face: a workbook of a site's bots, read from ClickHouse and written whole or not at all.

    export(client, Asked(site, bots, first, last, zone, lang), path, progress) -> Exported

`Asked` and `Exported` say what goes in and what comes out, `file_name` makes a name for the file. Errors:
`NoData` (none of the bots has rows there; the text names the nearest), `NotSealed` (none of the days is sealed),
`BadUsage` (a range or a name that cannot be), `OutputFailed` (no space, no rights, no folder), and those of
`sql.client.Client`. After an error nothing new is at `path`, and what was there is as it was.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import BinaryIO

from exporter import workbook
from exporter.asked import Asked, Exported, Progress, file_name
from exporter.atomic import replacing
from exporter.days import Day, days, last_sealed, of_one_revision, out_of_use, said
from exporter.workbook import Written
from journey.errors import NoData
from sql import read
from sql.client import Client, Table

__all__ = [
    "Asked",
    "Day",
    "Exported",
    "Progress",
    "days",
    "export",
    "file_name",
    "last_sealed",
    "of_one_revision",
    "out_of_use",
    "table",
]


def export(client: Client, asked: Asked, path: Path, progress: Progress | None = None) -> Exported:
    """Write what is asked for to `path` (….xlsx); a file that is there is replaced when the new one is whole.

    All of it is of the same revisions: where a day is sealed anew meanwhile, it begins again.
    """
    workbook.check_name(path)
    with replacing(path) as file:

        def written(known: Sequence[Day]) -> Written:
            file.seek(0)
            file.truncate()
            return _written(file, client, asked, known, progress)

        if asked.today:
            known, made = list[Day](), written([])
        else:
            known, made = of_one_revision(client, asked.first, asked.last, written)
        size = file.tell()
    missing = tuple(bot for bot in asked.bots or () if bot not in made.bots)
    return Exported(path, made.rows, made.sheets, made.bots, missing, tuple(known), made.out_of_use, made.notes, size)


def _written(file: BinaryIO, client: Client, asked: Asked, known: Sequence[Day], progress: Progress | None) -> Written:
    def told(rows: int) -> None:
        if progress:
            progress(rows, None)

    made = workbook.write(file, client, asked, _bots(client, asked), known, told)
    if not made.bots:
        raise NoData(_nothing(client, asked) + _why_nothing(made.out_of_use))
    return made


def _bots(client: Client, asked: Asked) -> list[tuple[str, str]]:
    """Id and name of the bots meant. NoData, with the nearest, where one that is named is not there."""
    there = {row["bot_id"]: row["name"] for row in read.bots_list(client).dicts() if row["site_id"] == asked.site}
    for bot in asked.bots or ():
        if bot not in there:
            raise NoData(read.nearest(client, asked.site, bot))
    if not there:
        raise NoData(read.nearest(client, asked.site, ""))
    return [(bot, there[bot]) for bot in dict.fromkeys(asked.bots or sorted(there))]


def _nothing(client: Client, asked: Asked) -> str:
    if asked.today:
        return f"{' / '.join([asked.site, *(asked.bots or ())])} has no moves today yet; sealed days have a --from"
    if asked.bots and len(asked.bots) == 1:
        return read.nearest(client, asked.site, asked.bots[0], asked.last)
    return f"None of the bots of site {asked.site!r} has rows from {asked.first} to {asked.last}"


def _why_nothing(left_out: Mapping[str, Sequence[date]]) -> str:
    return "".join(f"; {bot!r} was out of use on {said(days)}" for bot, days in left_out.items())


def table(client: Client, site: str, bot: str, known: Sequence[Day]) -> Table:
    """`journey_table` of these days, one after the other; NoData, with the nearest there is, where it has no rows."""
    found = read.journey_table(client, site, bot, known[0].day, known[-1].day)
    if not found.rows:
        raise NoData(read.nearest(client, site, bot, known[-1].day) + _why_nothing(out_of_use(known, site, [bot])))
    return found
