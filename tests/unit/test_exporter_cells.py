"""What Excel would misread is written so that it cannot."""

import re
import subprocess
import sys
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook
from python_calamine import CalamineWorkbook

from exporter.cells import COUNT, DAY, MAX_TEXT, RATE, TIME, Look, Rows, Styles, fitting
from exporter.changes import Changes
from journey import labels

LONG = "배송지를 변경하려면 " * 12


def written(path: Path, values: list[Any], look: Look | None = None, width: int = 32) -> Changes:
    """A workbook with these values, one below the other."""
    book, changes = Workbook(write_only=True), Changes()
    sheet = book.create_sheet("표")
    styles = Styles(sheet, "ko")
    rows = Rows(sheet, changes)
    for value in values:
        rows.add([value], [styles.of(look or Look(), width)])
    book.save(path)
    return changes


def read(path: Path) -> list[Any]:
    return [row[0] for row in CalamineWorkbook.from_path(path).get_sheet_by_name("표").to_python()]


def xml(path: Path) -> str:
    with zipfile.ZipFile(path) as packed:
        return packed.read("xl/worksheets/sheet1.xml").decode()


@pytest.mark.parametrize(
    "text",
    ["=1+1", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'x", "#N/A", "#REF!", " x ", "a\nb", "007"],
)
def test_text_that_looks_like_a_formula_stays_text(text: str, tmp_path: Path) -> None:
    written(path := tmp_path / "a.xlsx", [text])
    assert read(path) == [text.replace("\r", "␍")]
    assert "<f>" not in xml(path)
    assert re.search(r'<c r="A1"[^>]* t="inlineStr">', xml(path))
    dangerous = text.startswith(("=", "+", "-", "@", "\t", "'"))
    assert load_workbook(path)["표"]["A1"].quotePrefix is dangerous  # typed in again, it stays a text, too


@pytest.mark.parametrize("text", ["😀👩‍👩‍👧", "שלום", "\u202eabc", "مرحبا 1", "가나다", "é", "＝1", "\u200b"])
def test_emoji_and_right_to_left_text_come_whole(text: str, tmp_path: Path) -> None:
    changes = written(path := tmp_path / "a.xlsx", [text])
    assert read(path) == [text]
    assert changes.notes() == ()


def test_control_characters_are_shown_and_said(tmp_path: Path) -> None:
    changes = written(path := tmp_path / "a.xlsx", ["a\x00\x1b\x0b\ufffeb", "fine", "\udc00"])
    assert read(path) == ["a␀␛␋\ufffdb", "fine", "\ufffd"]
    (note,) = changes.notes()
    assert "2 (표 A1, 표 A3)" in note.en
    assert "2개 (표 A1, 표 A3)" in note.ko


def test_what_excel_would_decode_is_kept(tmp_path: Path) -> None:
    written(path := tmp_path / "a.xlsx", ["_x0041_", "_x_", "x_x005F_x0041_"])
    assert read(path) == ["_x0041_", "_x_", "x_x005F_x0041_"]
    assert "<t>_x005F_x0041_</t>" in xml(path)


@pytest.mark.parametrize("letter", ["가", "😀"])
def test_a_text_too_long_for_a_cell_is_cut_and_said(letter: str, tmp_path: Path) -> None:
    changes = written(path := tmp_path / "a.xlsx", [letter * 40_000, letter * 10_000])
    cut, whole = read(path)
    assert cut.endswith(letter + "…")
    assert 32_766 <= len(cut.encode("utf-16-le")) // 2 <= MAX_TEXT
    assert whole == letter * 10_000
    assert [("32,767" in note.ko, "1 (표 A1)" in note.en) for note in changes.notes()] == [(True, True)]


@given(st.text(max_size=300))
def test_any_text_fits_a_cell(text: str) -> None:
    shown, cut = fitting(text)
    assert not cut
    assert len(shown.encode("utf-16-le")) // 2 <= MAX_TEXT
    assert labels.visible(shown) == shown


def test_any_text_comes_back(tmp_path: Path) -> None:
    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=60))
    def comes_back(texts: list[str]) -> None:
        written(path := tmp_path / "a.xlsx", texts)
        assert read(path) == [labels.visible(text) for text in texts]

    comes_back()


def test_numbers_days_and_times_are_what_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    values = [7, 0.125, date(2026, 11, 23), datetime(2026, 11, 23, 0, 40), 2**53, "7"]
    book, sheet = (made := Workbook(write_only=True)), made.create_sheet("표")
    styles, rows = Styles(sheet, "en"), Rows(sheet, Changes())
    looks = [Look(COUNT), Look(RATE), Look(DAY), Look(TIME), Look(COUNT), Look()]
    rows.add(values, [styles.of(look) for look in looks])
    book.save(path)
    assert CalamineWorkbook.from_path(path).get_sheet_by_name("표").to_python() == [values]
    assert [cell.number_format for cell in load_workbook(path)["표"][1]] == [COUNT, RATE, DAY, TIME, COUNT, "General"]


def test_what_is_no_number_is_an_empty_cell(tmp_path: Path) -> None:
    written(path := tmp_path / "a.xlsx", [None, float("nan"), float("inf"), 1], Look(RATE))
    assert [cell.value for (cell,) in load_workbook(path)["표"]] == [None, None, None, 1]


@pytest.mark.parametrize(
    "text, lines",
    [("배송 안내", 1), ("가" * 17, 2), ("a" * 32, 1), (LONG, 9), ("줄\n바꿈", 2), ("가" * 601, 1), ("줄\n" * 40, 29)],
)
def test_text_wider_than_its_column_is_wrapped_in_a_row_as_tall_as_it_needs(
    text: str, lines: int, tmp_path: Path
) -> None:
    written(path := tmp_path / "a.xlsx", [text])
    sheet = load_workbook(path)["표"]
    assert bool(sheet["A1"].alignment.wrap_text) is (lines > 1)
    height = sheet.row_dimensions[1].height
    assert (height is None) if lines == 1 else (14 * lines <= height <= 14 * lines + 14)


_FULL = """
import sys, resource, tempfile
from pathlib import Path
from exporter.atomic import replacing
from exporter.workbook import made_book
from exporter.cells import Look, Rows, Styles
from exporter.changes import Changes
from journey.errors import OutputFailed
tempfile.tempdir = sys.argv[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    with replacing(Path(sys.argv[1]) / "a.xlsx") as file, made_book() as book:
        sheet = book.create_sheet("a")
        style, rows = Styles(sheet, "ko").of(Look()), Rows(sheet, Changes())
        for n in range(4_000):
            rows.add([f"{n} {n * n}"], [style])
        book.save(file)
except OutputFailed as error:
    print(error)
"""


@pytest.mark.parametrize("limit", [20_000, 20_000_000])
def test_no_space_is_said_and_leaves_nothing(limit: int, tmp_path: Path) -> None:
    """A limit that the sheet's temporary file passes, and one that no file here passes."""
    run = subprocess.run([sys.executable, "-c", _FULL, str(tmp_path), str(limit)], capture_output=True, text=True)
    assert run.stderr == ""
    if limit < 1_000_000:
        assert "no space left for" in run.stdout
        assert list(tmp_path.iterdir()) == []
    else:
        assert [found.name for found in tmp_path.iterdir()] == ["a.xlsx"]
