"""The sheets of a bot: the page's table, dialogs, flows, hand-offs; each streamed from its view, row by row."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from openpyxl.utils import get_column_letter

from exporter.cells import COUNT, RATE, STEP, Look, Rows, Style, Styles
from exporter.changes import Changes
from exporter.names import Names
from journey import labels
from journey.labels import Lang
from sql.streams import HANDOFFS, Journey

#: What a sheet of xlsx holds.
MAX_ROWS = 1_048_576

_TEXTS = {"dialog": 32, "message": 30, "next": 34, "next_dialog": 32, "move": 15}
HEAD = "DDE7F3"
_TOLD_EVERY = 1000

_NODE = ("step", "dialog", "inflow", "rooms", "customers")
WAYS = ("next_step", "error", "agent_connect", "bot_end", "dropout")
#: What is said of the dialog again in each of its rows, lightly: filters and sums need it there.
_AGAIN = {"table": {*_NODE, "carried", "dropouts", "dropout_rate"}, "edges": {"step", "dialog"}}
#: How many columns make a group, above which stands a line: the dialog's rows, or the step's.
_GROUP = {"table": 2, "nodes": 1, "edges": 2, "handoffs": 1}

_TABLE_VIEW = (
    *(*_NODE, "dropouts", "dropout_rate", "move", "message", "next_step", "next_dialog"),
    *("moves", "move_rooms", "move_customers"),
)


SUMMED = ("inflow", *WAYS, "agent_served", "timeout")


@dataclass
class Sums:
    """What adds up over the rows of `nodes`: inflow and dropouts of each step, and each of `SUMMED` in all."""

    steps: defaultdict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    all: Counter[str] = field(default_factory=Counter)

    def add(self, row: Mapping[str, Any]) -> None:
        """One row of `nodes`, by column."""
        step = self.steps[row["step"]]
        step["inflow"] += row["inflow"]
        step["dropout"] += row["dropout"]
        for name in SUMMED:
            self.all[name] += row[name]
        self.all["carried"] += row.get("carried", 0)

    def merge(self, other: "Sums") -> None:
        """Those of another bot, too."""
        self.all.update(other.all)
        for step, counts in other.steps.items():
            self.steps[step].update(counts)


class Book:
    """What the sheets of one workbook share."""

    def __init__(self, book: Any, lang: Lang, today: bool, told: Callable[[int], None]) -> None:
        self.book, self.lang, self.today = book, lang, today
        self.names, self.changes = Names(), Changes()
        self.sheets: list[str] = []
        self._told, self._rows = told, 0
        self._styles: Styles | None = None

    def sheet(self, stem: str, ending: str, footer: str) -> Any:
        """A new sheet, its name made legal, with the print layout that all have."""
        name = self.names.take(stem, ending)
        if name != (wanted := f"{stem} {ending}".strip()):
            self.changes.add("sheet", f"{name} ← {wanted[:80]}")
        made = self.book.create_sheet(name)
        paper(made, footer)
        self.sheets.append(name)
        self._styles = self._styles or Styles(made, self.lang)
        return made

    @property
    def styles(self) -> Styles:
        """The workbook's looks; there once it has a sheet."""
        assert self._styles is not None
        return self._styles

    def row_done(self) -> None:
        """Count a row of any sheet, and tell of it now and then."""
        self._rows += 1
        if self._rows % _TOLD_EVERY == 0:
            self._told(self._rows)


def paper(sheet: Any, footer: str) -> None:
    """A4 across, one page wide and as many long as it takes; what it is and the page's number below."""
    sheet.page_setup.orientation, sheet.page_setup.paperSize = "landscape", 9
    sheet.page_setup.fitToWidth, sheet.page_setup.fitToHeight = 1, 0
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    margins = sheet.page_margins
    margins.left = margins.right = 0.4
    margins.top, margins.bottom, margins.header, margins.footer = 0.5, 0.6, 0.3, 0.3
    sheet.oddFooter.left.text = labels.visible(footer)[:100].replace("&", "&&")
    sheet.oddFooter.right.text = "&A · &P / &N"
    sheet.oddFooter.left.size = sheet.oddFooter.right.size = 8


def columns(kind: str, today: bool) -> tuple[str, ...]:
    """The columns of a kind of sheet (a key of `labels.SHEETS`), from left to right."""
    if kind == "table":
        return tuple(labels.TODAY_TABLE if today else labels.TABLE)
    if kind == "edges":
        return ("step", "dialog", "move", "message", "next_step", "next_dialog", "moves", "rooms", "customers")
    if kind == "handoffs":
        return HANDOFFS
    ways = ("next_step", "error", "agent_connect", "agent_served", "bot_end", "timeout", "dropout", "dropout_rate")
    return (*_NODE[:3], "carried", *_NODE[3:], *ways, "open") if today else (*_NODE, *ways)


