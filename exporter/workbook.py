"""The workbook: a cover and the page's table, streamed row by row into an xlsx file."""

import contextlib
import errno
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from lxml.etree import SerialisationError
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter

from exporter.atomic import replacing
from exporter.report import Report
from journey import labels
from journey.errors import BadUsage, OutputFailed
from journey.labels import Label, Lang

COVER = Label("요약", "Cover")
TABLE = Label("표", "Table")

#: What a sheet and a cell of xlsx hold; a cell's characters are UTF-16 units.
MAX_ROWS = 1_048_576
MAX_TEXT = 32_767

_WIDTHS = {"dialog": 32, "message": 30, "next": 34, "step": 8}
_COUNT, _RATE, _DAY, _TIME = "#,##0", "0.0%", "yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss"
_BOLD, _TITLE = Font(bold=True), Font(bold=True, size=16)
_HEAD = PatternFill("solid", fgColor="DDE7F3")
# Excel reads _x0041_ in a text as the character of that code; the underscore's own code keeps it as it is
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")


def write(path: Path, report: Report, zone: ZoneInfo, written_at: datetime, lang: Lang = "ko") -> int:
    """Write `report` to `path` whole or not at all, and return the number of the table's rows.

    An existing file is replaced. Times are shown in `zone`. BadUsage: the name does not end with .xlsx;
    OutputFailed: it cannot be written there, or a sheet cannot hold so many rows.
    """
    check_name(path)
    with replacing(path) as file, _book() as book:
        _Cover(book.create_sheet(COVER.of(lang)), zone, lang).write(report, written_at)
        count = _write_table(book.create_sheet(TABLE.of(lang)), report, lang)
        book.save(file)
    return count


@contextlib.contextmanager
def _book() -> Iterator[Workbook]:
    book = Workbook(write_only=True)
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


def check_name(path: Path) -> None:
    """BadUsage where the name does not end with .xlsx: Excel would not open it."""
    if path.suffix.lower() != ".xlsx":
        raise BadUsage(f"{path} is no xlsx file: give a name that ends with .xlsx")


def text(value: str) -> str:
    """`value` as a cell can hold it: control characters visible, at most 32,767 characters (… ends a cut one)."""
    shown = _ESCAPE.sub("_x005F_", labels.visible(value))
    if len(shown) * 2 <= MAX_TEXT or len(shown.encode("utf-16-le")) // 2 <= MAX_TEXT:
        return shown
    return shown.encode("utf-16-le")[: (MAX_TEXT - 1) * 2].decode("utf-16-le", "ignore") + "…"


def _put(cell: WriteOnlyCell, value: Any) -> WriteOnlyCell:
    if isinstance(value, str):
        cell.value = text(value)
        cell.data_type = "s"  # or openpyxl makes a formula of =…, an error of #N/A
    else:
        cell.value = value
    return cell


def _styled(sheet: Any, value: Any, number_format: str = "General", font: Font | None = None) -> WriteOnlyCell:
    cell = WriteOnlyCell(sheet)
    cell.number_format = number_format
    if font:
        cell.font = font
    return _put(cell, value)


def _write_table(sheet: Any, report: Report, lang: Lang) -> int:
    # before the first row, or a write-only sheet leaves them out
    sheet.freeze_panes = "C2"
    for place, name in enumerate(labels.TABLE, 1):
        sheet.column_dimensions[get_column_letter(place)].width = _WIDTHS.get(name, 12)
    sheet.append([_head(sheet, labels.COLUMNS[name].of(lang)) for name in labels.TABLE])
    # one cell a column, filled anew for each row: append writes it at once and keeps nothing
    cells = [_styled(sheet, None, _format(name)) for name in labels.TABLE]
    count = 0
    for row in labels.table_rows(report.columns, report.rows, lang):
        count += 1
        if count >= MAX_ROWS:
            raise OutputFailed(f"a sheet holds {MAX_ROWS - 1:,} rows, and this has more: export fewer days")
        sheet.append([_put(cell, value) for cell, value in zip(cells, row, strict=True)])
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(labels.TABLE))}{count + 1}"
    return count


def _format(name: str) -> str:
    if name in ("dialog", "message", "next"):
        return "@"
    return _RATE if name == "dropout_rate" else _COUNT


def _head(sheet: Any, name: str) -> WriteOnlyCell:
    cell = _styled(sheet, name, font=_BOLD)
    cell.fill = _HEAD
    cell.alignment = Alignment(wrap_text=True, vertical="center")
    return cell


class _Cover:
    """The first sheet: what this is, which days it is made of, and the totals."""

    def __init__(self, sheet: Any, zone: ZoneInfo, lang: Lang) -> None:
        self.sheet, self.zone, self.lang = sheet, zone, lang
        for column, width in zip("ABC", (26, 34, 24), strict=True):
            sheet.column_dimensions[column].width = width

    def write(self, report: Report, written_at: datetime) -> None:
        self._line(Label("챗봇 여정", "Chatbot journeys"), font=_TITLE)
        self._line(labels.BY_ROOM_END)
        self._row()
        self._facts(report, written_at)
        self._row()
        self._totals(report)
        self._row()
        self._days(report)

    def _facts(self, report: Report, written_at: datetime) -> None:
        self._line(labels.COLUMNS["site_id"], report.site)
        self._line(labels.COLUMNS["bot_id"], report.bot)
        self._line(Label("시작일", "From"), report.first)
        self._line(Label("종료일", "To"), report.last)
        self._line(Label("마감된 날 수", "Days sealed"), len(report.days) - len(report.missing))
        none = Label("없음", "none").of(self.lang)
        self._line(Label("마감되지 않은 날", "Days not sealed"), ", ".join(map(str, report.missing)) or none)
        self._line(Label("작성 시각", "Written at"), written_at)
        self._line(Label("시간대", "Time zone"), self.zone.key)

    def _totals(self, report: Report) -> None:
        self._line(Label("합계", "Totals"), font=_BOLD)
        for name, value in report.totals.items():
            self._line(labels.COLUMNS.get(name, Label(name, name)), value)

    def _days(self, report: Report) -> None:
        names = ("day", "revision", "as_of")
        self.sheet.append([_head(self.sheet, labels.COLUMNS[name].of(self.lang)) for name in names])
        for day in report.days:
            if day.sealed:
                self._row(day.day, day.revision, day.as_of)
            else:
                self._row(day.day, Label("마감되지 않음", "not sealed").of(self.lang))

    def _line(self, name: Label, *values: Any, font: Font | None = None) -> None:
        self._row(name.of(self.lang), *values, font=font)

    def _row(self, *values: Any, font: Font | None = None) -> None:
        self.sheet.append([self._cell(value, font) for value in values])

    def _cell(self, value: Any, font: Font | None) -> WriteOnlyCell:
        if isinstance(value, datetime):
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            return _styled(self.sheet, aware.astimezone(self.zone).replace(tzinfo=None), _TIME, font)
        if isinstance(value, date):
            return _styled(self.sheet, value, _DAY, font)
        rate = isinstance(value, float)
        return _styled(self.sheet, value, _RATE if rate else _COUNT if isinstance(value, int) else "General", font)
