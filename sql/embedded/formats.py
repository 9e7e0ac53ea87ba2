"""Output formats: which may be streamed, and how what chDB gives in pieces becomes one document.

chDB makes each piece of a streamed result a document of its own. Where a format is only rows, or a head and rows,
the pieces put together without the later heads are the whole; any other result is made at once.
"""

import re
from collections.abc import Callable, Iterator

from sql.embedded.wire import Source

_ROWS = {
    *("native", "rowbinary", "tabseparated", "tsv", "tabseparatedraw", "tsvraw", "csv", "jsoneachrow", "jsonlines"),
    *("ndjson", "jsonstringseachrow", "jsoncompacteachrow", "jsoncompactstringseachrow", "tskv", "msgpack", "null"),
}
_HEADED = re.compile(
    "(tabseparated|tsv|tabseparatedraw|tsvraw|csv|jsoncompacteachrow|jsoncompactstringseachrow|rowbinary)"
    "withnames(andtypes)?"
)
_LINE = re.compile(rb"[^\n]*\n")
_CSV_LINE = re.compile(rb'(?:"(?:[^"]|"")*"|[^"\n])*\n')
_NOT_STREAMED = re.compile(r"\b(?:totals|extremes)\b", re.IGNORECASE)
_TYPES = {
    "tabseparated": "text/tab-separated-values; charset=UTF-8",
    "tsv": "text/tab-separated-values; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8; header=absent",
    "csvwithnames": "text/csv; charset=UTF-8; header=present",
    "json": "application/json; charset=UTF-8",
    "xml": "application/xml; charset=UTF-8",
    "markdown": "text/markdown; charset=UTF-8",
    "html": "text/html; charset=UTF-8",
}


def content_type(form: str) -> str:
    """The type of a body in a format, as a server says it."""
    lowered = form.lower()
    found = next(
        (_TYPES[name] for name in (lowered, *sorted(_TYPES, key=len)) if lowered.startswith(name) and name in _TYPES),
        "",
    )
    if not found and lowered.startswith(("tabseparated", "tsv")):
        found = _TYPES["tsv"]
    if not found and lowered in ("jsonlines", "ndjson"):
        found = "application/x-ndjson; charset=UTF-8"
    return found or (
        "text/plain; charset=UTF-8" if lowered.startswith(("pretty", "vertical")) else "application/octet-stream"
    )


def is_streamed(form: str, sql: str) -> bool:
    """May the statement's result be sent in pieces in this format?"""
    lowered = form.lower()
    return (lowered in _ROWS or bool(_HEADED.fullmatch(lowered))) and not _NOT_STREAMED.search(sql)


def one_document(chunks: Iterator[bytes], form: str) -> Iterator[bytes]:
    """The chunks of a streamed result, without the heads of all but the first."""
    found = _HEADED.fullmatch(form.lower())
    head: bytes | None = None
    for chunk in chunks:
        if not found:
            yield chunk
        elif head is None:
            head = chunk[: _head_size(chunk, found[1], 2 if found[2] else 1)]
            yield chunk
        else:
            yield chunk.removeprefix(head)


def _head_size(chunk: bytes, base: str, lines: int) -> int:
    if base == "rowbinary":
        return _binary_head_size(chunk, lines)
    line: Callable[..., re.Match[bytes] | None] = (_CSV_LINE if base == "csv" else _LINE).match
    end = 0
    for _ in range(lines):
        found = line(chunk, end)
        end = found.end() if found else len(chunk)
    return end


def _binary_head_size(chunk: bytes, lists: int) -> int:
    source = Source(chunk)
    for _ in range(source.varint() * lists):
        source.raw_string()
    return source.pos
