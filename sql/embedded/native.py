"""Blocks: as clients send and read them, and as chDB does; the columns' bytes are the same and pass untouched.

The protocol's block has a head of its own, and since revision 54454 a byte after each column's type.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sql.embedded.errors import LOGICAL_ERROR, NOT_IMPLEMENTED, READONLY, Malformed, Refused
from sql.embedded.shapes import column
from sql.embedded.wire import Source, string, varint

CUSTOM_SERIALIZATION = 54454
_MAX_COLUMNS, _MAX_ROWS = 100_000, 1 << 40
#: Field 1: no overflow rows; field 2: bucket -1; the end.
BLOCK_HEAD = b"\x01\x00\x02\xff\xff\xff\xff\x00"


@dataclass(frozen=True, slots=True)
class Block:
    """A block: its columns' names and types, and its bytes as chDB's format Native."""

    columns: list[tuple[str, str]]
    rows: int
    native: bytes


def read_block(source: Source, revision: int, most: int = _MAX_COLUMNS) -> Block:
    """The next block that a client sends.

    Malformed if it is none. Refused: for a type that cannot be skipped (50), or for more columns than `most` (164).
    """
    _skip_head(source)
    return _block(source, revision >= CUSTOM_SERIALIZATION, most)


def _skip_head(source: Source) -> None:
    while field := source.varint():
        if field not in (1, 2):
            raise Malformed(f"field {field} in a block's head")
        source.take(1 if field == 1 else 4)


def _block(source: Source, flagged: bool, most: int) -> Block:
    start = source.pos
    count, rows = _counts(source)
    if count > most:
        raise Refused(READONLY, "Cannot take rows in readonly mode. (READONLY)")
    pieces, columns = [(start, source.pos)], []
    for _ in range(count):
        start = source.pos
        name, kind = source.raw_string().decode(errors="replace"), source.string()
        pieces.append((start, source.pos))
        if flagged and source.byte():
            raise Refused(NOT_IMPLEMENTED, f"Column {name} is sent in a sparse form. (NOT_IMPLEMENTED)")
        start = source.pos
        _skip_column(source, kind, rows)
        pieces.append((start, source.pos))
        columns.append((name, kind))
    with memoryview(source.data) as data:
        return Block(columns, rows, b"".join(data[start:end] for start, end in pieces))


@dataclass(frozen=True, slots=True)
class Answer:
    """A block of a result as the protocol has it, and the same without its rows."""

    rows: int
    body: bytes
    header: bytes


def answers(chunk: bytes, revision: int, kind_of: Callable[[int], str]) -> list[Answer]:
    """What chDB gave of a result, as the protocol's blocks. Refused for a type that cannot be sent (50).

    `kind_of` gives the full type of a column by its place: chDB leaves out the zone of a DateTime.
    """
    source = Source(chunk)
    blocks = []
    try:
        while source.pos < len(chunk):
            blocks.append(_answer(source, revision >= CUSTOM_SERIALIZATION, kind_of))
    except Malformed as error:
        raise Refused(LOGICAL_ERROR, f"The engine gave a broken block: {error}. (LOGICAL_ERROR)") from error
    return blocks


def _answer(source: Source, flagged: bool, kind_of: Callable[[int], str]) -> Answer:
    data = memoryview(source.data)
    count, rows = _counts(source)
    described, values = [], []
    for i in range(count):
        name, kind = source.raw_string(), source.string()
        full = kind_of(i) if kind == "DateTime" else kind
        described.append(string(name) + string(full) + (b"\x00" if flagged else b""))
        start = source.pos
        _skip_column(source, kind, rows)
        values.append(data[start : source.pos])
    head = BLOCK_HEAD + varint(count)
    body: list[bytes | memoryview] = [head, varint(rows)]
    for description, items in zip(described, values, strict=True):
        body += (description, items)
    return Answer(rows, b"".join(body), head + varint(0) + b"".join(described))


def _counts(source: Source) -> tuple[int, int]:
    count, rows = source.varint(), source.varint()
    if count > _MAX_COLUMNS or rows > _MAX_ROWS:
        raise Malformed(f"a block of {count} columns and {rows} rows")
    return count, rows


def _skip_column(source: Source, kind: str, rows: int) -> None:
    shape = column(kind)
    if rows:
        shape.prefix(source)
        shape.values(source, rows)


def header(columns: list[tuple[str, str]], revision: int) -> bytes:
    """A block without rows, as the protocol has it: names and types."""
    flag = b"\x00" if revision >= CUSTOM_SERIALIZATION else b""
    described = [string(name) + string(kind) + flag for name, kind in columns]
    return BLOCK_HEAD + varint(len(columns)) + varint(0) + b"".join(described)
