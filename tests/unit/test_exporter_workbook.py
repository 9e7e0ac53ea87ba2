import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook
from python_calamine import CalamineWorkbook

from exporter import workbook
from exporter.report import Day, Report
from journey import labels
from journey.errors import BadUsage, OutputFailed
from journey.labels import Lang

SEOUL = ZoneInfo("Asia/Seoul")
NOW = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
COLUMNS = [
    *("step", "dialog", "inflow", "rooms", "customers", "dropouts", "dropout_rate"),
    *("move", "message", "next_step", "next_dialog", "moves", "move_rooms", "move_customers"),
]
ROWS: list[tuple[Any, ...]] = [
    (1, "홈", 1000, 900, 800, 125, 0.125, "next_step", "배송 조회", 2, "배송", 700, 650, 600),
    (1, "홈", 1000, 900, 800, 125, 0.125, "dropout", "home", 1, "홈", 125, 120, 110),
    (2, "배송", 700, 650, 600, 0, 0.0, "bot_end", "timeout", 0, "", 700, 650, 600),
]
DAYS = [
    Day(date(2026, 11, 20), True, 2, datetime(2026, 11, 20, 15, 40, tzinfo=UTC)),
    Day(date(2026, 11, 21), False, 0, None),
]
TOTALS = {"rooms": 1600, "customers": 1400, "visits": 1700, "dropout": 125}


def reported(rows: list[tuple[Any, ...]] | Iterator[tuple[Any, ...]] = ROWS) -> Report:
    return Report("가게", "주문", date(2026, 11, 20), date(2026, 11, 21), DAYS, COLUMNS, rows, TOTALS)


def named(dialog: str) -> tuple[Any, ...]:
    return (1, dialog, 1, 1, 1, 0, 0.0, "next_step", dialog, 2, dialog, 1, 1, 1)


def write(path: Path, report: Report, lang: Lang = "ko") -> Path:
    workbook.write(path, report, SEOUL, NOW, lang)
    return path


def sheet(path: Path, name: str = "표") -> list[list[Any]]:
    return CalamineWorkbook.from_path(path).get_sheet_by_name(name).to_python()


def test_every_cell_equals_the_table(tmp_path: Path) -> None:
    head, *cells = sheet(write(tmp_path / "a.xlsx", reported()))
    assert head == [labels.COLUMNS[name].ko for name in labels.TABLE]
    assert cells == [list(row) for row in labels.table_rows(COLUMNS, ROWS, "ko")]
    assert cells[1] == [1, "홈", 1000, 900, 800, "처음으로", "이탈 → 홈", 125, 120, 110, 125, 0.125]


def test_numbers_are_numbers_and_the_rate_is_a_percentage(tmp_path: Path) -> None:
    made = load_workbook(write(tmp_path / "a.xlsx", reported()))["표"]
    first = {name: made.cell(2, place) for place, name in enumerate(labels.TABLE, 1)}
    assert {name for name, cell in first.items() if cell.data_type == "n"} == set(labels.TABLE) - {
        "dialog",
        "message",
        "next",
    }
    assert first["dropout_rate"].number_format == "0.0%"
    assert first["inflow"].number_format == "#,##0"


def test_the_header_stays_and_filters_and_columns_are_wide_enough(tmp_path: Path) -> None:
    made = load_workbook(write(tmp_path / "a.xlsx", reported()))["표"]
    assert made.freeze_panes == "C2"
    assert made.auto_filter.ref == "A1:L4"
    assert made.column_dimensions["B"].width >= 30


