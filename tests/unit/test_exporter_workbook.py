"""The sheets and the cover as a file; what they hold is compared with the views in tests/integration/test_export.py."""

import errno
import gc
import re
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from openpyxl import load_workbook
from openpyxl.worksheet.worksheet import Worksheet
from openpyxl.writer.excel import ExcelWriter

from exporter import sheets
from exporter.asked import Asked, file_name
from exporter.cover import BotFacts, Cover, Facts
from exporter.days import Day
from exporter.sheets import Book, Pages, Sums, columns
from exporter.workbook import check_name, made_book, save
from journey import labels
from journey.definitions import definition
from journey.errors import BadUsage
from journey.labels import Lang

SEOUL = ZoneInfo("Asia/Seoul")
ROWS = [
    (1, "홈", 1000, 900, 800, "배송 조회", "배송", 700, 650, 600, 125, 0.125),
    (1, "홈", 1000, 900, 800, "처음으로", "이탈 → 홈", 125, 120, 110, 125, 0.125),
    (2, "배송", 700, 650, 600, "무응답 종료", "챗봇종료", 700, 650, 600, 0, 0.0),
]
DAYS = [
    Day(date(2026, 11, 20), True, 2, datetime(2026, 11, 20, 15, 40, tzinfo=UTC)),
    Day(date(2026, 11, 21), False, 0, None),
]


def written(path: Path, fill: Callable[[Book], Any], lang: Lang = "ko", today: bool = False) -> Book:
    with path.open("wb") as file, made_book() as made:
        book = Book(made, lang, today, lambda _: None)
        fill(book)
        save(made, file)
    return book


def table(book: Book) -> None:
    pages = Pages(book, "table", "", "가게 & 주문 / 2026-11-20")
    for row in ROWS:
        pages.add(row)
    pages.end()


def nodes(step: int, inflow: int, dropout: int) -> dict[str, int]:
    return {**dict.fromkeys(sheets.SUMMED, 1), "step": step, "inflow": inflow, "dropout": dropout}


def facts(bots: int = 1, today: bool = False) -> Facts:
    made = []
    for number in range(bots):
        sums = Sums()
        for step in (1, 2, 40):
            sums.add(nodes(step, 10 * step, step))
        rooms = None if today else 16 + number
        made.append(BotFacts(f"bot{number}", f"봇 {number}", rooms, rooms, sums, "표"))
    asked = Asked("가게", None, date(2026, 11, 20), date(2026, 11, 21), SEOUL, today=today)
    left_out = {} if today else {"bot0": [date(2026, 11, 20)], "쉬는봇": [date(2026, 11, 19), date(2026, 11, 20)]}
    return Facts(asked, [] if today else DAYS, made, ["없는봇"], left_out, datetime(2026, 11, 23, 1, 2, tzinfo=UTC))


def covered(path: Path, told: Facts, lang: Lang = "ko") -> Worksheet:
    def fill(book: Book) -> None:
        cover = Cover(book, "가게")
        table(book)
        book.changes.add("control", "표 B2")
        cover.write(told)

    written(path, fill, lang, told.asked.today)
    return load_workbook(path)[labels.SHEETS["cover"].of(lang)]


def lines(sheet: Worksheet) -> list[list[Any]]:
    return [[cell for cell in row if cell is not None] for row in sheet.iter_rows(values_only=True)]


def test_a_sheet_keeps_its_header_and_filters_what_is_below(tmp_path: Path) -> None:
    written(path := tmp_path / "a.xlsx", table)
    sheet = load_workbook(path)["표"]
    assert [cell.value for cell in sheet[1]] == [labels.COLUMNS[name].ko for name in labels.TABLE]
    assert sheet.freeze_panes == "C2"
    assert sheet.auto_filter.ref == "A1:L4"
    assert sheet.column_dimensions["B"].width == 32
    assert {cell.number_format for cell in sheet["C"][1:]} == {"#,##0"}
    assert {cell.number_format for cell in sheet["L"][1:]} == {"0.0%"}
    assert not sheet.merged_cells.ranges


