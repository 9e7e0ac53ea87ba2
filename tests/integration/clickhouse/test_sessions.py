"""Databases, settings, errors, and many clients at once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from .conftest import Connect

FOREVER = "SELECT sum(cityHash64(number)) FROM numbers(100000000000)"


def refused(client: Client, sql: str, **options: object) -> ServerException:
    with pytest.raises(ServerException) as error:
        client.execute(sql, **options)
    return error.value


def test_each_connection_has_its_own_database(connect: Connect, database: str) -> None:
    one, two = connect(), connect(database="")
    assert one.execute("SELECT currentDatabase()") == [(database,)]
    assert two.execute("SELECT currentDatabase()") == [("default",)]
    two.execute("USE system")
    assert two.execute("SELECT count() FROM one") == [(1,)]
    assert one.execute("SELECT currentDatabase()") == [(database,)]


def test_a_database_that_is_not_there(connect: Connect) -> None:
    assert refused(connect(database="nowhere"), "SELECT 1").code == 81
    client = connect()
    assert refused(client, "USE nowhere").code == 81
    assert client.execute("SELECT 1") == [(1,)]


def test_a_wrong_login(connect: Connect) -> None:
    assert refused(connect(password="wrong"), "SELECT 1").code == 516
    assert refused(connect(user="nobody"), "SELECT 1").code == 516


def test_an_error_that_quotes_what_is_no_text_is_an_error(client: Client) -> None:
    """With some builds of Python chDB loses such a text; then the endpoint says so, under the code 49."""
    error = refused(client, "SELECT toUInt8(unhex('ff'))")
    assert (error.code, "Cannot parse" in error.message) in {(6, True), (49, False)}
    assert error.code == 6 or "not UTF-8" in error.message
    assert client.execute("SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "sql, code, text",
    [
        ("SELECT * FROM nope", 60, "nope"),
        ("SELEC 1", 62, "Syntax error"),
        ("SELECT nope", 47, "nope"),
        ("SELECT 1; SELECT 2", 62, "Multi-statements"),
        ("CREATE TABLE a (x UInt8) ENGINE = Memory; DROP TABLE a", 62, "Multi-statements"),
        ("SELECT throwIf(1, 'so it says')", 395, "so it says"),
        ("SELECT throwIf(number = 500000, 'later') FROM numbers(1000000)", 395, "later"),
        ("CREATE TABLE x (a Nonsense) ENGINE = Memory", 50, "Nonsense"),
        ("SELECT 1 SETTINGS nonsense = 1", 115, "nonsense"),
        ("SET nonsense = 1", 115, "nonsense"),
        ("DROP TABLE nope", 60, "nope"),
        ("SELECT {x:UInt8}", 456, "x"),
        ("SELECT toUInt8('no number')", 6, "Cannot parse"),
        ("", 62, ""),
    ],
)
def test_errors_have_their_code_and_text(client: Client, sql: str, code: int, text: str) -> None:
    error = refused(client, sql)
    assert error.code == code
    assert text in error.message


def test_a_connection_goes_on_after_an_error(client: Client) -> None:
    """clickhouse-driver closes its connection after an error; the protocol does not."""
    connection = client.connection
    connection.force_connect()
    connection.send_query("SELECT * FROM nope")
    connection.send_external_tables(None)
    assert connection.receive_packet().exception.code == 60
    connection.is_query_executing = False
    assert client.execute("SELECT 1") == [(1,)]
    assert client.connection is connection
    assert connection.connected


def test_settings_are_for_one_query(client: Client) -> None:
    sql = "SELECT getSetting('max_block_size'), getSetting('max_threads')"
    before = client.execute(sql)
    assert client.execute(sql, settings={"max_block_size": 123, "max_threads": 1}) == [(123, 1)]
    assert client.execute(sql, settings={"max_block_size": 77})[0][0] == 77
    assert client.execute(sql) == before


def test_set_is_for_the_session(connect: Connect) -> None:
    one, two = connect(), connect()
    sql = "SELECT getSetting('max_block_size')"
    before = two.execute(sql)
    one.execute("SET max_block_size = 55")
    assert one.execute(sql, settings={"max_block_size": 66}) == [(66,)]
    assert one.execute(sql) == [(55,)]
    assert two.execute(sql) == before


def test_settings_that_bite(client: Client) -> None:
    assert refused(client, FOREVER, settings={"max_execution_time": 1}).code == 159
    sql = "SELECT groupArray(number) FROM numbers(50000000)"
    assert refused(client, sql, settings={"max_memory_usage": 10_000_000}).code == 241
    assert refused(client, "CREATE TABLE x (a UInt8) ENGINE = Memory", settings={"readonly": 1}).code == 164
    assert client.execute("CREATE TABLE x (a UInt8) ENGINE = Memory") == []


def test_unknown_settings(connect: Connect) -> None:
    """Only those that the client calls important are refused; clickhouse-driver says so for all or none."""
    strict, lax = connect(settings_is_important=True), connect()
    assert refused(strict, "SELECT 1", settings={"nonsense": 1}).code == 115
    assert lax.execute("SELECT 1", settings={"nonsense": 1}) == [(1,)]


def test_temporary_tables_are_the_sessions(connect: Connect) -> None:
    one, two = connect(), connect()
    one.execute("CREATE TEMPORARY TABLE mine (a UInt8)")
    one.execute("INSERT INTO mine VALUES", [(1,)])
    assert one.execute("SELECT * FROM mine") == [(1,)]
    assert refused(two, "SELECT * FROM mine").code == 60


def running(client: Client, mark: str) -> int:
    sql = "SELECT count() FROM system.processes WHERE query LIKE {mark:String} AND query NOT LIKE '%processes%'"
    return int(client.execute(sql, {"mark": f"%{mark}%"})[0][0])


def until(holds: object, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("sql", [FOREVER, "SELECT number FROM system.numbers"])
@pytest.mark.parametrize("leave", ["vanish", "ping and vanish", "cancel"])
def test_a_query_ends_when_nobody_wants_it(connect: Connect, database: str, sql: str, leave: str) -> None:
    client, other = connect(), connect()
    client.execute("SELECT 1")
    connection = client.connection
    connection.send_query(f"{sql} -- {database}", params={})
    connection.send_external_tables(None)
    assert until(lambda: running(other, database) == 1)
    if leave == "ping and vanish":
        connection.socket.sendall(b"\x04")
    if leave.endswith("vanish"):
        client.disconnect()
    else:
        client.cancel()
        assert client.execute("SELECT 1") == [(1,)]
    assert until(lambda: running(other, database) == 0)


def test_an_insert_from_a_query_ends_when_its_client_goes(connect: Connect, database: str) -> None:
    client, other = connect(), connect()
    other.execute("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
    client.connection.force_connect()
    client.connection.send_query(f"INSERT INTO {database}.t SELECT cityHash64(number) FROM numbers(100000000000)")
    client.connection.send_external_tables(None)
    assert until(lambda: running(other, f"INSERT INTO {database}.t") == 1)
    client.disconnect()
    assert until(lambda: running(other, f"INSERT INTO {database}.t") == 0)


def test_a_heavy_query_does_not_hold_up_a_small_one(connect: Connect, database: str) -> None:
    heavy, small = connect(), connect()
    ended = threading.Event()

    def work() -> None:
        with pytest.raises(ServerException):
            heavy.execute(f"{FOREVER} -- {database}")
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    assert until(lambda: running(small, database) == 1)
    for n in range(20):
        assert small.execute("SELECT {n:UInt8}", {"n": n}) == [(n,)]
    assert not ended.is_set()
    small.execute(f"KILL QUERY WHERE query LIKE '%-- {database}' ASYNC")
    thread.join(20)
    assert ended.is_set()


def test_fifty_clients_at_once(connect: Connect) -> None:
    connect().execute("CREATE TABLE t (who UInt16, n UInt32, s String) ENGINE = MergeTree ORDER BY (who, n)")
    clients = [connect() for _ in range(50)]
    together = threading.Barrier(50)

    def work(who: int) -> list[tuple[int, ...]]:
        together.wait(30)
        for start in range(0, 300, 100):
            clients[who].execute("INSERT INTO t VALUES", [(who, start + i, f"text {who}") for i in range(100)])
        sql = "SELECT count(), uniqExact(n), uniqExact(s) FROM t WHERE who = {who:UInt16}"
        return list(clients[who].execute(sql, {"who": who}))

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(work, range(50))) == [[(300, 300, 1)]] * 50


def test_one_query_of_an_id_runs_at_a_time(connect: Connect) -> None:
    """What one day's publication waits for another by; a user's ids are no one else's."""
    first, second, reader = connect(), connect(), connect(user="reader", password="reader", database="default")
    running = first.execute_iter("SELECT number FROM system.numbers", query_id="of-mine")
    assert next(running) == (0,)
    assert refused(second, "SELECT 1", query_id="of-mine").code == 216
    assert second.execute("SELECT 1", query_id="another") == [(1,)]
    assert second.execute("SELECT 1") == [(1,)]
    first.disconnect()
    running.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and second_is_refused(second):
        time.sleep(0.05)
    assert second.execute("SELECT 2", query_id="of-mine") == [(2,)]
    assert reader.execute("SELECT 3", query_id="of-mine") == [(3,)]


def test_an_id_that_runs_for_a_native_client_is_refused_over_http_too(client: Client, http_address: str) -> None:
    def code(query_id: str) -> object:
        asked = {"query": "SELECT 1", "query_id": query_id}
        return httpx.get(f"http://{http_address}/", params=asked).headers.get("X-ClickHouse-Exception-Code")

    running = client.execute_iter("SELECT number FROM system.numbers", query_id="of-mine")
    assert next(running) == (0,)
    assert (code("of-mine"), code("another")) == ("216", None)
    running.close()
    client.disconnect()


def second_is_refused(client: Client) -> bool:
    try:
        client.execute("SELECT 1", query_id="of-mine")
    except ServerException as error:
        return bool(error.code == 216)
    return False
