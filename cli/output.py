"""Data to standard output as a table, csv or json; words about it to standard error."""

import csv
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any, Literal, TextIO, TypeVar

import click
import orjson

from journey import labels
from journey.labels import Lang, width
from sql.client import Table

Form = Literal["table", "csv", "json"]
_Command = TypeVar("_Command", bound=Callable[..., Any])


def output_options(command: _Command) -> _Command:
    """Adds --format and --lang; the command gets them as `form` and `lang`."""
    lang = click.option(
        "--lang",
        type=click.Choice(labels.LANGUAGES),
        default="ko",
        show_default=True,
        help="Language of headers and labels in a table; csv and json have the view's own words.",
    )
    form = click.option(
        "--format",
        "form",
        type=click.Choice(["table", "csv", "json"]),
        default="table",
        show_default=True,
        help="csv has the view's column names; json is one array.",
    )
    return form(lang(command))


def say(words: str) -> None:
    """A sentence about the data, for a person: never on standard output."""
    click.echo(f"turnpath: {labels.visible(words)}", err=True)


def show(table: Table, form: Form, lang: Lang = "ko", out: TextIO | None = None) -> None:
    """Print a result. A reader that has seen enough (`| head`) ends the command quietly."""
    with _quiet_pipe(out or sys.stdout) as stream:
        if form == "json":
            stream.writelines(_json(table))
        elif form == "csv":
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(table.columns)
            writer.writerows([_plain(cell) for cell in row] for row in table.rows)
        else:
            headers = [labels.label(labels.COLUMNS, name, lang) for name in table.columns]
            stream.writelines(_aligned(headers, table))


def journey(table: Table, lang: Lang) -> Table:
    """A `journey_table` or `today_table` as the page's table: what --format table shows of it."""
    types = dict(zip(table.columns, table.types, strict=True))
    rows = list(labels.table_rows(table.columns, table.rows, lang))
    names = labels.shown(table.columns)
    return Table(names, [types.get(name, "String") for name in names], rows)


def _json(table: Table) -> Iterator[str]:
    yield "["
    for number, row in enumerate(table.rows):
        made = dict(zip(table.columns, map(_plain, row), strict=True))
        yield ("\n" if number == 0 else ",\n") + orjson.dumps(made, default=str).decode()
    yield "]\n" if not table.rows else "\n]\n"


def _plain(cell: Any) -> Any:
    """Times with their zone, and integers too wide for JSON numbers as text."""
    if isinstance(cell, datetime):
        return (cell if cell.tzinfo else cell.replace(tzinfo=UTC)).isoformat(timespec="milliseconds")
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, int) and not isinstance(cell, bool) and abs(cell) >= 1 << 63:
        return str(cell)
    return cell


def _aligned(headers: Sequence[str], table: Table) -> Iterator[str]:
    cells = [[_cell(name, value) for name, value in zip(table.columns, row, strict=True)] for row in table.rows]
    right = [_is_number(kind) for kind in table.types]
    widths = [max(map(width, column)) for column in zip(headers, *cells, strict=True)]
    for line in (headers, ["─" * w for w in widths], *cells):
        parts = map(_padded, line, widths, right)
        yield "  ".join(parts).rstrip() + "\n"


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.1%}" if name.endswith("rate") else f"{value:,.1f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return labels.visible(", ".join(map(str, value)))
    return labels.visible(str(_plain(value))).replace("\n", "␊").replace("\t", "␉")


def _is_number(kind: str) -> bool:
    return kind.startswith(("UInt", "Int", "Float", "Decimal", "Nullable(UInt", "Nullable(Int", "Nullable(Float"))


def _padded(text: str, to: int, right: bool) -> str:
    gap = " " * (to - width(text))
    return gap + text if right else text + gap


@contextmanager
def _quiet_pipe(stream: TextIO) -> Iterator[TextIO]:
    try:
        yield stream
        stream.flush()
    except BrokenPipeError:
        # what is left in the buffer must not raise again when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise SystemExit(0) from None
