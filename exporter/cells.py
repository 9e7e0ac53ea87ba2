"""Cells and rows of a write-only sheet: what Excel would misread is made safe here, and nowhere else.

Rows go into openpyxl's stream as lxml elements, past its cell objects, which take most of the time of bare openpyxl.
Only `Rows` knows how; it leans on `_get_writer`, `_writer.xf` and `_rows` of openpyxl 3.1's write-only sheet.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from lxml.etree import Element, SubElement
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.utils.datetime import to_excel
from openpyxl.utils.indexed_list import IndexedList
from openpyxl.worksheet.hyperlink import Hyperlink

from exporter.changes import Changes
from journey import labels
from journey.labels import Lang

#: What a cell holds; its characters are UTF-16 units.
MAX_TEXT = 32_767
COUNT, RATE, DAY, TIME, TEXT = "#,##0", "0.0%", "yyyy-mm-dd", "yyyy-mm-dd hh:mm", "General"
#: A number whose zero says that there is none; the value stays.
STEP = "0;-0;"

_LETTERS = [get_column_letter(place) for place in range(1, 41)]
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
# Excel reads _x0041_ in a text as the character of that code; the underscore's own code keeps it as it is
_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
# typed in again, such a text would become a formula; with the quote prefix Excel leaves it a text
_FORMULA = ("=", "+", "-", "@", "'", "\t", "\r")
# a text this long would make its row as tall as the screen
_WRAP_UP_TO = 600
_LINE_POINTS, _TALLEST = 14, 409


class Look(NamedTuple):
    """How a cell looks; `line`: a thin line above it; `align`: left, right, or `indent` for text beside numbers."""

    number: str = TEXT
    font: str = "plain"
    fill: str = ""
    line: bool = False
    align: str = ""


#: What each language's Excel writes in by itself.
_FACES: Mapping[Lang, str] = {"ko": "맑은 고딕", "en": "Calibri"}
_FONTS: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "faint": {"color": "929BA6"},
    "bold": {"bold": True},
    "title": {"bold": True, "sz": 18, "color": "1F3A5F"},
    "name": {"color": "5B6675"},
    "link": {"color": "1F5FBF", "underline": "single"},
}
_LINE = Border(top=Side("thin", color="C9D3DF"))


class Style(NamedTuple):
    """A look as its numbers in the workbook: as it is, for text that must be quoted, wrapped, and both."""

    plain: str
    quoted: str
    wrapped: str
    both: str
    #: how many half-width characters a line holds: longer text is wrapped
    width: int


class Styles:
    """The looks of one workbook, each registered once."""

    def __init__(self, sheet: Any, lang: Lang) -> None:
        self._sheet = sheet
        face = {"name": _FACES[lang], "sz": 10, "family": 2}
        self._fonts = {name: Font(**{**face, **font}) for name, font in _FONTS.items()}
        book = sheet.parent
        book._fonts = IndexedList([self._fonts["plain"]])  # the first is the workbook's own
        book._named_styles["Normal"].font = self._fonts["plain"]
        self._known: dict[tuple[Look, int], Style] = {}

    def of(self, look: Look, width: int = 10_000) -> Style:
        """The look, in a column of this width."""
        if (look, width) not in self._known:
            numbers = [self._number(look, *kind) for kind in ((0, False), (1, False), (0, True), (1, True))]
            self._known[look, width] = Style(numbers[0], numbers[1], numbers[2], numbers[3], width)
        return self._known[look, width]

    def _number(self, look: Look, quoted: int, wrapped: bool) -> str:
        cell = WriteOnlyCell(self._sheet)
        cell.number_format = look.number
        cell.font = self._fonts[look.font]
        if look.fill:
            cell.fill = PatternFill("solid", fgColor=look.fill)
        if look.line:
            cell.border = _LINE
        indent = {"horizontal": "left", "indent": 1} if look.align == "indent" else {"horizontal": look.align or None}
        cell.alignment = Alignment(**indent, vertical="center", wrap_text=wrapped or None)
        cell.quotePrefix = quoted
        return str(cell.style_id)


class Rows:
    """The rows of one sheet, from the first on. What must stand before them (widths, panes) is set earlier."""

    def __init__(self, sheet: Any, changes: Changes) -> None:
        self.sheet, self.count = sheet, 0
        self._changes = changes
        sheet._get_writer()
        sheet._rows = _stream(sheet._writer)
        next(sheet._rows)
        self._send = sheet._rows.send

    def add(self, values: Sequence[Any], styles: Sequence[Style], height: float | None = None) -> None:
        """One more row: str, int, float, date, datetime (without a zone) or None; `height` in points."""
        self.count += 1
        number = str(self.count)
        row, lines = Element("row", r=number), 1
        for letter, value, style in zip(_LETTERS, values, styles, strict=False):
            if value and type(value) is str:
                lines = max(lines, self._text(row, letter + number, value, style))
            else:
                cell = SubElement(row, "c", r=letter + number, s=style.plain)
                if (written := value if type(value) is int else _number(value)) is not None:
                    SubElement(cell, "v").text = repr(written)
        if lines > 1 or height:  # no program is relied upon to find it out
            row.attrib.update({"ht": str(height or min(_LINE_POINTS * lines + 2, _TALLEST)), "customHeight": "1"})
        self._send(row)

    def link(self, column: int, sheet: str) -> None:
        """Let the cell of the last row in `column` (from 0) lead to the top of another sheet."""
        quoted = sheet.replace("'", "''")
        place = Hyperlink(ref=f"{_LETTERS[column]}{self.count}", location=f"'{quoted}'!A1")
        self.sheet._hyperlinks.append(place)

    def _text(self, row: Any, place: str, value: str, style: Style) -> int:
        """Write the cell; how many lines it takes."""
        shown = value if _harmless(value) else self._mended(value, place)
        lines = _lines(shown, style.width) if len(shown) > style.width // 2 or "\n" in shown else 1
        quoted = shown.startswith(_FORMULA)
        number = (style.both if quoted else style.wrapped) if lines > 1 else (style.quoted if quoted else style.plain)
        cell = SubElement(row, "c", r=place, s=number, t="inlineStr")
        written = SubElement(SubElement(cell, "is"), "t")
        if shown[:1].isspace() or shown[-1:].isspace() or "\n" in shown:
            written.set(_SPACE, "preserve")
        written.text = shown
        return lines

    def _mended(self, value: str, place: str) -> str:
        shown, cut = fitting(value)
        if cut:
            self._changes.add("cut", f"{self.sheet.title} {place}")
        if labels.visible(value) != value:
            self._changes.add("control", f"{self.sheet.title} {place}")
        return shown


def fitting(value: str) -> tuple[str, bool]:
    """`value` as a cell can hold it: control characters visible, at most 32,767 characters; and whether it was cut."""
    shown = _ESCAPE.sub("_x005F_", labels.visible(value))
    if len(shown.encode("utf-16-le")) // 2 <= MAX_TEXT:
        return shown, False
    return shown.encode("utf-16-le")[: (MAX_TEXT - 1) * 2].decode("utf-16-le", "ignore") + "…", True


def _lines(text: str, width: int) -> int:
    """How many lines of `width` half-width characters it takes, and rather one more; 1: it is not wrapped."""
    if len(text) > _WRAP_UP_TO or (labels.width(text) <= width and "\n" not in text):
        return 1
    return sum(1 + labels.width(line) // (width - 3) for line in text.split("\n"))


def _harmless(value: str) -> bool:
    """Surely as a cell can hold it."""
    return value.isprintable() and len(value) * 2 <= MAX_TEXT and "_x" not in value


def _number(value: Any) -> int | float | None:
    if isinstance(value, (date, datetime)):
        serial: int | float = to_excel(value)
        return serial
    return None if value in (None, "") or not math.isfinite(value) else value


def _stream(writer: Any) -> Iterator[None]:
    """What openpyxl's own `_write_rows` is: takes each row's element and writes it at once."""
    xf = writer.xf.send(True)
    with xf.element("sheetData"):
        try:
            while True:
                xf.write((yield))
        except GeneratorExit:
            pass
    writer.xf.send(None)
