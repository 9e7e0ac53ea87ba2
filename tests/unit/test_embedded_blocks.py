"""Blocks: found by their types alone, in whatever pieces they come, and handed on as they are."""

import socket
from contextlib import suppress
from copy import deepcopy
from io import BytesIO
from typing import Any

import pytest
from clickhouse_driver.block import ColumnOrientedBlock
from clickhouse_driver.bufferedwriter import CompressedBufferedWriter
from clickhouse_driver.connection import ServerInfo
from clickhouse_driver.context import Context
from clickhouse_driver.streams.native import BlockOutputStream
from hypothesis import given, settings
from hypothesis import strategies as st

from sql.embedded.errors import Malformed, Refused, Vanished, refusal
from sql.embedded.native import answers, header, read_block
from sql.embedded.shapes import column
from sql.embedded.wire import FrameSource, SocketSource, Source, compressed, string, varint

REVISION = 54_459
TEXT = st.one_of(st.text(max_size=40), st.text(alphabet="x", min_size=120, max_size=300))
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "String": TEXT,
    "UInt8": st.integers(0, 255),
    "Int64": st.integers(-(2**63), 2**63 - 1),
    "UInt128": st.integers(0, 2**128 - 1),
    "LowCardinality(String)": TEXT,
    "LowCardinality(Nullable(String))": st.none() | TEXT,
    "Nullable(UInt16)": st.none() | st.integers(0, 9),
    "Array(UInt32)": st.lists(st.integers(0, 9), max_size=4),
    "Array(Array(String))": st.lists(st.lists(TEXT, max_size=3), max_size=3),
    "Array(LowCardinality(String))": st.lists(TEXT, max_size=3),
    "Tuple(String, Nullable(String))": st.tuples(TEXT, st.none() | TEXT),
    "Map(String, UInt8)": st.dictionaries(TEXT, st.integers(0, 255), max_size=3),
    "FixedString(4)": st.just("four"),
    "Enum8('a\\'),(' = 1)": st.just("a'),("),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[tuple[str, str]], list[list[Any]]]:
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6))
    rows = draw(st.integers(1, 20))
    columns = [draw(st.lists(KINDS[kind], min_size=rows, max_size=rows)) for kind in kinds]
    return [(f"열 {i}", kind) for i, kind in enumerate(kinds)], columns


def as_the_driver_sends(columns: list[tuple[str, str]], data: list[list[Any]], revision: int) -> bytes:
    """A block by clickhouse-driver."""
    context = Context()
    context.server_info = ServerInfo("", 1, 1, 1, revision, "UTC", "", revision)
    context.client_settings = {
        "strings_as_bytes": False,
        "strings_encoding": "utf-8",
        "use_numpy": False,
        "input_format_null_as_default": False,
    }
    context.settings = {}
    written = BytesIO()
    BlockOutputStream(CompressedBufferedWriter(written, 1 << 16), context).write(
        ColumnOrientedBlock(columns, deepcopy(data))
    )  # it changes what it writes
    return written.getvalue()


class Pieces(Source):
    """Bytes that come a few at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__()
        self._left = data
        self._size = size

    def fill(self) -> None:
        if not self._left:
            raise Vanished("closed")
        self.data += self._left[: self._size]
        self._left = self._left[self._size :]


@settings(max_examples=150, deadline=None)
@given(tables(), st.integers(1, 50))
def test_a_block_is_found_and_goes_back_as_it_came(
    table: tuple[list[tuple[str, str]], list[list[Any]]], size: int
) -> None:
    columns, data = table
    sent = as_the_driver_sends(columns, data, REVISION)
    source = Pieces(sent + b"\x04", size)
    block = read_block(source, REVISION)
    assert (block.columns, block.rows) == (columns, len(data[0]))
    assert source.byte() == 4
    bare = as_the_driver_sends(columns, data, 54_453)
    assert bare.endswith(block.native)
    (answer,) = answers(block.native, REVISION, lambda _: "")
    assert (answer.rows, answer.body) == (block.rows, sent)
    assert answer.header == header(columns, REVISION)


@settings(max_examples=60, deadline=None)
@given(tables(), st.data())
def test_a_block_cut_anywhere_is_not_taken(
    table: tuple[list[tuple[str, str]], list[list[Any]]], data: st.DataObject
) -> None:
    sent = as_the_driver_sends(*table, REVISION)
    cut = data.draw(st.integers(0, len(sent) - 1))
    with pytest.raises(Vanished):
        read_block(Pieces(sent[:cut], 7), REVISION)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_block_or_refused(noise: bytes) -> None:
    with suppress(Malformed, Refused):
        read_block(Source(noise), REVISION)


def test_a_block_without_rows() -> None:
    columns = [(kind, kind) for kind in KINDS]
    block = read_block(Pieces(header(columns, REVISION), 3), REVISION)
    assert (block.columns, block.rows) == (columns, 0)


def test_a_long_string_is_skipped() -> None:
    texts = ["a" * 127, "b" * 128, "c" * 16_383, "d" * 16_384, "e" * 3_000_000, ""]
    source = Pieces(b"".join(string(text) for text in texts) + b"!", 1_000)
    column("String").values(source, len(texts))
    assert source.byte() == ord("!")


def test_the_zone_of_a_time_is_put_back() -> None:
    chunk = varint(1) + varint(1) + string("at") + string("DateTime") + b"\0\0\0\0"
    (answer,) = answers(chunk, REVISION, lambda _: "DateTime('Asia/Seoul')")
    assert string("DateTime('Asia/Seoul')") in answer.body


@pytest.mark.parametrize(
    "kind", ["AggregateFunction(uniq, UInt8)", "JSON", "Dynamic", "Array(Variant(UInt8))", "Tuple("]
)
def test_types_without_a_known_length(kind: str) -> None:
    if kind == "Tuple(":
        column(kind)  # no element: nothing to skip
        return
    with pytest.raises(Refused, match="cast them"):
        column(kind)


def test_frames_go_both_ways() -> None:
    data = b"".join(string(f"text {i}") for i in range(300_000))
    source = FrameSource(Source(compressed(data)))
    assert source.take(len(data)) == data


def test_a_broken_frame_is_refused() -> None:
    frame = bytearray(compressed(b"some data" * 100))
    frame[30] ^= 1
    with pytest.raises(Malformed, match="checksum"):
        FrameSource(Source(bytes(frame))).byte()


def test_a_client_must_say_all_in_time() -> None:
    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"\x05half")
        source = SocketSource(here)
        with pytest.raises(Vanished), source.within(0.05):
            source.string()


def test_a_closed_connection_is_seen_without_reading() -> None:
    here, there = socket.socketpair()
    with here:
        source = SocketSource(here)
        assert source.peek() is None
        there.sendall(b"\x03")
        assert source.peek() == b"\x03"
        assert source.byte() == 3
        there.close()
        assert source.peek() == b""


@pytest.mark.parametrize(
    "text, code, said",
    [
        ("Code: 60. DB::Exception: No table. (UNKNOWN_TABLE)", 60, "No table. (UNKNOWN_TABLE)"),
        ("Streaming query failed: Code: 395. DB::Exception: a\nb. (X)", 395, "a\nb. (X)"),
        (
            "Code: 115. DB::Exception: Code: 115. DB::Exception: Unknown. (U) (version 26.9.2.1). (U)",
            115,
            "Unknown. (U)",
        ),
        ("what?", 49, "what? (LOGICAL_ERROR)"),
    ],
)
def test_errors_of_the_engine(text: str, code: int, said: str) -> None:
    refused = refusal(RuntimeError(text))
    assert (refused.code, refused.text) == (code, said)