def test_what_is_said_again_of_a_dialog_is_there_but_faint(tmp_path: Path) -> None:
    written(path := tmp_path / "a.xlsx", table)
    sheet = load_workbook(path)["표"]
    assert [row[1].value for row in sheet.iter_rows(min_row=2)] == ["홈", "홈", "배송"]
    plain, faint = sheet["B2"].font.color, sheet["B3"].font.color
    assert (plain, sheet["L3"].font.color, sheet["B4"].font.color) == (None, faint, None)
    assert faint is not None
    assert sheet["F3"].font.color is None
    assert [bool(sheet[f"A{n}"].border.top.style) for n in (2, 3, 4)] == [True, False, True]


def test_it_prints_on_a4_with_header_and_page_numbers(tmp_path: Path) -> None:
    written(path := tmp_path / "a.xlsx", table)
    sheet = load_workbook(path)["표"]
    assert (sheet.page_setup.orientation, sheet.page_setup.paperSize) == ("landscape", 9)
    assert (sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight) == (1, 0)
    assert sheet.sheet_properties.pageSetUpPr.fitToPage
    assert sheet.print_title_rows == "$1:$1"
    assert sheet.oddFooter.left.text == "가게 && 주문 / 2026-11-20"
    assert sheet.oddFooter.right.text == "&A · &P / &N"


def test_more_rows_than_a_sheet_holds_go_on_in_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MAX_ROWS", 3)
    book = written(path := tmp_path / "a.xlsx", table)
    made = load_workbook(path)
    assert made.sheetnames == ["표", "표 (2)"]
    assert [cell.value for cell in made["표 (2)"][1]] == [cell.value for cell in made["표"][1]]
    found = [row for name in made.sheetnames for row in made[name].iter_rows(min_row=2, values_only=True)]
    assert found == ROWS
    assert made["표"].auto_filter.ref == "A1:L3"
    assert made["표 (2)"].auto_filter.ref == "A1:L2"
    assert made["표 (2)"].freeze_panes == "C2"
    assert ["표 (2)" in note.ko for note in book.changes.notes()] == [True]


def test_the_cover_says_what_it_is_made_of(tmp_path: Path) -> None:
    found = lines(covered(tmp_path / "a.xlsx", facts()))
    said = {row[0]: row[1:] for row in found if row}
    assert [labels.BY_ROOM_END.ko] in found
    assert said["고객사"] == ["가게"]
    assert said["챗봇 이름"] == ["봇 0"]
    assert said["자료가 없는 챗봇"] == ["없는봇"]
    assert said["시작일"] == [datetime(2026, 11, 20)]
    assert said["마감된 날 수"] == [1]
    assert said["마감되지 않은 날"] == ["2026-11-21"]
    assert said["사용 중지로 빠진 챗봇"] == ["bot0 (2026-11-20), 쉬는봇 (2026-11-19 ~ 2026-11-20)"]
    assert said["작성 시각"] == [datetime(2026, 11, 23, 10, 2)]
    assert said["bot0"] == ["봇 0", 16, 16, 430, 3, 3, 3, 3, 43, 3, 3, 0.1]
    assert [datetime(2026, 11, 20), datetime(2026, 11, 21, 0, 40), 2] in found
    assert [datetime(2026, 11, 21), "마감되지 않음"] in found
    assert [row for row in found if row and "표 B2" in str(row[0])]
    assert ["1", 10, 1, 0.1] in found
    assert ["31 +", 400, 40, 0.1] in found


def test_the_cover_of_several_bots_has_their_sum_and_leads_to_their_sheets(tmp_path: Path) -> None:
    sheet = covered(tmp_path / "a.xlsx", facts(bots=3), "en")
    found = lines(sheet)
    assert ["Bots", 3] in found
    assert ["bot2", "봇 2", 18, 18, 430, 3, 3, 3, 3, 43, 3, 3, 0.1] in found
    assert ["Total", 1290, 9, 9, 9, 9, 129, 9, 9, 0.1] in found
    links = [cell.hyperlink.location for row in sheet.iter_rows() for cell in row if cell.hyperlink]
    assert links == ["'표'!A1"] * 3