class Pages:
    """The rows of one kind of sheet, which go on in a further sheet where one is full."""

    def __init__(self, book: Book, kind: str, stem: str, footer: str) -> None:
        self._book, self._kind, self._stem, self._footer = book, kind, stem, footer
        self._names = columns(kind, book.today)
        self._pages = self.count = 0
        self._rows: Rows | None = None
        self._group: Any = None

    def add(self, row: Sequence[Any]) -> None:
        """One more row, in the order of `columns`."""
        if self._rows is None or self._rows.count >= MAX_ROWS:
            self.end()
            self.begin()
        assert self._rows is not None
        group, self._group = self._group, row[: _GROUP[self._kind]]
        self._rows.add(row, self._again if group == self._group else self._first)
        self.count += 1
        self._book.row_done()

    def begin(self) -> None:
        """A new sheet with its header."""
        self._pages += 1
        more = f" ({self._pages})" if self._pages > 1 else ""
        sheet = self._book.sheet(self._stem, labels.SHEETS[self._kind].of(self._book.lang) + more, self._footer)
        if more:
            self._book.changes.add("rows", sheet.title)
        # before the first row, or a write-only sheet leaves them out
        sheet.freeze_panes, sheet.print_title_rows = "C2", "1:1"
        for place, name in enumerate(self._names, 1):
            sheet.column_dimensions[get_column_letter(place)].width = _width(name)
        self._first = [self._style(name, line=True) for name in self._names]
        again = _AGAIN.get(self._kind, set())
        self._again = [self._style(name, "faint" if name in again else "plain") for name in self._names]
        self._rows, self._group = Rows(sheet, self._book.changes), None
        head = [labels.COLUMNS[name].of(self._book.lang) for name in self._names]
        self._rows.add(head, [self._head(name) for name in self._names])

    def end(self) -> None:
        """Close the sheet that is open: no more than one file is open at a time."""
        if self._rows is not None:
            self._rows.sheet.auto_filter.ref = f"A1:{get_column_letter(len(self._names))}{self._rows.count}"
            self._rows.sheet.close()
            self._rows = None

    def _style(self, name: str, font: str = "plain", line: bool = False) -> Style:
        width = _width(name)
        if name in _TEXTS:
            return self._book.styles.of(Look(font=font, line=line, align="indent"), width)
        number = RATE if name.endswith("_rate") else STEP if name.endswith("step") else COUNT
        number = COUNT if self._kind == "nodes" and name == "next_step" else number
        return self._book.styles.of(Look(number, font, line=line), width)

    def _head(self, name: str) -> Style:
        align = "indent" if name in _TEXTS else "center"  # Excel lays the filter's button over the right end
        return self._book.styles.of(Look(font="bold", fill=HEAD, align=align), _width(name))


def _width(name: str) -> int:
    return _TEXTS.get(name, 8 if name == "step" else 12)


class Bot:
    """One bot's sheets; `stem` is what their names begin with, where the workbook has several bots."""

    def __init__(self, book: Book, journey: Journey, stem: str, footer: str) -> None:
        self._book, self._journey, self._stem, self._footer = book, journey, stem, footer
        self.sums = Sums()
        self.rows = 0

    def write(self) -> bool:
        """Write all of them; False, and no sheet, where the bot has no rows."""
        self.rows = self._write("table", self._table())
        if self.rows:
            self._write("nodes", self._nodes())
            self._write("edges", self._edges())
            self._write("handoffs", self._journey.handoffs())
        return self.rows > 0

    def _write(self, kind: str, rows: Iterator[tuple[Any, ...]]) -> int:
        pages = Pages(self._book, kind, self._stem, self._footer)
        for row in rows:
            pages.add(row)
        if not pages.count and kind != "table":
            pages.begin()
        pages.end()
        return pages.count

    def _table(self) -> Iterator[tuple[Any, ...]]:
        names = (*_TABLE_VIEW, "open", "carried") if self._book.today else _TABLE_VIEW
        return labels.table_rows(names, self._journey.rows("table", names), self._book.lang)

    def _nodes(self) -> Iterator[tuple[Any, ...]]:
        names = columns("nodes", self._book.today)
        for row in self._journey.rows("nodes", names):
            self.sums.add(dict(zip(names, row, strict=True)))
            yield row

    def _edges(self) -> Iterator[tuple[Any, ...]]:
        lang = self._book.lang
        for step, dialog, move, message, *rest in self._journey.rows("edges", columns("edges", self._book.today)):
            said = labels.message(move, message, lang)
            yield (step, dialog, labels.label(labels.MOVES, move, lang), said, *rest)
