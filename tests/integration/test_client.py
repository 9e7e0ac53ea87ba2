"""sql/client.py against a ClickHouse: parameters, types, columnar inserts, errors."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest

from journey.errors import BadUsage
from sql.client import Client, ServerError

NASTY = [
    "",
    "plain",
    "it's",
    "back\\slash",
    "\\n",
    "new\nline",
    "tab\t",
    "nul\0",
    "가나다 ☃ 😀",
    "'); DROP TABLE t; --",
    "{x:String}",
    "[1, 'a']",
]


@pytest.fixture
def client(database_url: str) -> Iterator[Client]:
    with Client(database_url) as client:
        yield client


@pytest.mark.parametrize("text", NASTY)
def test_text_goes_through_as_it_is(client: Client, text: str) -> None:
    assert client.rows("SELECT {t:String}, length({t:String})", {"t": text}) == [(text, len(text.encode()))]


def test_parameters_of_every_type(client: Client) -> None:
    at = datetime(2024, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    given: dict[str, Any] = {
        "n": -7,
        "u": 2**64 - 1,
        "f": 0.1,
        "b": True,
        "d": date(2024, 2, 29),
        "at": at,
        "l": NASTY,
        "m": [1, 2, 3],
        "e": [],
    }
    sql = (
        "SELECT {n:Int64}, {u:UInt64}, {f:Float64}, {b:Bool}, {d:Date}, {at:DateTime64(3, 'UTC')}, "
        "{l:Array(String)}, {m:Array(UInt32)}, {e:Array(String)}"
    )
    assert client.rows(sql, given) == [tuple(given.values())]


def test_a_long_list_is_no_part_of_the_query(client: Client) -> None:
    names = [f"room number {n} of a site with a long name" for n in range(20_000)]
    assert client.rows("SELECT length({names:Array(String)})", {"names": names}) == [(20_000,)]


def test_a_table_has_names_and_types(client: Client) -> None:
    table = client.table("SELECT toUInt16(1) AS step, 'x' AS dialog WHERE {no:UInt8} = 1", {"no": 0})
    assert (table.columns, table.types, table.rows) == (["step", "dialog"], ["UInt16", "String"], [])
    assert client.table("SELECT 1 AS one").dicts() == [{"one": 1}]


COLUMNS: dict[str, tuple[str, list[Any], list[Any] | None]] = {
    # name: type, what goes in, what comes out if it differs
    "text": ("String", ["a", "", "가\0\n"], None),
    "low": ("LowCardinality(String)", ["a", "b", "a"], None),
    "low_null": ("LowCardinality(Nullable(String))", [None, "b", ""], None),
    "text_null": ("Nullable(String)", ["a", None, ""], None),
    "bool": ("Bool", [True, False, True], None),
    "bool_null": ("Nullable(Bool)", [True, None, False], None),
    "u8": ("UInt8", [0, 1, 255], None),
    "u16": ("UInt16", [0, 1, 65_535], None),
    "u32": ("UInt32", [0, 1, 2**32 - 1], None),
    "u64": ("UInt64", [0, 1, 2**64 - 1], None),
    "u128": ("UInt128", [0, 2**64, 2**128 - 1], None),
    "day": ("Date", [date(2024, 2, 29)] * 3, None),
    "enum": ("Enum8('seal' = 0, 'node' = 1)", ["seal", "node", "seal"], None),
    "numbers": ("Array(UInt32)", [[], [1], [1, 2**32 - 1]], None),
    "names": ("Array(String)", [[], ["a", ""], ["가"]], None),
    "offsets": ("Array(Tuple(String, UInt16, UInt64))", [[], [("t", 1, 2**63)], []], None),
    "at": (
        "DateTime64(3, 'UTC')",
        [0, 1_700_000_000_123, -1],
        [
            datetime(1970, 1, 1, tzinfo=UTC),
            datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
        ],
    ),
    "at_null": (
        "Nullable(DateTime64(3, 'UTC'))",
        [None, 1_700_000_000_000, None],
        [None, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), None],
    ),
}  # fmt: skip


def test_columns_of_every_type_come_back(client: Client) -> None:
    made = ", ".join(f"{name} {kind}" for name, (kind, _, _) in COLUMNS.items())
    client.run(f"CREATE TABLE t (n UInt8, {made}, late String DEFAULT 'by default') ENGINE = MergeTree ORDER BY n")
    client.insert("t", {"n": range(3), **{name: given for name, (_, given, _) in COLUMNS.items()}})
    for name, (_, given, expected) in COLUMNS.items():
        assert [row[0] for row in client.rows(f"SELECT {name} FROM t ORDER BY n")] == (expected or given), name
    assert client.rows("SELECT DISTINCT late FROM t") == [("by default",)]


def test_tuples_are_columns_too_and_many_days_fit_one_insert(client: Client) -> None:
    client.run("CREATE TABLE t (day Date, at DateTime64(3, 'UTC')) ENGINE = MergeTree PARTITION BY day ORDER BY at")
    days = tuple(date.fromordinal(date(2024, 1, 1).toordinal() + n) for n in range(150))
    client.insert("t", {"day": days, "at": tuple(range(150))})
    assert client.rows("SELECT count(), uniqExact(day) FROM t") == [(150, 150)]


def test_a_large_insert_is_whole(client: Client) -> None:
    client.run("CREATE TABLE t (n UInt32, low LowCardinality(String), text String) ENGINE = MergeTree ORDER BY n")
    count = 200_000
    client.insert(
        "t",
        {"n": range(count), "low": [f"l{n % 70_000}" for n in range(count)], "text": [str(n) for n in range(count)]},
    )
    found = client.rows("SELECT count(), sum(n), uniqExact(low), countIf(toString(n) <> text) FROM t")
    assert found == [(count, count * (count - 1) // 2, 70_000, 0)]


def test_a_refused_insert_writes_nothing_and_the_connection_goes_on(client: Client) -> None:
    client.run("CREATE TABLE t (n UInt8, CONSTRAINT small CHECK n < 100) ENGINE = MergeTree ORDER BY n")
    with pytest.raises(ServerError) as caught:
        client.insert("t", {"n": [1, 100]})
    assert caught.value.code == 469
    with pytest.raises(ServerError, match="nowhere"):
        client.insert("nowhere", {"n": [1]})
    with pytest.raises(Exception, match="ubyte"):
        client.insert("t", {"n": [1, 256]})
    assert client.rows("SELECT count() FROM t") == [(0,)]
    client.insert("t", {"n": [1, 2]})
    assert client.rows("SELECT count() FROM t") == [(2,)]


@pytest.mark.parametrize(
    "sql,code", [("SELEC 1", 62), ("SELECT * FROM nowhere", 60), ("SELECT nothing", 47), ("SELECT {x:UInt8}", 456)]
)
def test_errors_have_the_codes_of_clickhouse(client: Client, sql: str, code: int) -> None:
    with pytest.raises(ServerError) as caught:
        client.rows(sql)
    assert caught.value.code == code
    assert client.rows("SELECT 1") == [(1,)]


def test_a_guard_is_bad_usage(client: Client) -> None:
    with pytest.raises(BadUsage) as caught:
        client.rows("SELECT throwIf(1, 'turnpath: `from` is after `to`; turn them')")
    assert str(caught.value) == "`from` is after `to`; turn them"


def test_a_missing_database_says_what_to_do(clickhouse_address: str) -> None:
    with Client(f"clickhouse://{clickhouse_address}/not_there") as client, pytest.raises(ServerError) as caught:
        client.rows("SELECT 1")
    assert caught.value.code == 81
    assert "turnpath migrate" in str(caught.value)


def test_a_stream_is_not_held_whole_and_may_be_left(client: Client) -> None:
    rows = client.stream("SELECT number FROM numbers(1000000000000)")
    assert [next(rows) for _ in range(3)] == [(0,), (1,), (2,)]
    rows.close()
    assert client.rows("SELECT 1") == [(1,)]
    assert list(client.stream("SELECT number FROM numbers({n:UInt8})", {"n": 3})) == [(0,), (1,), (2,)]
    with pytest.raises(ServerError):
        list(client.stream("SELECT throwIf(number = 100000) FROM numbers(1000000)"))
    assert client.rows("SELECT 1") == [(1,)]


def test_a_lost_connection_is_made_anew(client: Client) -> None:
    assert client.rows("SELECT 1") == [(1,)]
    client._driver.connection.socket.shutdown(2)
    assert client.rows("SELECT 2") == [(2,)]
    client.close()
    assert client.rows("SELECT 3") == [(3,)]


def test_clients_side_by_side(database_url: str) -> None:
    with Client(database_url) as first:
        first.run("CREATE TABLE t (n UInt32) ENGINE = MergeTree ORDER BY n")

    def write(start: int) -> None:
        with Client(database_url) as client:
            for n in range(5):
                client.insert("t", {"n": [start + n]})

    threads = [threading.Thread(target=write, args=(n * 5,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Client(database_url) as client:
        assert client.rows("SELECT count(), uniqExact(n) FROM t") == [(40, 40)]