def test_todays_cover_says_that_it_is_provisional(tmp_path: Path) -> None:
    found = lines(covered(tmp_path / "a.xlsx", facts(today=True)))
    assert [labels.BY_MOVE.ko] in found
    assert not [
        row for row in found if row and row[0] in ("마감된 날 수", "마감 차수", "시작일", "사용 중지로 빠진 챗봇")
    ]


@pytest.mark.parametrize("bots", [1, 3])
def test_the_charts_draw_the_covers_own_cells(bots: int, tmp_path: Path) -> None:
    sheet = covered(path := tmp_path / "a.xlsx", facts(bots))
    with zipfile.ZipFile(path) as packed:
        steps, ways = (packed.read(f"xl/charts/chart{n}.xml").decode() for n in (1, 2))
        places = re.findall(r"<(?:xdr:)?col>(\d+)<", packed.read("xl/drawings/drawing1.xml").decode())
    assert places == ["0", "5", "6", "13"]  # side by side, however wide the columns are
    row = next(cell.row for cell in sheet["A"] if cell.value == "1")
    assert f"<f>'표지'!$C${row}:$C${row + 2}</f>" in steps
    assert sheet[f"C{row - 1}"].value == "이탈"
    last = next(cell.row for cell in sheet["A"] if cell.value == ("합계" if bots > 1 else "bot0"))
    last = max(cell.row for cell in sheet["A"] if cell.value == sheet[f"A{last}"].value)
    assert f"'표지'!$F${last}:$J${last}" in ways
    assert [cell.value for cell in sheet[last - bots - (bots > 1)]][5:10] == [
        *("다음 단계", "error", "상담사연결", "챗봇종료", "이탈"),
    ]
    # openpyxl says nothing of it by itself, and Excel then draws no axis
    assert '<delete val="0"/>' in steps


def test_the_documents_properties_are_neutral(tmp_path: Path) -> None:
    written(path := tmp_path / "a.xlsx", table)
    properties = load_workbook(path).properties
    assert (properties.creator, properties.lastModifiedBy, properties.title) == ("Turnpath", None, None)


def test_a_disk_that_fills_up_is_complained_of_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not again when the half zip is collected."""
    unheard: list[Any] = []
    full = OSError(errno.ENOSPC, "No space left")
    monkeypatch.setattr(sys, "unraisablehook", unheard.append)
    monkeypatch.setattr(ExcelWriter, "_write_charts", lambda _: (_ for _ in ()).throw(full))
    with pytest.raises(OSError, match="No space"):
        written(tmp_path / "a.xlsx", table)
    gc.collect()
    assert unheard == []


@pytest.mark.parametrize("today", [False, True])
def test_every_column_has_a_name_and_a_meaning_in_both_languages(today: bool) -> None:
    for kind in ("table", "nodes", "edges", "handoffs"):
        for name in columns(kind, today):
            for label in (labels.COLUMNS[name], definition(kind, name, today)):
                assert label.ko
                assert label.en


def test_a_name_that_excel_would_not_open() -> None:
    with pytest.raises(BadUsage, match=r"ends with \.xlsx"):
        check_name(Path("a.csv"))


@pytest.mark.parametrize(
    "site, bots, days, name",
    [
        ("shop", ("주문봇",), (20, 21), "shop_주문봇_2026-11-20_2026-11-21.xlsx"),
        ("shop", None, (20, 20), "shop_2026-11-20.xlsx"),
        ("shop", ("a", "b"), (20, 20), "shop_2026-11-20.xlsx"),
        ("../a b", ("c\\d:*?\x00",), (20, 20), "a-b_c-d_2026-11-20.xlsx"),
    ],
)
def test_a_file_name_that_any_system_takes(
    site: str, bots: tuple[str, ...] | None, days: tuple[int, int], name: str
) -> None:
    first, last = (date(2026, 11, day) for day in days)
    assert file_name(Asked(site, bots, first, last, SEOUL)) == name


def test_a_long_file_name_stays_below_what_a_file_system_holds() -> None:
    asked = Asked("가" * 128, ("나" * 128,), date(2026, 11, 20), date(2026, 11, 21), SEOUL, today=True)
    assert len(file_name(asked).encode()) <= 255
