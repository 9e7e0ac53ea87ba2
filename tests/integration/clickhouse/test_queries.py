"""SELECT and its kin, through clickhouse-driver."""

from datetime import date, datetime

import pytest
from clickhouse_driver import Client

from .conftest import Connect


def test_ping(client: Client) -> None:
    client.execute("SELECT 1")
    assert client.connection.ping()


def test_names_and_types_come_with_rows(client: Client) -> None:
    rows, columns = client.execute("SELECT 1 AS a, 'x' AS b", with_column_types=True)
    assert rows == [(1, "x")]
    assert columns == [("a", "UInt8"), ("b", "String")]


@pytest.mark.parametrize(
    "sql, columns",
    [
        ("SELECT 1 AS a, {x:String} AS b WHERE 0", [("a", "UInt8"), ("b", "String")]),
        ("SELECT number FROM numbers(5) WHERE number > {x:UInt8} -- none", [("number", "UInt64")]),
        ("WITH 1 AS one SELECT one AS `ein s` WHERE 0;", [("ein s", "UInt8")]),
        ("(SELECT 1 AS a WHERE 0) UNION ALL (SELECT 2 WHERE 0)", [("a", "UInt8")]),
        ("SHOW TABLES LIKE 'no such table'", [("name", "String")]),
    ],
)
def test_names_and_types_come_without_rows(client: Client, sql: str, columns: list[tuple[str, str]]) -> None:
    params = {"x": 7} if "{x" in sql else None
    assert client.execute(sql, params, with_column_types=True) == ([], columns)


def test_columnar(client: Client) -> None:
    assert client.execute("SELECT number, number * 2 FROM numbers(3)", columnar=True) == [
        (0, 1, 2),
        (0, 2, 4),
    ]


def test_many_blocks_keep_all_rows(client: Client) -> None:
    sql = "SELECT number, toString(number) FROM numbers(200000) ORDER BY number"
    rows = client.execute(sql, settings={"max_block_size": 1000})
    assert rows == [(i, str(i)) for i in range(200_000)]


def test_rows_come_before_the_query_has_ended(client: Client) -> None:
    rows = client.execute_iter("SELECT number FROM system.numbers")  # it never ends
    assert [next(rows) for _ in range(100_000)][-1] == (99_999,)