def test_the_cover_says_what_it_is_made_of(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", reported())
    rows = [[cell for cell in row if cell != ""] for row in sheet(path, "요약")]
    facts = {row[0]: row[1:] for row in rows if row}
    assert [labels.BY_ROOM_END.ko] in rows
    assert facts["고객사"] == ["가게"]
    assert facts["챗봇"] == ["주문"]
    assert facts["시작일"] == [date(2026, 11, 20)]
    assert facts["마감된 날 수"] == [1]
    assert facts["마감되지 않은 날"] == ["2026-11-21"]
    assert facts["작성 시각"] == [datetime(2026, 11, 23, 10, 2, 3)]
    assert facts["방 수"] == [1600]
    assert facts["노출 수"] == [1700]
    assert [date(2026, 11, 20), 2, datetime(2026, 11, 21, 0, 40)] in rows
    assert [date(2026, 11, 21), "마감되지 않음"] in rows


def test_in_english(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", reported(), "en")
    assert CalamineWorkbook.from_path(path).sheet_names == ["Cover", "Table"]
    assert sheet(path, "Table")[0][:3] == ["Step", "Dialog", "Inflow"]
    assert [labels.BY_ROOM_END.en] == [cell for cell in sheet(path, "Cover")[1] if cell]


@pytest.mark.parametrize(
    "text", ["=1+1", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "#N/A", "#REF!", "'x", " x ", "a\nb", "007"]
)
def test_text_that_looks_like_a_formula_stays_text(text: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", reported([named(text)]))
    cell = load_workbook(path)["표"]["B2"]
    assert (cell.value, cell.data_type) == (text, "s") or text.startswith(("=", "#"))  # openpyxl guesses when it reads
    assert sheet(path)[1][1] == text
    with zipfile.ZipFile(path) as packed:
        xml = packed.read("xl/worksheets/sheet2.xml").decode()
    assert "<f>" not in xml
    assert re.search(r'<c r="B2"[^>]* t="inlineStr">', xml)


def test_control_characters_are_shown_and_what_excel_would_decode_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xlsx", reported([named("a\x00\x1b\x0b\ufffeb"), named("_x0041_")]))
    assert [row[1] for row in sheet(path)[1:]] == ["a␀␛␋\ufffdb", "_x0041_"]
    with zipfile.ZipFile(path) as packed:
        assert b"<t>_x005F_x0041_</t>" in packed.read("xl/worksheets/sheet2.xml")


@pytest.mark.parametrize("letter", ["가", "😀"])
def test_a_text_too_long_for_a_cell_is_cut_and_says_so(letter: str, tmp_path: Path) -> None:
    shown = sheet(write(tmp_path / "a.xlsx", reported([named(letter * 40000)])))[1][1]
    assert shown.endswith(letter + "…")
    assert 32_766 <= len(shown.encode("utf-16-le")) // 2 <= workbook.MAX_TEXT


@given(st.text(max_size=300))
def test_any_text_fits_a_cell(text: str) -> None:
    shown = workbook.text(text)
    assert len(shown.encode("utf-16-le")) // 2 <= workbook.MAX_TEXT
    assert labels.visible(shown) == shown


def test_rows_are_streamed_and_too_many_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MAX_ROWS", 4)
    assert len(sheet(write(tmp_path / "a.xlsx", reported(iter(ROWS))))) == 4
    with pytest.raises(OutputFailed, match="a sheet holds 3 rows"):
        write(tmp_path / "b.xlsx", reported([*ROWS, named("x")]))
    assert [found.name for found in tmp_path.iterdir()] == ["a.xlsx"]


def test_a_name_that_excel_would_not_open(tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match=r"ends with \.xlsx"):
        write(tmp_path / "a.csv", reported())


_FULL = """
import resource, sys, tempfile
from pathlib import Path
from exporter import workbook
from tests.unit.test_exporter_workbook import NOW, SEOUL, named, reported
tempfile.tempdir = sys.argv[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    workbook.write(Path(sys.argv[1]) / "a.xlsx", reported([named(f"{n} {n * n}") for n in range(5000)]), SEOUL, NOW)
except workbook.OutputFailed as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [20_000, 20_000_000])
def test_no_space_is_said_and_leaves_nothing(limit: int, tmp_path: Path) -> None:
    """A limit that the first sheet's temporary file passes, and one that no file here passes."""
    run = subprocess.run([sys.executable, "-c", _FULL, str(tmp_path), str(limit)], capture_output=True, text=True)
    assert run.stderr == ""
    if limit < 1_000_000:
        assert "no space left for" in run.stdout
        assert list(tmp_path.iterdir()) == []
    else:
        assert [found.name for found in tmp_path.iterdir()] == ["a.xlsx"]
