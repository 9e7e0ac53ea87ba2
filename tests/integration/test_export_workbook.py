"""Workbooks of a real ClickHouse engine: every cell equals its view, all of one revision, nothing of a customer."""

import os
import re
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from python_calamine import CalamineWorkbook

from cli.export import command
from exporter import report, workbook
from exporter.report import Asked, Exported, export
from exporter.sheets import columns
from journey import labels
from journey.errors import NoData, NotSealed, OutputFailed, Retry, TurnpathError
from journey.labels import LANGUAGES, Lang
from sql import read
from sql.client import Client, Table
from tests.integration import demo_shop
from tests.integration.made_rooms import SITE, database
from tests.integration.shop import live_rooms, show_live, today, yesterday

SEOUL = ZoneInfo("Asia/Seoul")
BOTS = ("delivery", "event", "member", "order", "return")


@pytest.fixture(scope="module")
def client(clickhouse_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The shop, sealed on three of the last four days; nothing in here changes it."""
    with database(clickhouse_address, tmp_path_factory.mktemp("shop")) as client:
        demo_shop.seal(client, FIRST, 3)
        yield client


FIRST, LAST = yesterday() - timedelta(days=3), yesterday()


def asked(*bots: str, lang: Lang = "ko") -> Asked:
    return Asked(SITE, bots or None, FIRST, LAST, SEOUL, lang)


def cells(path: Path, sheet: str) -> list[list[Any]]:
    """The rows of a sheet below its header, whose width is the header's."""
    found = CalamineWorkbook.from_path(path).get_sheet_by_name(sheet).to_python()
    return found[1:]


def expected_table(found: Table, lang: Lang) -> list[list[Any]]:
    return [list(row) for row in labels.table_rows(found.columns, found.rows, lang)]


def expected(found: Table, names: tuple[str, ...], lang: Lang) -> list[list[Any]]:
    """The view's rows in the sheet's order, moves and messages by their labels."""
    said = []
    for row in found.dicts():
        if "move" in row:
            row["message"] = labels.message(row["move"], row["message"], lang)
            row["move"] = labels.MOVES[row["move"]].of(lang)
        said.append([row[name] for name in names])
    return said


def handed_off(nodes: Table, edges: Table) -> list[list[Any]]:
    """The hand-offs of the views, counted here once more."""
    found = []
    for node in nodes.dicts():
        if not (connects := node["agent_connect"]) and not node["agent_served"]:
            continue
        place = [e for e in edges.dicts() if (e["step"], e["dialog"]) == (node["step"], node["dialog"])]
        asks = [e for e in place if (e["move"], e["message"]) == ("agent_connect", "agent")]
        taken = [e for e in place if (e["move"], e["message"]) == ("agent_connect", "(takeover)")]
        served = [e for e in place if e["move"] == "agent_served"]
        base = node["inflow"] + node.get("carried", 0)
        row = [node["step"], node["dialog"], node["inflow"], connects, connects / base if base else ""]
        row += [sum(e["moves"] for e in asks), sum(e["rooms"] for e in asks), sum(e["moves"] for e in taken)]
        row += [node["agent_served"], sum(e["rooms"] for e in served), sum(e["customers"] for e in served)]
        found.append([*row, node["agent_served"] / connects if connects else ""])
    return found


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_cell_equals_the_views(lang: Lang, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    made = export(client, asked("delivery", lang=lang), path)
    where = (client, SITE, "delivery", FIRST, LAST)
    names = [labels.SHEETS[kind].of(lang) for kind in ("cover", "table", "nodes", "edges", "handoffs")]
    assert CalamineWorkbook.from_path(path).sheet_names == names == list(made.sheets)
    table, nodes, edges = read.journey_table(*where), read.journey_nodes(*where), read.journey_edges(*where)
    assert min(len(table.rows), len(nodes.rows), len(edges.rows)) > 20
    assert cells(path, names[1]) == expected_table(table, lang)
    assert cells(path, names[2]) == expected(nodes, columns("nodes", False), lang)
    assert cells(path, names[3]) == expected(edges, columns("edges", False), lang)
    assert cells(path, names[4]) == handed_off(nodes, edges)
    assert len(cells(path, names[4])) > 3
    for kind, name in zip(("table", "nodes", "edges", "handoffs"), names[1:], strict=True):
        head = CalamineWorkbook.from_path(path).get_sheet_by_name(name).to_python()[0]
        assert head == [labels.COLUMNS[column].of(lang) for column in columns(kind, False)]
    assert (made.rows, made.size) == (len(table.rows), path.stat().st_size)


@pytest.fixture(scope="module")
def everything(client: Client, tmp_path_factory: pytest.TempPathFactory) -> tuple[Exported, list[int]]:
    """The workbook of all bots, and what was told of its progress."""
    told: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.sheets._TOLD_EVERY", 50)
        path = tmp_path_factory.mktemp("everything") / "a.xlsx"
        return export(client, asked(), path, lambda rows, _: told.append(rows)), told


def test_the_cover_equals_the_views(client: Client, everything: tuple[Exported, list[int]]) -> None:
    made, _ = everything
    assert made.bots == BOTS
    found = [[cell for cell in row if cell != ""] for row in cells(made.path, "표지")]
    for bot, name in zip(BOTS, ("배송 조회", "봄맞이 이벤트", "회원·쿠폰", "주문·결제", "교환·반품"), strict=True):
        totals = read.journey_totals(client, SITE, bot, FIRST, LAST).dicts()[0]
        ways = [totals[way] for way in ("next_step", "error", "agent_connect", "bot_end", "dropout")]
        more = [totals["agent_served"], totals["timeout"], totals["dropout"] / totals["visits"]]
        assert [bot, name, totals["rooms"], totals["customers"], totals["visits"], *ways, *more] in found
    assert ["마감되지 않은 날", str(LAST)] in found
    assert (made.days_missing, made.revisions) == ((LAST,), {FIRST + timedelta(days=n): 1 for n in range(3)})
    for day in read.journey_days(client, FIRST, LAST).dicts():
        as_of = day["as_of"] and day["as_of"].astimezone(SEOUL).replace(tzinfo=None)
        assert ([day["day"], as_of, day["revision"]] if day["sealed"] else [day["day"], "마감되지 않음"]) in found


def test_all_bots_have_sheets_of_their_own(client: Client, everything: tuple[Exported, list[int]]) -> None:
    made, told = everything
    assert len(made.sheets) == 1 + 4 * len(BOTS)
    assert "교환·반품 상담 연결" in made.sheets
    table = read.journey_table(client, SITE, "member", FIRST, LAST)
    assert cells(made.path, "회원·쿠폰 표") == expected_table(table, "ko")
    assert told == [50 * n for n in range(1, len(told) + 1)]
    assert told[-1] > made.rows


def test_nothing_of_a_customer_is_in_it(client: Client, everything: tuple[Exported, list[int]]) -> None:
    with zipfile.ZipFile(everything[0].path) as packed:
        whole = "".join(packed.read(name).decode() for name in packed.namelist())
    rooms = client.rows("SELECT DISTINCT room_id FROM daily WHERE kind = 'room'")
    assert len(rooms) > 50
    assert not [room for (room,) in rooms if room in whole]
    assert not re.search(r"customer \d", whole)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_todays_workbook_equals_todays_views(lang: Lang, migrated_url: str, tmp_path: Path) -> None:
    with Client(migrated_url) as client:
        show_live(client, live_rooms(20))
        path = tmp_path / "a.xlsx"
        export(client, Asked.of_today(SITE, ("주문봇",), SEOUL, lang), path)
        where = (client, SITE, "주문봇")
        table, nodes, edges = read.today_table(*where), read.today_nodes(*where), read.today_edges(*where)
    names = [labels.SHEETS[kind].of(lang) for kind in ("cover", "table", "nodes", "edges", "handoffs")]
    assert cells(path, names[1]) == expected_table(table, lang)
    assert cells(path, names[2]) == expected(nodes, columns("nodes", True), lang)
    assert cells(path, names[3]) == expected(edges, columns("edges", True), lang)
    assert cells(path, names[4]) == handed_off(nodes, edges)
    cover = [row[:2] for row in cells(path, names[0])]
    assert [labels.COLUMNS["day"].of(lang), today()] in cover
    assert labels.BY_MOVE.of(lang) in [row[0] for row in cover]


def test_what_is_not_there_is_said_and_leaves_nothing(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with pytest.raises(NoData, match=r"it has .*delivery"):
        export(client, asked("delivry"), path)
    with pytest.raises(NoData, match="There is no site"):
        export(client, Asked("shep", None, FIRST, LAST, SEOUL), path)
    with pytest.raises(NotSealed, match="not sealed"):
        export(client, Asked(SITE, None, LAST, LAST, SEOUL), path)
    with pytest.raises(NoData, match="no moves today"):
        export(client, Asked.of_today(SITE, ("delivery",), SEOUL), path)
    assert list(tmp_path.iterdir()) == []


def test_a_bot_without_rows_is_named(client: Client, tmp_path: Path) -> None:
    client.run(
        "INSERT INTO bots (site_id, bot_id, name, in_use, occurred_at, received_at) "
        "VALUES ('other', 'quiet', '조용', 1, now64(3), now64(3)), ('other', 'calm', '', 1, now64(3), now64(3))"
    )
    with pytest.raises(NoData, match="None of the bots of site 'other' has rows"):
        export(client, Asked("other", None, FIRST, LAST, SEOUL), tmp_path / "a.xlsx")
    with pytest.raises(NoData, match="No sealed day has rows of bot 'quiet'"):
        export(client, Asked("other", ("quiet",), FIRST, LAST, SEOUL), tmp_path / "a.xlsx")


def test_a_day_sealed_anew_meanwhile_begins_it_again(
    migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write is the real one; a reseal comes in while the first is under way."""
    write, times = workbook.write, 0

    def write_while_sealing(*given: Any) -> workbook.Written:
        nonlocal times
        made = write(*given)
        times += 1
        if times == 1 or always:
            client.run(f"INSERT INTO daily SELECT * REPLACE ({times} + 1 AS revision) FROM daily WHERE kind = 'seal'")
        return made

    always = False
    with Client(migrated_url) as client:
        demo_shop.seal(client, FIRST, 1, rooms_a_day=10)
        monkeypatch.setattr(workbook, "write", write_while_sealing)
        made = export(client, asked("delivery"), tmp_path / "a.xlsx")
        assert (times, made.revisions) == (2, {FIRST: 2})
        always = True
        with pytest.raises(Retry, match="sealed anew"):
            export(client, asked("delivery"), tmp_path / "b.xlsx")
    assert [found.name for found in tmp_path.iterdir()] == ["a.xlsx"]


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system of its own takes root")
def test_a_full_disk_leaves_the_older_file(client: Client, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        path = disk / "a.xlsx"
        path.write_bytes(b"an older file")
        with pytest.raises(OutputFailed, match="no space left"):
            export(client, asked("order"), path)
        assert [(found.name, found.read_bytes()) for found in disk.iterdir()] == [("a.xlsx", b"an older file")]
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.fixture
def turnpath(client: Client, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Runs the command in this process (as a process of its own: test_export.py); its exit code and what it said."""
    monkeypatch.setenv("TURNPATH_CLICKHOUSE", f"clickhouse://{client.address}/{client.database}")

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(command, ["--from", str(FIRST), "--to", str(LAST), *arguments])
        assert done.stdout == ""
        if isinstance(done.exception, TurnpathError):
            return done.exception.exit_code, str(done.exception)
        return done.exit_code, done.stderr

    return run


def test_the_command_writes_one_workbook_of_all_bots(turnpath: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    path = tmp_path / "all.xlsx"
    path.write_bytes(b"an older file")
    path.chmod(0o640)
    code, said = turnpath("--site", SITE, "--all-bots", "--output", str(path), "--lang", "en")
    assert code == 0
    assert f"not sealed, and so not in it: {LAST}" in said
    assert f"{SITE} / 5 bots" in said
    assert len(CalamineWorkbook.from_path(path).sheet_names) == 21
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_command_writes_a_workbook_for_each_bot(
    turnpath: Callable[..., tuple[int, str]], client: Client, tmp_path: Path
) -> None:
    code, said = turnpath("--site", SITE, "--each", "--output", str(tmp_path))
    assert code == 0
    assert said.count("not sealed, and so not in it") == 1
    assert sorted(found.name for found in tmp_path.iterdir()) == [f"{SITE}_{bot}_{FIRST}_{LAST}.xlsx" for bot in BOTS]
    table = read.journey_table(client, SITE, "order", FIRST, LAST)
    assert cells(tmp_path / f"{SITE}_order_{FIRST}_{LAST}.xlsx", "표") == expected_table(table, "ko")


@pytest.mark.parametrize(
    "given, code, words",
    [
        (["--bot", "order", "--each"], 2, "give one or the other"),
        (["--each", "--all-bots"], 2, "give one or the other"),
        (["--today"], 2, "takes no --from"),
        (["--site", "shep", "--all-bots"], 5, "There is no site"),
        (["--site", SITE, "--bot", "order", "--output", "/nowhere/a.xlsx"], 8, "mkdir -p"),
        (["--site", SITE, "--bot", "order", "--output", "a.xls"], 2, "ends with .xlsx"),
    ],
)
def test_the_command_says_what_is_wrong(
    given: list[str], code: int, words: str, turnpath: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    found, said = turnpath("--output", str(tmp_path / "a.xlsx"), *given)
    assert (found, list(tmp_path.iterdir())) == (code, [])
    assert words in said


def test_a_file_name_for_each(client: Client) -> None:
    assert report.file_name(asked("delivery")) == f"{SITE}_delivery_{FIRST}_{LAST}.xlsx"
    assert report.last_sealed(client) == date.fromordinal(LAST.toordinal() - 1)
