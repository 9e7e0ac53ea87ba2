"""The user `reader` of the embedded endpoint: what it reads, and its ways out, each of which is shut."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from settings import Settings
from sql.embedded.allowed import Judge, functions
from sql.embedded.errors import Refused
from sql.migrate import migrate

from .conftest import Endpoint

READONLY, DENIED, UNKNOWN_TABLE, SYNTAX = 164, 497, 60, 62
TIMEOUT, MEMORY, ROWS, DEPTH, RANGE = 159, 241, 396, 306, 452
LIMITS = ["--reader-seconds", "60", "--reader-memory", "200000000", "--reader-rows", "10000"]

Connect = Callable[..., Client]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """An endpoint with the tables and views in its database `turnpath`, and a few events in `turns`."""
    endpoint = Endpoint(tmp_path_factory.mktemp("reader") / "data", options=LIMITS)
    port = endpoint.ready()
    migrate(Settings(clickhouse=f"clickhouse://127.0.0.1:{port}/turnpath"))
    with Client("127.0.0.1", port=port, database="turnpath") as client:
        client.execute(
            "INSERT INTO turns (site_id, room_id, customer_id, seq) SELECT 's', 'r', 'c', number + 1 FROM numbers(5)"
        )
        client.execute("INSERT INTO bots (site_id, bot_id, name) VALUES ('s', 'b', 'Bot')")
        client.execute("CREATE TABLE keyed (k UInt8, v String) ENGINE = Join(ANY, LEFT, k)")
    yield port
    assert endpoint.stop() == 0


@pytest.fixture
def connect(port: int) -> Iterator[Connect]:
    made: list[Client] = []

    def client(user: str = "reader", **options: Any) -> Client:
        given = {"password": user if user == "reader" else "", "database": "turnpath", **options}
        made.append(Client("127.0.0.1", port=port, user=user, settings={"server_side_params": True}, **given))
        return made[-1]

    yield client
    for each in made:
        each.disconnect()


def code_of(client: Client, sql: str, **options: Any) -> int:
    with pytest.raises(ServerException) as error:
        client.execute(sql, **options)
    return int(error.value.code)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM seals",
        "SELECT count() FROM turnpath.seals FORMAT JSON",
        "SELECT * FROM journey_table(site = 's', bot = 'b', from = '2026-11-01', to = '2026-11-02')",
        "SELECT bot_id, sum(rooms) FROM turnpath.rooms_now(site = 's') GROUP BY bot_id WITH TOTALS",
        "SELECT * FROM today_table(site = {site:String}, bot = 'b')",
        "SELECT s.day FROM seals AS s JOIN journey_days(from = '2026-11-01', to = '2026-11-02') AS j ON s.day = j.day",
        "WITH found AS (SELECT day FROM seals) SELECT * FROM found WHERE day IN found AND day IN (SELECT today())",
        "SELECT day FROM late_rooms UNION ALL SELECT day FROM seals",
        "SELECT day, row_number() OVER (ORDER BY moves) AS n FROM seals QUALIFY n < 3 ORDER BY day LIMIT 5",
        "SELECT quantileExactIf(0.5)(number, number > 1), countIf(1), uniqExactOrNull(number) FROM numbers(3)",
        "SELECT arrayMap(x -> x + 1, [1]), [1, 2][1], (1, 'a').2, 1::UInt8, today(), CASE 1 WHEN 1 THEN 2 END",
        "SELECT * EXCEPT (revision) REPLACE (toString(day) AS day) APPLY (toString) FROM seals",
        "SELECT name, value, readonly FROM system.settings LIMIT 3",
        "SELECT TABLE_NAME FROM information_schema.tables",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM seals) OR NOT EXISTS (SELECT day FROM turnpath.seals)",
        "SELECT version(), timezone(), currentUser(), currentDatabase()",
        "SHOW TABLES FROM turnpath LIKE '%days%'",
        "SHOW DATABASES",
        "SHOW COLUMNS FROM seals",
        "DESCRIBE TABLE seals",
        "DESC (SELECT * FROM seals)",
        "USE default",
        "/* a comment */ select 1 -- and another",
    ],
)  # fmt: skip
def test_what_a_reader_reads(connect: Connect, sql: str) -> None:
    connect().execute(sql, {"site": "s"} if "{" in sql else None)


def test_views_run_though_they_read_what_a_reader_may_not(connect: Connect) -> None:
    reader, default = connect(), connect("default")
    sql = "SELECT bot_id, name FROM bots_list"
    assert reader.execute(sql) == default.execute(sql) == [("b", "Bot")]


def test_the_catalogue_shows_the_views_only(connect: Connect) -> None:
    reader = connect()
    for sql in (
        "SELECT name FROM system.tables WHERE database = 'turnpath'",
        "SELECT DISTINCT table FROM system.columns WHERE database = 'turnpath'",
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'turnpath'",
        "SHOW TABLES",
    ):
        seen = {row[0] for row in reader.execute(sql)}
        assert "seals" in seen
        assert not seen & {"turns", "moves", "rooms", "dead_letters", "daily", "keyed"}, sql
    assert not reader.execute("SELECT name FROM system.tables WHERE database = 'system' AND name LIKE '%log'")


ENDLESS = [
    *(f"{name}('a', 'b')" for name in ("editDistance", "editDistanceUTF8", "EDITDISTANCE", "editdistance")),
    *(f"{name}('a', 'b')" for name in ("levenshteinDistance", "levenshteinDistanceUTF8", "damerauLevenshteinDistance")),
    *(f"{name}('a', 'b')" for name in ("jaroSimilarity", "jaroWinklerSimilarity")),
    "arrayLevenshteinDistance([1], [2])",
    "arrayLevenshteinDistanceWeighted([1], [2], [1.], [1.])",
    "arraySimilarity([1], [2], [1.], [1.])",
    *(f"{name}([1], [2])" for name in ("hasAll", "hasAny")),
    "arrayFold((acc, x) -> concat(acc, 'a'), range(3), '')",
    "arrayReduce('kolmogorovSmirnovTest', [1], [0])",
    "arrayReduceInRanges('groupUniqArray', [(1, 2)], [1, 2])",
    "initializeAggregation('kolmogorovSmirnovTestState', 1, 0)",
    "kolmogorovSmirnovTestIf('two-sided', 'exact')(number, number % 2, 1) FROM numbers(9)",
    *(f"{name}('aa', 'a.*b|a')" for name in ("extractAll", "countMatches", "countMatchesCaseInsensitive")),
    *(f"{name}('aa', '(a).*b|a')" for name in ("extractAllGroups", "extractAllGroupsVertical")),
    *(f"{name}('aa', 'a.*b|a', 'c')" for name in ("replaceRegexpAll", "REGEXP_REPLACE", "regexp_replace")),
    "splitByRegexp('a.*b|a', 'aa')",
    "extractTextFromHTML('<![CDATA[')",
    *(f"{name}('{{}}', '$.a[*]')" for name in ("JSON_QUERY", "JSON_VALUE", "JSON_EXISTS")),
    *(f"{name}('{{}}', '{{}}')" for name in ("JSONMergePatch", "jsonMergePatch")),
    *(f"'aa' {word} 'ab'" for word in ("ILIKE", "NOT ilike")),
    *(f"{name}('aa', 'ab')" for name in ("positionCaseInsensitive", "positionCaseInsensitiveUTF8")),
    *(f"{name}('aa', 'ab')" for name in ("countSubstringsCaseInsensitive", "countSubstringsCaseInsensitiveUTF8")),
    "multiSearchAnyCaseInsensitive('aa', ['ab'])",
    *(
        f"{name}([[[(0., 0.)]]], [[[(1., 1.)]]])"
        for name in ("polygonsIntersectionCartesian", "polygonsUnionSpherical")
    ),
]
WAYS_OUT = [
    # write
    ("INSERT INTO seals VALUES", READONLY),
    ("INSERT INTO turns (site_id) VALUES ('x')", READONLY),
    ("INSERT INTO FUNCTION file('/tmp/out.csv') SELECT 1", READONLY),
    ("CREATE TABLE mine (a UInt8) ENGINE = Memory", READONLY),
    ("CREATE TEMPORARY TABLE mine (a UInt8)", READONLY),
    ("CREATE VIEW seals2 AS SELECT * FROM turns", READONLY),
    ("CREATE FUNCTION f AS x -> x", READONLY),
    ("DROP VIEW seals", READONLY),
    ("TRUNCATE TABLE turns", READONLY),
    ("RENAME TABLE turns TO seals", READONLY),
    ("ALTER TABLE turns DELETE WHERE 1", READONLY),
    ("DELETE FROM turns WHERE 1", READONLY),
    ("UPDATE turns SET seq = 1 WHERE 1", READONLY),
    ("OPTIMIZE TABLE turns FINAL", READONLY),
    ("BACKUP TABLE turns TO File('b')", READONLY),
    ("SYSTEM SHUTDOWN", READONLY),
    ("KILL QUERY WHERE 1", READONLY),
    ("DETACH TABLE turns", READONLY),
    ("GRANT ALL ON *.* TO reader", READONLY),
    ("SELECT 1 INTO OUTFILE '/tmp/turnpath-out'", 48),
    ("SELECT 1; DROP TABLE turns", SYNTAX),
    # read files
    ("SELECT * FROM file('/etc/passwd', 'LineAsString', 's String')", DENIED),
    ("SELECT file('/etc/passwd')", DENIED),
    ("SELECT * FROM seals WHERE file('/etc/passwd') != ''", DENIED),
    ("SELECT * APPLY(file) FROM (SELECT '/etc/passwd')", DENIED),
    ("SELECT * FROM executable('cat /etc/passwd', 'LineAsString', 's String')", DENIED),
    ("SELECT * FROM sqlite('/tmp/x', 't')", DENIED),
    ("SELECT * FROM fileCluster('c', '/etc/passwd')", DENIED),
    ("DESCRIBE file('/etc/passwd', 'LineAsString')", DENIED),
    ("SELECT * FROM seals ORDER BY day WITH FILL FROM file('/etc/passwd')", DENIED),
    ("SELECT catboostEvaluate('/etc/passwd', 1)", DENIED),
    # reach the network
    ("SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')", DENIED),
    ("SELECT * FROM remote('127.0.0.1:9000', turnpath.turns)", DENIED),
    ("SELECT * FROM s3('http://127.0.0.1:1/b')", DENIED),
    ("SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')", DENIED),
    ("SELECT * FROM clusterAllReplicas('default', system.one)", DENIED),
    ("SELECT aiGenerate('x')", DENIED),
    # change settings
    ("SET max_execution_time = 1000", READONLY),
    ("SET max_execution_time = DEFAULT", READONLY),
    ("SET readonly = 0", READONLY),
    ("SELECT 1 SETTINGS max_execution_time = 1000", READONLY),
    ("SELECT * FROM (SELECT 1 SETTINGS readonly = DEFAULT)", READONLY),
    ("SET ROLE ALL", READONLY),
    # run for ever, use all memory, return all rows
    ("SELECT sum(cityHash64(number)) FROM numbers(1000000000000)", TIMEOUT),
    ("SELECT max(a.number + b.number) FROM numbers(10000000) AS a, numbers(10000000) AS b", TIMEOUT),
    ("SELECT sleep(3)", DENIED),
    ("SELECT sleepEachRow(1) FROM numbers(100)", DENIED),
    ("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count() FROM t", DEPTH),
    ("SELECT groupArray(number) FROM numbers(1000000000)", MEMORY),
    ("SELECT uniqExact(number) FROM numbers(1000000000)", MEMORY),
    ("SELECT count() FROM numbers(100000000) GROUP BY number", MEMORY),
    ("SELECT length(range(100000000))", MEMORY),
    ("SELECT number FROM system.numbers", ROWS),
    ("SELECT * FROM generateRandom('a UInt64')", ROWS),
    ("SELECT number FROM numbers(10001)", ROWS),
    # run for ever where nothing looks at the time: by the square of a row's length
    *((f"SELECT {call}", DENIED) for call in ENDLESS),
    # see others' rows
    ("SELECT * FROM turns", DENIED),
    ("SELECT * FROM turnpath.dead_letters", DENIED),
    ("SELECT * FROM `turnpath`.\"moves\"", DENIED),
    ("SELECT * FROM /* seals */ rooms", DENIED),
    ("SELECT * FROM turns AS seals", DENIED),
    ("SELECT * FROM (WITH turns AS (SELECT 1) SELECT * FROM turns) AS x, turns", DENIED),
    ("SELECT * FROM seals WHERE (SELECT count() FROM turns) > 1", DENIED),
    ("SELECT day IN turns FROM seals", DENIED),
    ("SELECT 1 GLOBAL NOT IN turnpath.turns", DENIED),
    ("SELECT arrayMap(x -> x IN turns, [1])", DENIED),
    ("SELECT in(1, turns)", DENIED),
    ("SELECT 1 = ANY (SELECT seq FROM turns)", DENIED),
    ("SELECT 1 WHERE EXISTS (SELECT 1 FROM turns)", DENIED),
    ("SELECT 1 WHERE EXISTS (SELECT 1 FROM seals WHERE NOT EXISTS (SELECT 1 FROM turns))", DENIED),
    ("SELECT * FROM merge('turnpath', 'turns')", DENIED),
    ("SELECT * FROM view(SELECT * FROM turns)", DENIED),
    ("SELECT * FROM viewIfPermitted(SELECT * FROM turns ELSE null('a UInt8'))", DENIED),
    ("SELECT * FROM loop(turnpath.turns)", DENIED),
    ("SELECT * FROM mergeTreeIndex(turnpath, turns)", DENIED),
    ("SELECT * FROM dictionary('d')", DENIED),
    ("SELECT joinGet('turnpath.keyed', 'v', 1)", DENIED),
    ("SELECT dictGet('d', 'v', 1)", DENIED),
    ("SELECT hasColumnInTable('turnpath', 'turns', 'seq')", DENIED),
    ("SELECT seq FROM seals LEFT JOIN turns ON 1", DENIED),
    ("SELECT 1 LIMIT (SELECT count() FROM turns)", DENIED),
    ("SELECT 1 UNION ALL SELECT seq FROM turns", DENIED),
    ("SELECT 1 EXCEPT SELECT seq FROM turns", DENIED),
    ("SELECT * FROM rooms_now(site = (SELECT any(site_id) FROM turns))", DENIED),
    ("SELECT * FROM turnpath.seals UUID '00000000-0000-0000-0000-000000000001'", DENIED),
    ("DESCRIBE TABLE turns", DENIED),
    ("DESCRIBE (SELECT * FROM turns)", DENIED),
    ("/* /* */ DESCRIBE TABLE seals -- */ SELECT * FROM turns", DENIED),
    ("SHOW CREATE TABLE turns", DENIED),
    ("SHOW COLUMNS FROM turns", DENIED),
    ("EXISTS TABLE turns", DENIED),
    ("EXPLAIN SELECT * FROM turns", DENIED),
    ("EXPLAIN ESTIMATE SELECT * FROM seals", DENIED),
    ("SELECT * FROM (EXPLAIN SELECT * FROM turns)", DENIED),
    # what tells of others, and of the machine
    ("SELECT query FROM system.processes", DENIED),
    ("SELECT * FROM system.query_log", DENIED),
    ("SELECT * FROM system.parts", DENIED),
    ("SELECT * FROM system.users", DENIED),
    ("SELECT * FROM system.server_settings", DENIED),
    ("SHOW PROCESSLIST", DENIED),
    ("SHOW MERGES", DENIED),
    ("SHOW CLUSTERS", DENIED),
    ("SELECT getSetting('max_memory_usage')", DENIED),
    ("SELECT getMacro('x')", DENIED),
    ("SELECT hostName()", DENIED),
]  # fmt: skip


@pytest.mark.parametrize("sql, code", WAYS_OUT, ids=[sql[:60] for sql, _ in WAYS_OUT])
def test_a_way_out_is_shut(connect: Connect, sql: str, code: int) -> None:
    sooner = {"max_execution_time": 1} if code == TIMEOUT else {}
    assert code_of(connect(), sql, settings=sooner) == code


def test_the_limits_are_there_before_anybody_asks_for_less(connect: Connect) -> None:
    sql = "SELECT name, value FROM system.settings WHERE name IN ('readonly', 'max_execution_time', 'max_memory_usage')"
    assert dict(connect().execute(sql)) == {
        "readonly": "1",
        "max_execution_time": "60",
        "max_memory_usage": "200000000",
    }


@pytest.fixture(scope="module", autouse=True)
def nothing_changed(port: int) -> Iterator[None]:
    """After all that, the endpoint lives and everything is as it was."""
    yield
    with Client("127.0.0.1", port=port, database="turnpath") as client:
        assert client.execute("SELECT count(), uniqExact(customer_id) FROM turns") == [(5, 1)]
        assert client.execute("SELECT count() FROM system.tables WHERE name IN ('mine', 'seals2')") == [(0,)]
        assert client.execute("SELECT count() FROM system.functions WHERE name = 'f'") == [(0,)]
    assert not Path("/tmp/turnpath-out").exists()


def test_no_function_of_the_engine_gets_in_by_its_ending(connect: Connect) -> None:
    """`countIf` is allowed since `count` is; nothing refused may come in so, or by the case of letters."""
    rows = connect("default").execute("SELECT name, alias_to, toString(origin), categories FROM system.functions")
    allowed = functions([list(row) for row in rows])
    judge = Judge(allowed, "turnpath", lambda _: True)
    refused = [row[0] for row in rows if row[0].lower() not in allowed]
    for name in refused:
        with pytest.raises(Refused, match="ACCESS_DENIED"):
            judge.judge({"type": "Function", "name": name})
    reaching = {"file", "dictGet", "joinGet", "getSetting", "getServerSetting", "getMacro", "sleep", "hostName"}
    assert reaching | {"aiGenerate", "hasColumnInTable", "showCertificate", "serverUUID"} <= set(refused)


@pytest.mark.parametrize("kind", ["Identifier", "identifier", "Nullable(Identifier)"])
def test_no_name_comes_from_a_parameter(connect: Connect, kind: str) -> None:
    assert code_of(connect(), f"SELECT * FROM {{t:{kind}}}", params={"t": "turns"}) in (DENIED, SYNTAX)


def test_names_are_those_of_the_database_in_use(connect: Connect) -> None:
    reader = connect(database="system")
    assert code_of(reader, "SELECT * FROM processes") == DENIED
    reader.execute("USE turnpath")
    assert code_of(reader, "SELECT * FROM turns") == DENIED
    assert code_of(reader, "SELECT * FROM nothing_of_this_name") == UNKNOWN_TABLE


def test_settings_that_come_with_a_query(connect: Connect) -> None:
    reader = connect()
    assert code_of(reader, "SELECT 1", settings={"max_threads": 64}) == READONLY
    assert code_of(reader, "SELECT 1", settings={"readonly": 0}) == READONLY
    assert code_of(reader, "SELECT 1", settings={"additional_table_filters": "{}"}) == READONLY
    assert code_of(reader, "SELECT 1", settings={"max_execution_time": 1000}) == RANGE
    assert code_of(reader, "SELECT 1", settings={"max_execution_time": 0}) == RANGE
    assert code_of(reader, "SELECT number FROM numbers(100)", settings={"max_result_rows": 10}) == ROWS
    assert len(reader.execute("SELECT number FROM numbers(100)", settings={"max_block_size": 10})) == 100
    assert code_of(reader, "SELECT number FROM numbers(10001)") == ROWS


def test_a_table_sent_along_is_refused(connect: Connect) -> None:
    table = {"name": "turns", "structure": [("x", "UInt8")], "data": [{"x": 1}]}
    assert code_of(connect(), "SELECT * FROM turns", external_tables=[table]) == READONLY


def test_many_heavy_readers_do_not_hold_up_the_others(connect: Connect) -> None:
    """Eight run at once; the others wait, and are refused (202) where that takes long. `default` notices nothing."""
    heavy = "SELECT sum(cityHash64(number)) FROM numbers(1000000000000)"
    codes: list[int] = []
    clients = [connect() for _ in range(10)]
    threads = [
        threading.Thread(
            target=lambda its: codes.append(code_of(its, heavy, settings={"max_execution_time": 1})), args=[each]
        )
        for each in clients
    ]
    for thread in threads:
        thread.start()
    assert connect("default").execute("SELECT count() FROM turns") == [(5,)]
    for thread in threads:
        thread.join()
    assert set(codes) <= {TIMEOUT, 202}


def test_the_password_is_the_settings(tmp_path: Path) -> None:
    endpoint = Endpoint(tmp_path / "data", environment={"TURNPATH_READER_PASSWORD": "s3cret"})
    try:
        port = endpoint.ready()
        with Client("127.0.0.1", port=port, user="reader", password="s3cret") as client:
            assert client.execute("SELECT 1") == [(1,)]
        for password in ("reader", "", "s3cret "):
            with Client("127.0.0.1", port=port, user="reader", password=password) as client:
                assert code_of(client, "SELECT 1") == 516
        command = Path(f"/proc/{endpoint.process.pid}/cmdline").read_bytes()
        assert b"s3cret" not in command
    finally:
        endpoint.stop()


def test_open_to_others_without_a_password_the_reader_is_locked_out(tmp_path: Path) -> None:
    endpoint = Endpoint(tmp_path / "data", options=["--host", "0.0.0.0"])
    try:
        port = endpoint.ready()
        with Client("127.0.0.1", port=port, user="reader", password="reader") as client:
            assert code_of(client, "SELECT 1") == 516
        with Client("127.0.0.1", port=port) as client:
            assert client.execute("SELECT 1") == [(1,)]
    finally:
        endpoint.process.terminate()
        said = "".join(endpoint.process.communicate(timeout=20))
    assert "TURNPATH_READER_PASSWORD" in said


def test_it_listens_on_this_machine_alone_unless_told_otherwise(port: int) -> None:
    listening = subprocess.run(["cat", "/proc/net/tcp", "/proc/net/tcp6"], capture_output=True, text=True).stdout
    places = [line.split()[1] for line in listening.splitlines() if line.split()[3] == "0A"]
    assert [place for place in places if place.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]
    assert os.environ.get("TURNPATH_CLICKHOUSE") is None
