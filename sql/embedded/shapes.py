"""How long is a column? The Native format does not say, so a block's end is found type by type.

Nothing is decoded: numbers are skipped at once, only strings are walked, some 40 ns each.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache

from sql.embedded.errors import UNKNOWN_TYPE, Malformed, Refused
from sql.embedded.wire import Source

_SIZES = {
    **{f"{sign}Int{bits}": bits // 8 for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)},
    **dict.fromkeys(("Bool", "Enum8", "Nothing"), 1),
    **dict.fromkeys(("Date", "Enum16", "BFloat16"), 2),
    **dict.fromkeys(("Date32", "DateTime", "DateTime32", "Float32", "IPv4", "Decimal32", "Time"), 4),
    **dict.fromkeys(("DateTime64", "Float64", "Decimal64", "Time64"), 8),
    **dict.fromkeys(("UUID", "IPv6", "Decimal128"), 16),
    "Decimal256": 32,
}
_SHAPES = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}
_PART = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|.", re.DOTALL)
_INDEX_BYTES = {0: 1, 1: 2, 2: 4, 3: 8}


class Column(ABC):
    """A type's bytes: a prefix, written once a block, and the values."""

    def prefix(self, source: Source) -> None:  # noqa: B027 - most types have none
        """Skip what stands before the values."""

    @abstractmethod
    def values(self, source: Source, rows: int) -> None:
        """Skip the values of so many rows."""


class Fixed(Column):
    def __init__(self, size: int) -> None:
        self._size = size

    def values(self, source: Source, rows: int) -> None:
        source.need(source.pos + rows * self._size)
        source.pos += rows * self._size


class Strings(Column):
    def values(self, source: Source, rows: int) -> None:
        while rows:
            rows = _walk(source, rows)
            if rows:
                size = source.varint()
                source.pos += size
                rows -= 1
        source.need(source.pos)


def _walk(source: Source, rows: int) -> int:
    """Skip strings while there is data, and they are short (under 16 KiB); the number of those left.

    Where the last one skipped has not come whole, `pos` is past what has.
    """
    data, pos, left = source.data, source.pos, rows
    try:
        for left in range(rows, 0, -1):  # noqa: B007 - what is left when the data ends
            size = data[pos]
            if size < 128:
                pos += size + 1
            elif (more := data[pos + 1]) < 128:
                pos += (size & 127) + (more << 7) + 2
            else:
                break
        else:
            left = 0
    except IndexError:
        pass
    source.pos = pos
    return left


class Nullable(Column):
    def __init__(self, inner: Column) -> None:
        self._inner = inner

    def prefix(self, source: Source) -> None:
        self._inner.prefix(source)

    def values(self, source: Source, rows: int) -> None:
        source.need(source.pos + rows)
        source.pos += rows
        self._inner.values(source, rows)


class Array(Column):
    def __init__(self, inner: Column) -> None:
        self._inner = inner

    def prefix(self, source: Source) -> None:
        self._inner.prefix(source)

    def values(self, source: Source, rows: int) -> None:
        if not rows:
            return
        source.need(source.pos + 8 * rows)
        source.pos += 8 * (rows - 1)
        self._inner.values(source, source.uint64())


class Tuple(Column):
    def __init__(self, inner: Sequence[Column]) -> None:
        self._inner = inner

    def prefix(self, source: Source) -> None:
        for column in self._inner:
            column.prefix(source)

    def values(self, source: Source, rows: int) -> None:
        for column in self._inner:
            column.values(source, rows)


class LowCardinality(Column):
    """Keys of the block, then the rows as indices into them."""

    def __init__(self, keys: Column) -> None:
        self._keys = keys

    def prefix(self, source: Source) -> None:
        if source.uint64() != 1:
            raise Malformed("an unknown version of LowCardinality")

    def values(self, source: Source, rows: int) -> None:
        if not rows:
            return
        index_bytes = _INDEX_BYTES.get(source.uint64() & 0xFF)
        self._keys.values(source, source.uint64())
        if index_bytes is None or source.uint64() != rows:
            raise Malformed("a broken LowCardinality column")
        Fixed(index_bytes).values(source, rows)


@lru_cache(maxsize=10_000)
def column(kind: str) -> Column:
    """The shape of a ClickHouse type. Refused (50) if it has none that is known."""
    name, inner = _split(kind)
    if name in _SIZES:
        return Fixed(_SIZES[name])
    if name in _SHAPES:
        return column(_SHAPES[name])
    if name == "String":
        return Strings()
    if name.startswith("Interval"):
        return Fixed(8)
    try:
        return _compound(name, inner)
    except (IndexError, KeyError, ValueError):
        raise Refused(
            UNKNOWN_TYPE, f"Values of type {kind} cannot be sent: cast them, such as to String. (UNKNOWN_TYPE)"
        ) from None


def _compound(name: str, inner: list[str]) -> Column:
    if name == "FixedString":
        return Fixed(int(inner[0]))
    if name == "Decimal":
        digits = int(inner[0])
        return Fixed(next(size for most, size in ((9, 4), (18, 8), (38, 16), (76, 32)) if digits <= most))
    if name == "LowCardinality":
        keys, nullable = _split(inner[0])
        return LowCardinality(column(nullable[0] if keys == "Nullable" else inner[0]))
    if name == "SimpleAggregateFunction":
        return column(inner[1])
    if name == "Map":
        return Array(Tuple([column(each) for each in inner]))
    if name == "Nested":
        return Array(Tuple([column(_unnamed(each)) for each in inner]))
    if name == "Tuple":
        return Tuple([column(_unnamed(each)) for each in inner])
    one: dict[str, type[Nullable] | type[Array]] = {"Nullable": Nullable, "Array": Array}
    return one[name](column(inner[0]))


def _split(kind: str) -> tuple[str, list[str]]:
    """`Map(String, Array(UInt8))` as its name and what it is made of."""
    name, bracket, rest = kind.partition("(")
    return name, _parts(rest[: rest.rfind(")")], ",") if bracket else []


def _unnamed(element: str) -> str:
    """The type of a tuple's element, which may have a name before it."""
    return _parts(element, " ")[-1]


def _parts(text: str, separator: str) -> list[str]:
    """Split at separators that stand in no brackets and no quotes."""
    parts, depth = [""], 0
    for match in _PART.finditer(text):
        found = match[0]
        depth += (found == "(") - (found == ")")
        if found == separator and not depth:
            parts.append("")
        else:
            parts[-1] += found
    return [part.strip() for part in parts if part.strip()]
