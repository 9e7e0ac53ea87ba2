"""The user `reader` of the embedded endpoint: what it may send, take and hold, and that no failure lifts its walls."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from sql.embedded.wire import string, varint

from .conftest import Endpoint
from .test_raw import END, query

Connect = Callable[..., Client]
Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    running = Endpoint(tmp_path_factory.mktemp("bounds") / "data")
    running.ready()
    yield running
    assert running.stop() == 0


@pytest.fixture
def connect(endpoint: Endpoint) -> Iterator[Connect]:
    made: list[Client] = []

    def client(user: str = "reader", **options: object) -> Client:
        password = user if user == "reader" else ""
        made.append(Client("127.0.0.1", endpoint.port, user=user, password=password, **options))
        return made[-1]

    yield client
    for each in made:
        each.disconnect()


@pytest.fixture
def ask(endpoint: Endpoint) -> Iterator[Ask]:
    """Ask as `reader` by HTTP, with parameters in the address."""
    login = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": "reader", "Accept-Encoding": "identity"}
    with httpx.Client(base_url=f"http://127.0.0.1:{endpoint.http_port}", headers=login, timeout=60) as web:
        yield lambda body, headers=None, **params: web.post("/", content=body, params=params, headers=headers)


def code_of(client: Client, sql: str, **options: object) -> int:
    with pytest.raises(ServerException) as error:
        client.execute(sql, **options)
    return int(error.value.code)


WALLS = "SELECT name, value FROM system.settings WHERE name IN ('readonly', 'max_execution_time', 'max_result_rows')"
STANDING = {"readonly": "1", "max_execution_time": "60", "max_result_rows": "1000000"}
WRONG = [("max_block_size", "abc"), ("session_timezone", "No/where"), ("max_memory_usage", "1.5")]


@pytest.mark.parametrize("name, value", WRONG)
def test_a_wrong_value_of_a_setting_lifts_nothing_by_http(ask: Ask, name: str, value: str) -> None:
    session = f"wrong-{name}"
    for _ in range(2):
        assert ask("SELECT 1", session_id=session, **{name: value}).headers["X-ClickHouse-Exception-Code"] in (
            "27",
            "36",
        )
    told = ask(WALLS, session_id=session, **{name: value})
    assert "X-ClickHouse-Exception-Code" in told.headers
    assert dict(line.split("\t") for line in ask(WALLS, session_id=session).text.splitlines()) == STANDING
    hidden = "SELECT count() FROM system.tables WHERE database = 'system' AND name LIKE '%log'"
    assert ask(hidden, session_id=session).text == "0\n"


@pytest.mark.parametrize("name, value", WRONG)
def test_a_wrong_value_of_a_setting_lifts_nothing_by_native(connect: Connect, name: str, value: str) -> None:
    reader = connect()
    connection = reader.connection
    connection.force_connect()
    for _ in range(2):  # clickhouse-driver closes its connection after an error; the protocol does not
        connection.context.settings = {name: value}
        connection.send_query("SELECT 1")
        connection.send_external_tables(None)
        assert connection.receive_packet().exception.code in (27, 36)
        connection.is_query_executing = False
    assert dict(reader.execute(WALLS)) == STANDING
    assert reader.connection is connection


@pytest.mark.parametrize("value", ["0.0000009", "1e-9", "nan", "-1", "0"])
def test_no_time_is_so_short_that_the_engine_takes_it_for_none(connect: Connect, value: str) -> None:
    assert code_of(connect(), "SELECT 1", settings={"max_execution_time": value}) == 452


HELLO = varint(0) + string("raw") + varint(1) + varint(0) + varint(54_459) + string("default") + string("reader") * 2


def entered(port: int, receive: int = 1 << 16) -> socket.socket:
    """A reader on the native protocol, who is logged in."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", port))
    connection.sendall(HELLO)
    assert connection.recv(4096)[0] == 0
    connection.sendall(string(""))
    return connection


def posted(port: int, body: bytes, head: bytes = b"", receive: int = 1 << 16) -> socket.socket:
    """A reader's request by HTTP, which is sent."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", port))
    login = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-ClickHouse-User: reader\r\nX-ClickHouse-Key: reader\r\n"
    connection.sendall(login + head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    return connection


@pytest.mark.parametrize("protocol", ["native", "http"])
def test_who_does_not_read_an_answer_does_not_keep_others_from_theirs(protocol: str, tmp_path: Path) -> None:
    endpoint = Endpoint(tmp_path / "data", options=["--reader-seconds", "1"])
    wide = b"SELECT repeat('x', 100) FROM numbers(1000000)"
    try:
        endpoint.ready()
        with ExitStack() as stalled:
            for _ in range(8):
                if protocol == "native":
                    connection = stalled.enter_context(entered(endpoint.port, 2048))
                    connection.sendall(query(wide) + END)
                else:
                    stalled.enter_context(posted(endpoint.http_port, wide, receive=2048))
            time.sleep(0.5)  # they have the eight places now
            begun = time.monotonic()
            with Client("127.0.0.1", endpoint.port, user="reader", password="reader") as ninth:
                assert ninth.execute("SELECT 1") == [(1,)]
            assert time.monotonic() - begun < 10
    finally:
        endpoint.stop()
