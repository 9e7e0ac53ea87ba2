"""The workbook of a site's bots: a cover and four sheets a bot, streamed from the views into an xlsx file."""

import contextlib
import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZipFile

from lxml.etree import SerialisationError
from openpyxl import Workbook
from openpyxl.writer.excel import ExcelWriter

from exporter.asked import Asked
from exporter.cover import BotFacts, Cover, Facts
from exporter.days import Day, out_of_use
from exporter.sheets import Book, Bot
from journey.errors import BadUsage
from journey.labels import Label
from sql.client import Client
from sql.streams import Journey


@dataclass(frozen=True, slots=True)
class Written:
    """What came into the workbook; `bots` is empty where none has rows, and then there is no workbook."""

    rows: int
    sheets: tuple[str, ...]
    bots: tuple[str, ...]
    notes: tuple[Label, ...]
    out_of_use: Mapping[str, Sequence[date]]


def check_name(path: Path) -> None:
    """BadUsage where the name does not end with .xlsx: Excel would not open it."""
    if path.suffix.lower() != ".xlsx":
        raise BadUsage(f"{path} is no xlsx file: give a name that ends with .xlsx")


def write(
    file: BinaryIO,
    client: Client,
    asked: Asked,
    bots: Sequence[tuple[str, str]],
    days: Sequence[Day],
    told: Callable[[int], None],
) -> Written:
    """Write the workbook of `bots` (id and name) into `file`; those without rows are named on the cover.

    `told` hears now and then how many rows are written. OSError where the system refuses.
    """
    left_out = out_of_use(days, asked.site, [bot for bot, _ in bots])
    with made_book() as made:
        book = Book(made, asked.lang, asked.today, told)
        cover = Cover(book, _footer(asked, ""))
        found = [facts for bot in bots if (facts := _bot(book, client, asked, bot, several=len(bots) > 1))]
        if found:
            there = {facts.bot for facts, _ in found}
            missing = [bot for bot, _ in bots if bot not in there and asked.bots]
            cover.write(Facts(asked, days, [facts for facts, _ in found], missing, left_out, datetime.now(UTC)))
            save(made, file)
        return Written(
            sum(rows for _, rows in found),
            tuple(book.sheets),
            tuple(facts.bot for facts, _ in found),
            book.changes.notes(),
            left_out,
        )


def _bot(
    book: Book, client: Client, asked: Asked, named: tuple[str, str], several: bool
) -> tuple[BotFacts, int] | None:
    bot, name = named
    journey = Journey(client, asked.site, bot, None if asked.today else (asked.first, asked.last))
    before = len(book.sheets)
    writer = Bot(book, journey, name or bot if several else "", _footer(asked, bot))
    if not writer.write():
        return None
    totals = {} if asked.today else journey.totals()
    facts = BotFacts(bot, name, totals.get("rooms"), totals.get("customers"), writer.sums, book.sheets[before])
    return facts, writer.rows


def _footer(asked: Asked, bot: str) -> str:
    days = str(asked.first) if asked.first == asked.last else f"{asked.first} ~ {asked.last}"
    return " / ".join(part for part in (asked.site, bot, days) if part)


def save(book: Any, file: BinaryIO) -> None:
    """As `book.save(file)`; but where that fails, nobody writes a zip's end into the closed file later on."""
    book.properties.modified = datetime.now(UTC).replace(tzinfo=None)
    archive = ZipFile(file, "w", ZIP_DEFLATED)
    try:
        ExcelWriter(book, archive).save()
    finally:
        archive.fp = None


@contextlib.contextmanager
def made_book() -> Iterator[Any]:
    """A write-only workbook; its temporary files are gone when the block ends, however it ends."""
    book = Workbook(write_only=True)
    book.properties.creator = "Turnpath"
    try:
        yield book
    except SerialisationError as error:  # lxml's word for what the system said to it while a sheet was written
        raise OSError(errno.ENOSPC, str(error)) from error
    finally:
        # an unfinished sheet would complain when collected, and keep its temporary file until the process ends
        for sheet in book.worksheets:
            with contextlib.suppress(Exception):
                sheet.close()
            with contextlib.suppress(Exception):
                sheet._writer.cleanup()
