"""Thirty mornings, the exporter killed at random steps: each job's file there once a day, none half written."""

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, time, timedelta
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook

from exporter import history
from settings import Settings
from sql.client import Client
from stack.parts import environment
from tests.integration.made_rooms import SEOUL, SITE, database
from tests.integration.mail_server import MailBox, Taken, mail_server
from tests.integration.shop import BOT, seal, yesterday

MORNINGS = 30
ONE, HOUR = timedelta(days=1), 3_600_000
DAYS = [yesterday() - timedelta(days=n) for n in range(MORNINGS, 0, -1)]
SUNDAYS = [day for day in DAYS if day.weekday() == 6]
JOBS = f"""
[[job]]
name = "folder"
site = "{SITE}"
bots = ["{BOT}"]
to = "reports"

[[job]]
name = "url"
site = "{SITE}"
to = "file://%s/far"
range = "last 7 days"
when = "0 9 * * 1"

[[job]]
name = "mail"
site = "{SITE}"
to = ["kim@example.com"]
"""
#: What a killed process was sending is taken up by the next only after exporter.due.SENDING_MS; ms.
LATER = 6 * 60_000


def cut_off(day: date) -> int:
    return SEOUL.cut_off(day, time(0, 40))


class Exporters:
    """Processes that make the exports of a moment, one after the other."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, now: int, dies_at: int) -> int:
        """The exit code of one; -9: it was killed at that step."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{now} {dies_at}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def exporters(settings: Settings) -> Iterator[Exporters]:
    command = [sys.executable, "-m", "tests.integration.mornings"]
    env = {**os.environ, **environment(settings)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        yield Exporters(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.fixture
def box() -> Iterator[MailBox]:
    with mail_server(MailBox()) as box:
        yield box


@pytest.fixture
def client(clickhouse_address: str, tmp_path: Path) -> Iterator[Client]:
    with database(clickhouse_address, tmp_path) as client:
        yield client


def test_thirty_mornings(client: Client, box: MailBox, tmp_path: Path) -> None:
    rng = random.Random()  # pytest-randomly seeds it
    (tmp_path / "reports").mkdir()
    (tmp_path / "jobs.toml").write_text(JOBS % tmp_path)
    settings = Settings(
        clickhouse=f"clickhouse://{client.address}/{client.database}",
        export_jobs=tmp_path / "jobs.toml",
        smtp_url=box.url,
        smtp_from="reports@example.com",
    )
    kills = 0
    with exporters(settings) as processes:
        assert processes.run(cut_off(DAYS[0]) - 1, 0) == 0  # the jobs are known from now on
        for day in DAYS:
            seal(client, [day], 5)
            now = cut_off(day) + 9 * HOUR
            later = LATER
            while (code := processes.run(now, dies_at(rng))) == -9:
                kills += 1
                later *= 2  # as the pauses grow
                now += later
            assert code == 0
        assert processes.run(now + 12 * HOUR, 0) == 0
    assert kills > MORNINGS / 3
    see_files(tmp_path)
    see_mails(box, kills)
    see_history(client)


def dies_at(rng: random.Random) -> int:
    """A step of the 24 or so of a morning; every other time none."""
    return rng.choice([0, rng.randrange(1, 25)])


def see_files(folder: Path) -> None:
    """One a day in each place, whole, and nothing else."""
    assert names(folder / "reports") == [f"turnpath_{SITE}_{BOT}_{day}.xlsx" for day in DAYS]
    assert names(folder / "far") == [f"turnpath_{SITE}_전체_{day - 6 * ONE}_{day}.xlsx" for day in SUNDAYS]
    for place in ("reports", "far"):
        for file in (folder / place).iterdir():
            assert len(CalamineWorkbook.from_path(file).get_sheet_by_name("표").to_python()) > 5


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def see_mails(box: MailBox, kills: int) -> None:
    """Each day has come; what came again is the same message, and each but the first of it says that it may be one."""
    came: dict[str, list[Taken]] = {}
    for taken in box.taken:
        came.setdefault(str(taken.message["Message-ID"]), []).append(taken)
    workbooks = sorted(next(iter(first.attachments())) for first, *_ in came.values())
    assert workbooks == [f"turnpath_{SITE}_전체_{day}.xlsx" for day in DAYS]
    again = [taken for _, *repeats in came.values() for taken in repeats]
    assert all("X-Turnpath-Repeat" in taken.message for taken in again)
    assert len(again) <= kills


def see_history(client: Client) -> None:
    """Each job was done once a day, and every attempt is there."""
    rows = history.listed(client, "", failed=False, since=0).dicts()
    done = Counter((row["job"], row["slot"]) for row in rows if row["state"] == "done")
    weekly = [f"{day + ONE}T00:00Z" for day in SUNDAYS]  # nine o'clock in Seoul
    assert done == Counter(
        [*((job, str(day)) for job in ("folder", "mail") for day in DAYS), *(("url", at) for at in weekly)]
    )
    for job, slot in done:
        attempts = [row["attempt"] for row in rows if (row["job"], row["slot"]) == (job, slot)]
        assert attempts == list(range(1, len(attempts) + 1))
