"""A morning of export jobs: the exporter of one process, with a clock of the test's own."""

import contextlib
import io
import os
from dataclasses import dataclass
from datetime import date, time, timedelta
from pathlib import Path

from python_calamine import CalamineWorkbook

from cli.output import journey
from exporter import history
from exporter.jobs import Job, load
from exporter.run import Exporter
from settings import Settings
from sql import read
from sql.client import Client
from tests.integration.made_rooms import SEOUL, SITE, insert_daily
from tests.integration.shop import BOT, seal, yesterday

ADDED = yesterday() - timedelta(days=20)
ONE = timedelta(days=1)
MINUTE, HOUR = 60_000, 3_600_000
TO = ["kim@example.com", "lee@example.com"]


def cut_off(day: date) -> int:
    return SEOUL.cut_off(day, time(0, 40))


@dataclass
class Morning:
    """The exporter of one process, its jobs and its clock; the seal's part is the test's own."""

    client: Client
    settings: Settings
    jobs: tuple[Job, ...]
    at: int

    def exporter(self) -> Exporter:
        return Exporter(self.settings, lambda: self.at, lambda _: contextlib.nullcontext(), lambda _: False)

    def seal(self, *days: date) -> None:
        seal(self.client, days, 5)
        self.at = max(self.at, cut_off(days[-1]) + MINUTE)

    def seal_silent(self, *days: date) -> None:
        """Seal days without a room: a mail about them has no workbook, which takes no time to make."""
        insert_daily(self.client, [{"day": day, "as_of": cut_off(day)} for day in days])
        self.at = max(self.at, cut_off(days[-1]) + MINUTE)

    def turn(self, later: int = 0) -> None:
        self.at += later
        self.exporter().turn(self.jobs)

    def states(self, job: str = "") -> list[tuple[str, str, int]]:
        rows = history.listed(self.client, job, failed=False, since=0).dicts()
        return [(row["slot"], row["state"], row["attempt"]) for row in rows]


def written(folder: Path, *jobs: str) -> tuple[Job, ...]:
    """Jobs of a file in that folder, from their lines; each of the shop's site."""
    path = folder / "exports.toml"
    path.write_text("\n".join(f'[[job]]\nsite = "{SITE}"\n{lines}\n' for lines in jobs))
    return load(path)


def there(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def cells(source: Path | bytes, client: Client, day: date) -> None:
    """The workbook's table equals the view."""
    book = CalamineWorkbook.from_filelike(io.BytesIO(source if isinstance(source, bytes) else source.read_bytes()))
    rows = book.get_sheet_by_name("표").to_python()
    view = [list(row) for row in journey(read.journey_table(client, SITE, BOT, day, day), "ko").rows]
    assert len(view) > 5
    assert rows[1:] == view
