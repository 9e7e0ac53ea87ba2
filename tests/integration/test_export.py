"""`turnpath export` and `turnpath table` against a real ClickHouse engine."""

import csv
import io
import os
import subprocess
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from python_calamine import CalamineWorkbook

from cli.table import command as table_command
from sql import read
from sql.client import Client
from stack.parts import turnpath as command_line
from tests.integration.made_rooms import SITE
from tests.integration.shop import BOT, EVIL, live_rooms, reseal, seal, show_live, yesterday

ROOT = Path(__file__).parents[2]
GAP = timedelta(days=2)


@pytest.fixture
def client(migrated_url: str) -> Iterator[Client]:
    with Client(migrated_url) as client:
        yield client


@pytest.fixture
def last(client: Client) -> date:
    """The last sealed day: yesterday. The day before it is not sealed, the one before that is."""
    seal(client, [yesterday() - GAP, yesterday()])
    return yesterday()


def turnpath(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command, env = command_line(*arguments), {"TURNPATH_CLICKHOUSE": url, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **env})


def cells(path: Path, sheet: str) -> list[list[Any]]:
    return CalamineWorkbook.from_path(path).get_sheet_by_name(sheet).to_python()


def test_what_is_printed_equals_the_view(client: Client, last: date, migrated_url: str) -> None:
    view = read.journey_table(client, SITE, BOT, last, last)
    as_json = turnpath(migrated_url, "table", "--format", "json")
    assert orjson.loads(as_json.stdout) == view.dicts()
    assert "By the day on which a room ended" in turnpath(migrated_url, "table", "--lang", "en").stderr
    as_csv = turnpath(migrated_url, "table", "--format", "csv", "--from", str(last))
    assert list(csv.reader(io.StringIO(as_csv.stdout))) == [view.columns, *([str(c) for c in row] for row in view.rows)]
    printed = turnpath(migrated_url, "table", "--site", SITE).stdout
    assert printed.splitlines()[0].startswith("단계  현재 대화 ")
    assert printed.splitlines()[0].endswith("이탈 수  이탈률")
    assert len(printed.splitlines()) == len(view.rows) + 2
    assert EVIL in printed


def test_a_table_is_of_the_revisions_that_are_named(
    client: Client, last: date, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day is resealed, and the one before it sealed, between the two queries that it is made of."""
    real, before = read.journey_table, last - timedelta(days=1)
    comes = True

    def slow(*asked: Any) -> Any:
        nonlocal comes
        if comes:
            comes = False
            reseal(client, last, rooms=90)
            seal(client, [before], rooms=7)
        return real(*asked)

    monkeypatch.setattr(read, "journey_table", slow)
    monkeypatch.setenv("TURNPATH_CLICKHOUSE", migrated_url)
    run = CliRunner().invoke(table_command, ["--from", str(before), "--to", str(last), "--format", "json"])
    assert orjson.loads(run.stdout) == real(client, SITE, BOT, before, last).dicts()
    assert f"resealed: {last} (revision 2)" in run.stderr
    assert "not sealed" not in run.stderr


def test_days_on_which_a_bot_was_out_of_use_are_named(
    client: Client, last: date, migrated_url: str, tmp_path: Path
) -> None:
    """Their moves are in no figure: a zero that says nothing would look like a quiet day."""
    reseal(client, last, rooms=0, left_out=[f"{SITE}:{BOT}"])
    days = ["--from", str(last - GAP), "--to", str(last)]
    words = f"out of use on {last}, and so not in it: {SITE} / {BOT}"
    assert words in turnpath(migrated_url, "table", *days).stderr
    path = tmp_path / "a.xlsx"
    said = turnpath(migrated_url, "export", "--output", str(path), *days).stderr
    assert words in said
    as_of = f"sealed as of {last - timedelta(days=1)} 00:40 to {last + timedelta(days=1)} 00:40 Asia/Seoul"
    assert f"{as_of}, resealed: {last} (revision 2)" in said
    assert f"{as_of}, resealed: {last} (revision 2)" in turnpath(migrated_url, "table", *days).stderr
    assert ["사용 중지로 빠진 챗봇", f"{BOT} ({last})"] in [row[:2] for row in cells(path, "표지")]
    for command in (["table"], ["export", "--output", str(tmp_path / "b.xlsx")]):
        alone = turnpath(migrated_url, *command, "--from", str(last))
        assert alone.returncode == 5
        assert f"'{BOT}' was out of use on {last}" in alone.stderr


def test_todays_table(client: Client, last: date, migrated_url: str) -> None:
    empty = turnpath(migrated_url, "table", "--today")
    assert (empty.returncode, empty.stdout) == (5, "")
    show_live(client, live_rooms(10))
    run = turnpath(migrated_url, "table", "--today", "--format", "json")
    assert orjson.loads(run.stdout) == read.today_table(client, SITE, BOT).dicts()
    assert "open" in {row["move"] for row in orjson.loads(run.stdout)}
    assert "이동이 일어난 날짜 기준" in run.stderr


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["--site", "shep"], 5, "shop"),
        (["--bot", "주문"], 5, BOT),
        (["--from", "2024-01-02"], 6, "2024-01-02: not sealed; the last day sealed is"),
        (["--from", "2024-01-02", "--to", "2024-01-01"], 2, "after"),
        (["--from", "2024-01-01", "--to", "2024-02-01"], 2, "31 days"),
        (["--from", "gestern"], 2, "write it like 2026-11-23"),
    ],
)
def test_what_is_not_there_is_said(
    arguments: list[str], code: int, words: str, last: date, migrated_url: str, tmp_path: Path
) -> None:
    out = tmp_path / "out.xlsx"
    for command in (["table"], ["export", "--output", str(out)]):
        run = turnpath(migrated_url, *command, *arguments)
        assert (run.returncode, run.stdout) == (code, "")
        assert words in run.stderr
        assert "Traceback" not in run.stderr
    assert not out.exists()


def test_a_bot_must_be_named_where_there_are_two(client: Client, last: date, migrated_url: str) -> None:
    client.run(
        "INSERT INTO bots (site_id, bot_id, name, in_use, occurred_at, received_at) "
        "VALUES ('shop', '문의봇', '문의', 1, now64(3), now64(3))"
    )
    run = turnpath(migrated_url, "table", "--site", SITE)
    assert run.returncode == 2
    assert "--site shop --bot 문의봇, --site shop --bot 주문봇" in run.stderr
    named = turnpath(migrated_url, "table", "--bot", "문의봇")
    assert named.returncode == 5
    assert "--today" in named.stderr


def test_before_the_first_seal(client: Client, migrated_url: str) -> None:
    show_live(client, live_rooms(3))
    run = turnpath(migrated_url, "table")
    assert run.returncode == 6
    assert "no day is sealed yet" in run.stderr


def test_where_it_cannot_be_written(last: date, migrated_url: str, tmp_path: Path) -> None:
    run = turnpath(migrated_url, "export", "--output", str(tmp_path / "nowhere" / "a.xlsx"))
    assert run.returncode == 8
    assert "mkdir -p" in run.stderr
    run = turnpath(migrated_url, "export", "--output", str(tmp_path / "a.xls"))
    assert run.returncode == 2
    assert "ends with .xlsx" in run.stderr


def test_clickhouse_away(tmp_path: Path) -> None:
    run = turnpath("clickhouse://127.0.0.1:9/turnpath", "table")
    assert run.returncode == 4
    assert "TURNPATH_CLICKHOUSE" in run.stderr