def test_statements_without_select(client: Client, database: str) -> None:
    client.execute("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    assert client.execute("SHOW TABLES") == [("t",)]
    assert client.execute("EXISTS TABLE t") == [(1,)]
    assert client.execute("DESCRIBE TABLE t")[0][:2] == ("a", "UInt8")
    assert client.execute("EXPLAIN AST SELECT 1")[0][0].startswith("SelectWithUnionQuery")
    assert database in client.execute("SHOW CREATE TABLE t")[0][0]
    assert client.execute("OPTIMIZE TABLE t FINAL") == []
    assert client.execute("ALTER TABLE t ADD COLUMN b String") == []
    assert client.execute("DROP TABLE t") == []
    assert client.execute("EXISTS TABLE t") == [(0,)]


def test_a_format_clause_changes_nothing(client: Client) -> None:
    assert client.execute("SELECT 1 FORMAT JSON") == [(1,)]
    assert client.execute("SELECT 1 AS format FORMAT CSV SETTINGS max_threads = 1") == [(1,)]


TRICKY = ["it's", "a\nb\tc\rd", "back\\slash \\n", "한글 상담방", 'quo"te`s', "", "\x00\x01", "{x:String} %s", "\\N"]


@pytest.mark.parametrize("text", TRICKY)
def test_text_parameters_arrive_as_they_are(client: Client, text: str) -> None:
    assert client.execute("SELECT {a:String}, hex({a:String})", {"a": text}) == [(text, text.encode().hex().upper())]


def test_parameters_of_all_kinds(client: Client) -> None:
    params = {
        "texts": [text for text in TRICKY if text != "\x00\x01"],
        "numbers": [1, 2, 4_000_000_000],
        "day": date(2024, 2, 29),
        "at": "2024-02-29 12:34:56.789",
        "second": datetime(2024, 2, 29, 12, 34, 56),
        "big": 2**127,
        "less": -5,
        "part": 0.25,
    }
    sql = """SELECT {texts:Array(String)}, {numbers:Array(UInt32)}, {day:Date}, {at:DateTime64(3, 'UTC')},
        {second:DateTime('UTC')}, {big:UInt128}, {less:Int64}, {part:Float64}"""
    row = client.execute(sql, params)[0]
    assert row[:3] == (params["texts"], params["numbers"], params["day"])
    assert row[3].isoformat() == "2024-02-29T12:34:56.789000+00:00"
    assert row[4].replace(tzinfo=None) == params["second"]
    assert row[5:] == (2**127, -5, 0.25)


def test_parameters_in_names_and_views(client: Client) -> None:
    client.execute("CREATE TABLE t (a UInt32, s String) ENGINE = MergeTree ORDER BY a")
    client.execute("INSERT INTO {table:Identifier} VALUES (1, 'x'), (2, {s:String})", {"table": "t", "s": "y'"})
    client.execute("CREATE VIEW v AS SELECT s FROM t WHERE a = {from:UInt32}")
    assert client.execute("SELECT * FROM v(from = {n:UInt32})", {"n": 2}) == [("y'",)]


def test_times_keep_their_zones(client: Client) -> None:
    at = "toDateTime({at:UInt32}, 'Asia/Seoul') AS seoul, toDateTime64({at:UInt32}, 3, 'UTC') AS utc"
    expected = [("seoul", "DateTime('Asia/Seoul')"), ("utc", "DateTime64(3, 'UTC')")]
    rows, columns = client.execute(f"SELECT {at}", {"at": 1_700_000_000}, with_column_types=True)
    assert columns == expected
    assert rows[0][0].isoformat() == "2023-11-15T07:13:20+09:00"
    one = {"name": "one", "structure": [("x", "UInt8")], "data": [{"x": 1}]}
    sql = f"SELECT {at} FROM one"
    same = client.execute(sql, {"at": 1_700_000_000}, with_column_types=True, external_tables=[one])
    assert same == (rows, expected)


def test_external_tables(client: Client) -> None:
    rooms = [{"site": "고객사", "id": f"room-{i}"} for i in range(10_000)]
    client.execute("CREATE TABLE seen (site LowCardinality(String), id String) ENGINE = MergeTree ORDER BY id")
    client.execute("INSERT INTO seen SELECT '고객사', concat('room-', toString(number)) FROM numbers(20000)")
    asked = {"name": "asked", "structure": [("site", "LowCardinality(String)"), ("id", "String")], "data": rooms}
    sql = "SELECT count() FROM seen WHERE (site, id) IN (SELECT site, id FROM asked)"
    for _ in range(2):  # the name is free again after each query
        assert client.execute(sql, external_tables=[asked]) == [(10_000,)]
    none = {"name": "asked", "structure": [("site", "String"), ("id", "String")], "data": []}
    other = {"name": "other", "structure": [("n", "Nullable(UInt8)")], "data": [{"n": None}, {"n": 3}]}
    assert client.execute("SELECT count(), (SELECT sum(n) FROM other) FROM asked", external_tables=[none, other]) == [
        (0, 3)
    ]
    assert client.execute("SELECT count() FROM asked", external_tables=[{**asked, "data": rooms[:5]}]) == [(5,)]


@pytest.mark.parametrize("compression", ["lz4", "lz4hc"])
def test_compression_both_ways(connect: Connect, compression: str) -> None:
    client = connect(compression=compression)
    rows = [(i, f"text {i % 100} 한글" * 5) for i in range(50_000)]
    client.execute("CREATE TABLE t (a UInt32, s String) ENGINE = MergeTree ORDER BY a")
    assert client.execute("INSERT INTO t VALUES", rows) == 50_000
    assert client.execute("SELECT a, s FROM t ORDER BY a") == rows
    ids = {"name": "ids", "structure": [("a", "UInt32")], "data": [{"a": 1}, {"a": 7}]}
    assert client.execute("SELECT a FROM t WHERE a IN ids ORDER BY a", external_tables=[ids]) == [(1,), (7,)]


def test_progress_tells_what_was_read(client: Client) -> None:
    client.execute("SELECT sum(cityHash64(number)) FROM numbers(300000000)")
    assert client.last_query.progress.rows == 300_000_000
    assert client.last_query.profile_info.rows == 1
