"""INSERT of blocks, of literals and from queries."""

from collections.abc import Iterator

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from .conftest import Connect


@pytest.fixture
def table(client: Client) -> str:
    client.execute("""CREATE TABLE t (
        a UInt32, s String DEFAULT 'none', doubled UInt64 MATERIALIZED a * 2, given UInt8 EPHEMERAL,
        other UInt8 DEFAULT given,
        CONSTRAINT small CHECK a < 1000000
    ) ENGINE = MergeTree ORDER BY a""")
    return "t"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t (a, s) VALUES",
        'insert into table `t` (`a`, "s") values',
        "INSERT INTO t (a, /* the text */ s) FORMAT Native",
        "INSERT INTO t (a, s)",
        "INSERT INTO t (a, s) SETTINGS max_insert_block_size = 1000 VALUES;",
        "-- rows\nINSERT INTO t (* EXCEPT (other)) VALUES",
    ],
)
def test_ways_to_say_it(client: Client, table: str, sql: str) -> None:
    rows = [(1, "x"), (2, "y")]
    assert client.execute(sql, rows) == 2
    assert client.execute("SELECT a, s, doubled, other FROM t ORDER BY a") == [(1, "x", 2, 0), (2, "y", 4, 0)]


def test_literals_selects_and_values_in_them(client: Client, table: str) -> None:
    client.execute("INSERT INTO t (a, s) VALUES (1, 'VALUES'), (2, ';')")
    client.execute("INSERT INTO t (a) SELECT number + 10 FROM numbers(3)")
    client.execute("INSERT INTO t (a) WITH 5 AS n SELECT n")
    client.execute("INSERT INTO t (a, s) VALUES ({a:UInt32}, {s:String})", {"a": 3, "s": "it's"})
    got = client.execute("SELECT a, s FROM t ORDER BY a")
    assert got == [(1, "VALUES"), (2, ";"), (3, "it's"), (5, "none"), (10, "none"), (11, "none"), (12, "none")]


def test_what_is_left_out_gets_its_default(client: Client, table: str, database: str) -> None:
    client.execute(f"INSERT INTO {database}.t (a) VALUES", [(1,)])
    client.execute("INSERT INTO t (a, given) VALUES", [(2, 9)])
    client.execute("INSERT INTO t VALUES", [(3, "s", 4)])
    assert client.execute("SELECT a, s, doubled, other FROM t ORDER BY a") == [
        (1, "none", 2, 0),
        (2, "none", 4, 9),
        (3, "s", 6, 4),
    ]


def test_columnar_dicts_and_generators(client: Client, table: str) -> None:
    def rows() -> Iterator[tuple[int, str]]:
        yield from ((i, "g") for i in range(10, 20))

    assert client.execute("INSERT INTO t (a, s) VALUES", [[1, 2], ["x", "y"]], columnar=True) == 2
    assert client.execute("INSERT INTO t (a, s) VALUES", [{"a": 3, "s": "z"}]) == 1
    assert client.execute("INSERT INTO t (a, s) VALUES", rows()) == 10
    assert client.execute("INSERT INTO t (a, s) VALUES", []) == 0
    assert client.execute("SELECT count(), sum(a) FROM t") == [(13, 6 + 145)]


def test_many_blocks_are_one_insert(client: Client, table: str) -> None:
    """The rows keep the order in which they were sent, and stand in one part."""
    client.execute("CREATE TABLE log (n UInt32) ENGINE = MergeTree ORDER BY tuple()")
    rows = [(n,) for n in range(30_000)]
    assert client.execute("INSERT INTO log VALUES", rows, settings={"insert_block_size": 1000}) == 30_000
    assert client.execute("SELECT n FROM log SETTINGS max_threads = 1") == rows
    assert client.execute("SELECT uniqExact(_part) FROM log") == [(1,)]


def test_more_rows_than_a_part_takes(client: Client) -> None:
    client.execute("CREATE TABLE log (n UInt32) ENGINE = MergeTree ORDER BY n")
    count = 2_500_000
    client.execute(
        "INSERT INTO log VALUES", [list(range(count))], columnar=True, settings={"insert_block_size": 400_000}
    )
    assert client.execute("SELECT count(), uniqExact(n), max(n) FROM log") == [(count, count, count - 1)]


@pytest.mark.parametrize(
    "sql, rows, code",
    [
        ("INSERT INTO nope (a) VALUES", [(1,)], 60),
        ("INSERT INTO t (a, nope) VALUES", [(1, 2)], 16),
        ("INSERT INTO t (a) VALUES", [(5,), (1_000_000,)], 469),
        ("INSERT INTO t (a", [(1,)], 62),
        ("INSERT INTO days VALUES", [(i,) for i in range(101)], 252),
        ("INSERT INTO viewed VALUES", [(1,), (13,)], 395),
    ],
)
def test_an_insert_that_fails_says_so_and_leaves_nothing(
    connect: Connect, table: str, sql: str, rows: list[tuple[int, ...]], code: int
) -> None:
    client = connect()
    client.execute("CREATE TABLE days (d UInt32) ENGINE = MergeTree ORDER BY d PARTITION BY d")
    client.execute("CREATE TABLE viewed (n UInt32) ENGINE = MergeTree ORDER BY n")
    client.execute(
        "CREATE MATERIALIZED VIEW view ENGINE = Memory AS SELECT throwIf(n = 13, 'unlucky') AS x FROM viewed"
    )
    with pytest.raises(ServerException) as error:
        client.execute(sql, rows)
    assert error.value.code == code
    for name in ("t", "days"):
        assert client.execute(f"SELECT count() FROM {name}") == [(0,)]
    assert client.execute("INSERT INTO t (a) VALUES", [(1,)]) == 1
    assert client.execute("SELECT count() FROM t") == [(1,)]


def test_an_insert_left_in_the_middle_leaves_nothing(connect: Connect, table: str) -> None:
    client, other = connect(), connect()

    def rows() -> Iterator[tuple[int]]:
        yield from ((i,) for i in range(5_000))
        raise KeyError("the sender's own trouble")

    with pytest.raises(KeyError):
        client.execute("INSERT INTO t (a) VALUES", rows(), settings={"insert_block_size": 1000})
    assert other.execute("SELECT count() FROM t") == [(0,)]
    assert client.execute("INSERT INTO t (a) VALUES", [(1,)]) == 1


def test_a_second_insert_of_the_same_block_can_be_told(client: Client) -> None:
    client.execute("""CREATE TABLE once (a UInt32) ENGINE = MergeTree ORDER BY a
        SETTINGS non_replicated_deduplication_window = 100""")
    for _ in range(2):
        client.execute("INSERT INTO once VALUES", [(1,), (2,)])
    assert client.execute("SELECT count() FROM once") == [(2,)]
    client.execute("INSERT INTO once VALUES", [(1,), (3,)])
    assert client.execute("SELECT count() FROM once") == [(4,)]
