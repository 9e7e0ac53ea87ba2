"""sql/columns.py writes what clickhouse-driver writes, to the byte."""

import struct
from typing import Any

import pytest
from clickhouse_driver.bufferedwriter import CompressedBufferedWriter
from clickhouse_driver.columns.service import write_column
from clickhouse_driver.context import Context
from hypothesis import given
from hypothesis import strategies as st

from sql.columns import write_items

TEXTS = st.lists(st.text(max_size=5), min_size=1, max_size=50)
COLUMNS = {
    "String": TEXTS,
    "LowCardinality(String)": TEXTS,
    "LowCardinality(Nullable(String))": st.lists(st.none() | st.text(max_size=3), min_size=1),
    "UInt8": st.lists(st.integers(0, 2**8 - 1), min_size=1),
    "UInt16": st.lists(st.integers(0, 2**16 - 1), min_size=1),
    "UInt32": st.lists(st.integers(0, 2**32 - 1), min_size=1),
    "UInt64": st.lists(st.integers(0, 2**64 - 1), min_size=1),
    "UInt128": st.lists(st.integers(0, 2**128 - 1), min_size=1),
    "Bool": st.lists(st.booleans(), min_size=1),
    "Nullable(Bool)": st.lists(st.none() | st.booleans(), min_size=1),
    "DateTime": st.lists(st.integers(0, 2**32 - 1), min_size=1),
    "DateTime64(3, 'UTC')": st.lists(st.integers(-(2**40), 2**43), min_size=1),
    "Nullable(DateTime64(3, 'UTC'))": st.lists(st.none() | st.integers(0, 2**43), min_size=1),
    "Array(UInt32)": st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=4), min_size=1),
}


class Received:
    """Where a buffered writer flushes to."""

    def __init__(self) -> None:
        self.bytes = b""

    def write(self, some: bytes) -> None:
        self.bytes += bytes(some)


def written(write: Any, kind: str, items: Any) -> bytes:
    context = Context()
    context.settings = {"use_client_time_zone": True}
    context.client_settings = {"strings_as_bytes": False, "strings_encoding": "utf-8", "use_numpy": False}
    received = Received()
    out = CompressedBufferedWriter(received, 1 << 16)
    write(context, "name", kind, items, out)
    out.flush()
    return received.bytes


@pytest.mark.parametrize("kind", COLUMNS)
@given(data=st.data())
def test_writes_the_bytes_of_the_driver(kind: str, data: Any) -> None:
    items = data.draw(COLUMNS[kind])
    assert written(write_items, kind, tuple(items)) == written(write_column, kind, list(items))


@pytest.mark.parametrize("distinct", [1, 2, 256, 257, 65_536, 65_537])
def test_dictionaries_of_every_key_width(distinct: int) -> None:
    items = [str(i % distinct) for i in range(distinct + 7)]
    kind = "LowCardinality(String)"
    assert written(write_items, kind, items) == written(write_column, kind, items)


def test_alike_at_first_middle_and_last_but_not_constant() -> None:
    items = ["a", "b", "a", "c", "a"]
    kind = "LowCardinality(String)"
    assert written(write_items, kind, items) == written(write_column, kind, items)


@pytest.mark.parametrize("kind,wrong", [("UInt16", 65_536), ("UInt8", -1), ("DateTime64(3)", 1.5)])
def test_a_wrong_value_is_refused(kind: str, wrong: Any) -> None:
    with pytest.raises(struct.error):
        written(write_items, kind, [1, wrong])
