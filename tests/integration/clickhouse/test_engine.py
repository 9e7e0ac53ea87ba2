"""What Turnpath asks of the engine, through a connection."""

import time
from datetime import date

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException


def test_replacing_merge_tree_final_and_tombstones(client: Client) -> None:
    client.execute("""CREATE TABLE moves (k UInt32, version UInt64, is_deleted UInt8, x String)
        ENGINE = ReplacingMergeTree(version, is_deleted) ORDER BY k""")
    for rows in ([(1, 2, 0, "a"), (2, 2, 0, "b")], [(1, 4, 0, "new")], [(2, 3, 1, "")], [(1, 3, 0, "late")]):
        client.execute("INSERT INTO moves VALUES", rows)
    assert client.execute("SELECT k, x FROM moves FINAL") == [(1, "new")]
    client.execute("OPTIMIZE TABLE moves FINAL")
    assert client.execute("SELECT k, x FROM moves WHERE NOT is_deleted") == [(1, "new")]


def test_the_last_of_one_insert_wins(client: Client) -> None:
    client.execute("CREATE TABLE r (k UInt32, x UInt32) ENGINE = ReplacingMergeTree ORDER BY k")
    rows = [(1, i) for i in range(5_000)]
    client.execute("INSERT INTO r VALUES", rows, settings={"insert_block_size": 100})
    assert client.execute("SELECT k, x FROM r FINAL") == [(1, 4_999)]


def test_replace_partition(client: Client) -> None:
    ddl = "(day Date, n UInt32) ENGINE = MergeTree PARTITION BY day ORDER BY n"
    client.execute(f"CREATE TABLE daily {ddl}")
    client.execute(f"CREATE TABLE stage {ddl}")
    one, two = date(2024, 1, 1), date(2024, 1, 2)
    client.execute("INSERT INTO daily VALUES", [(one, 1), (two, 2)])
    client.execute("INSERT INTO stage VALUES", [(one, 10), (one, 11)])
    client.execute("ALTER TABLE daily REPLACE PARTITION {day:String} FROM stage", {"day": "2024-01-01"})
    assert client.execute("SELECT day, n FROM daily ORDER BY n") == [(two, 2), (one, 10), (one, 11)]


def test_parts_merge_by_themselves(client: Client) -> None:
    client.execute("CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")
    for n in range(12):
        client.execute("INSERT INTO t VALUES", [(n,)])
    end = time.monotonic() + 30
    while client.execute("SELECT uniqExact(_part) FROM t")[0][0] > 6 and time.monotonic() < end:
        time.sleep(0.1)
    assert client.execute("SELECT uniqExact(_part) <= 6, count() FROM t") == [(1, 12)]


def test_time_to_live(client: Client) -> None:
    client.execute("""CREATE TABLE t (at DateTime, n UInt8) ENGINE = MergeTree ORDER BY n
        TTL at + INTERVAL 7 DAY""")
    client.execute("INSERT INTO t SELECT now() - INTERVAL 8 DAY, 1 UNION ALL SELECT now(), 2")
    client.execute("OPTIMIZE TABLE t FINAL")
    assert client.execute("SELECT n FROM t") == [(2,)]


def test_stored_columns_and_mutations(client: Client) -> None:
    client.execute("""CREATE TABLE t (site String, room String, at DateTime64(3, 'UTC'),
        hash UInt128 MATERIALIZED reinterpretAsUInt128(sipHash128(site, room)),
        day Date MATERIALIZED toDate(at, 'Asia/Seoul')) ENGINE = MergeTree ORDER BY hash""")
    client.execute("INSERT INTO t (site, room, at) VALUES", [("s", "r", 1_709_137_800_000)])
    sql = "SELECT day, hash = reinterpretAsUInt128(sipHash128('s', 'r')) FROM t"
    assert client.execute(sql) == [(date(2024, 2, 29), 1)]
    client.execute("ALTER TABLE t DELETE WHERE site = 's' SETTINGS mutations_sync = 2")
    assert client.execute("SELECT count() FROM t") == [(0,)]


def test_guards_in_parameterized_views(client: Client) -> None:
    client.execute("CREATE TABLE t (day Date, n UInt32) ENGINE = MergeTree ORDER BY day")
    client.execute("""CREATE OR REPLACE VIEW v AS SELECT n FROM t WHERE day >= {from:Date}
        AND (SELECT throwIf({from:Date} > {to:Date}, 'turnpath: from is after to')) = 0""")
    sql = "SELECT n FROM v(from = {from:Date}, to = {to:Date})"
    day, later = date(2024, 1, 1), date(2024, 1, 2)
    assert client.execute(sql, {"from": day, "to": later}, with_column_types=True) == ([], [("n", "UInt32")])
    with pytest.raises(ServerException, match="turnpath: from is after to"):
        client.execute(sql, {"from": later, "to": day})


def test_incremental_views(client: Client) -> None:
    client.execute("CREATE TABLE src (k String, room UInt32) ENGINE = MergeTree ORDER BY k")
    client.execute("""CREATE MATERIALIZED VIEW counted ENGINE = AggregatingMergeTree ORDER BY k AS
        SELECT k, sumSimpleState(1) AS n, uniqExactState(room) AS rooms FROM src GROUP BY k""")
    for _ in range(2):
        client.execute("INSERT INTO src VALUES", [("a", 1), ("a", 2), ("b", 1)])
    sql = "SELECT k, sum(n), uniqExactMerge(rooms) FROM counted GROUP BY k ORDER BY k"
    assert client.execute(sql) == [("a", 4, 2), ("b", 2, 1)]
