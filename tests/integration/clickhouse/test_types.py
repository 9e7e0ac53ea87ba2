"""Every type that the tables and views use, in and out."""

import math
import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from clickhouse_driver import Client

VALUES: list[tuple[str, list[Any]]] = [
    ("String", ["", "한글", "x" * 127, "y" * 128, "z" * 20_000]),
    ("LowCardinality(String)", ["a", "", "b", "a"]),
    ("LowCardinality(Nullable(String))", ["a", None, ""]),
    ("FixedString(3)", ["abc", "xyz"]),
    ("UInt8", [0, 255]),
    ("UInt16", [0, 2**16 - 1]),
    ("UInt32", [0, 2**32 - 1]),
    ("UInt64", [0, 2**64 - 1]),
    ("UInt128", [0, 2**128 - 1]),
    ("Int8", [-128, 127]),
    ("Int64", [-(2**63), 2**63 - 1]),
    ("Int128", [-(2**127), 2**127 - 1]),
    ("UInt256", [0, 2**256 - 1]),
    ("Float32", [0.5, -2.0]),
    ("Float64", [0.1, -math.inf, 1e300]),
    ("Bool", [True, False]),
    ("Date", [date(1970, 1, 1), date(2024, 2, 29)]),
    ("Date32", [date(1930, 1, 1), date(2200, 1, 1)]),
    ("DateTime('UTC')", [datetime(2024, 2, 29, 1, 2, 3, tzinfo=UTC)]),
    ("DateTime64(3, 'UTC')", [datetime(2024, 2, 29, 1, 2, 3, 456_000, tzinfo=UTC)]),
    ("Enum8('bot' = 1, 'it\\'s, a' = 2)", ["bot", "it's, a"]),
    ("Enum16('x' = 1000)", ["x"]),
    ("Decimal(18, 3)", [Decimal("1.234"), Decimal("-5.000")]),
    ("Decimal(38, 3)", [Decimal("1.234")]),
    ("UUID", [uuid.UUID(int=5)]),
    ("Nullable(UInt32)", [None, 7]),
    ("Nullable(String)", [None, "", "x"]),
    ("Array(UInt32)", [[], [1, 2, 3], [4]]),
    ("Array(String)", [["a", ""], [], ["한글"]]),
    ("Array(LowCardinality(String))", [["a", "b", "a"], []]),
    ("Array(Array(Nullable(UInt8)))", [[[1, None], []], []]),
    ("Tuple(UInt32, String)", [(1, "a"), (2, "")]),
    ("Tuple(step UInt16, dialog LowCardinality(String))", [(1, "a"), (2, "b")]),
    ("Array(Tuple(UInt8, Array(String)))", [[(1, ["x"]), (2, [])], []]),
    ("Map(String, UInt64)", [{"a": 1, "b": 2}, {}]),
    ("Map(LowCardinality(String), Array(UInt8))", [{"a": [1]}, {}]),
    ("SimpleAggregateFunction(sum, UInt64)", [1, 2]),
]


@pytest.mark.parametrize("kind, values", VALUES)
def test_a_column_comes_back_as_it_went(client: Client, kind: str, values: list[Any]) -> None:
    """The column stands between two others, so that its end must be found."""
    client.execute(f"CREATE TABLE t (n UInt32, c {kind}, after String) ENGINE = MergeTree ORDER BY n")
    rows = [(n, value, f"after {n}") for n, value in enumerate(values)]
    assert client.execute("INSERT INTO t VALUES", rows) == len(rows)
    got, columns = client.execute("SELECT * FROM t ORDER BY n", with_column_types=True)
    assert got == rows
    assert columns[2] == ("after", "String")
    assert client.execute("SELECT count() FROM t WHERE after = concat('after ', toString(n))") == [(len(rows),)]


def test_all_types_in_one_table(client: Client) -> None:
    columns = ", ".join(f"c{i} {kind}" for i, (kind, _) in enumerate(VALUES))
    client.execute(f"CREATE TABLE t ({columns}) ENGINE = Memory")
    rows = [tuple(values[i % len(values)] for _, values in VALUES) for i in range(1_000)]
    client.execute("INSERT INTO t VALUES", rows)
    assert client.execute("SELECT * FROM t", settings={"max_threads": 1}) == rows


def test_columns_without_rows_and_sparse_ones(client: Client) -> None:
    client.execute("CREATE TABLE t (n UInt32, zero UInt64, s String) ENGINE = MergeTree ORDER BY n")
    client.execute("INSERT INTO t SELECT number, number % 1000 = 0, '' FROM numbers(100000)")
    client.execute("OPTIMIZE TABLE t FINAL")
    rows = client.execute("SELECT n, zero, s FROM t ORDER BY n")
    assert rows == [(n, int(n % 1000 == 0), "") for n in range(100_000)]


def test_state_columns_are_refused_with_what_to_do(client: Client) -> None:
    with pytest.raises(Exception, match=r"AggregateFunction|Unknown type"):
        client.execute("SELECT uniqExactState(number), 1 FROM numbers(3)")
    assert client.execute("SELECT 1") == [(1,)]
