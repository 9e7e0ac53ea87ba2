"""The user `reader` of the embedded endpoint: what it may send, take and hold, and that no failure lifts its walls."""

import gzip
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import cramjam
import httpx
import lz4.frame  # type: ignore[import-untyped]
import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from sql.embedded import wire
from sql.embedded.wire import string, varint

from .conftest import Endpoint
from .test_raw import END, query
from .test_sessions import FOREVER, running, until

SYNTAX, UNEXPECTED, READONLY = 62, 101, 164

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


@contextmanager
def little_memory(endpoint: Endpoint) -> Iterator[None]:
    """In the body the endpoint takes less than 100 MB more than before, at any moment."""
    process = Path(f"/proc/{endpoint.process.pid}")

    def peak() -> int:
        return next(int(line.split()[1]) for line in (process / "status").read_text().splitlines() if "VmHWM" in line)

    (process / "clear_refs").write_text("5")  # the peak begins anew
    before = peak()
    yield
    assert peak() - before < 100_000


LONG = b"SELECT '" + b"x" * 5_000_000 + b"'"
MOST = 262_144


def test_a_statement_is_as_long_as_the_engine_takes_it(endpoint: Endpoint, connect: Connect, ask: Ask) -> None:
    nearly = "SELECT 1".ljust(MOST - 100)  # it is judged as a text in a statement
    assert connect().execute(nearly) == [(1,)]
    assert ask(nearly).text == "1\n"
    with little_memory(endpoint):
        for sql in (
            LONG,
            b"SELECT 1".ljust(MOST + 1),
            b"(" * (MOST + 1),
            b"INSERT INTO t FORMAT TSV\n".ljust(MOST + 1),
        ):
            assert code_of(connect(), sql.decode()) == SYNTAX
            assert ask(sql).headers["X-ClickHouse-Exception-Code"] == str(SYNTAX)
        in_both = ask(nearly, query="SELECT 1".ljust(2000))
        assert in_both.headers["X-ClickHouse-Exception-Code"] == str(SYNTAX)
    assert ask("SELECT 1").text == "1\n"


def frame(data: bytes) -> bytes:
    """One frame of ClickHouse's, of any length."""
    body = lz4.block.compress(data, store_size=False)
    head = struct.pack("<BII", 0x82, len(body) + 9, len(data))
    return bytes(wire._checksum(head + body) + head + body)


BOMB = b"SELECT 1".ljust(200_000_000)
BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(BOMB),
    "deflate": lambda: gzip.compress(BOMB),
    "lz4": lambda: bytes(lz4.frame.compress(BOMB[:60_000_000], block_size=lz4.frame.BLOCKSIZE_MAX4MB)),
    "zstd": lambda: bytes(cramjam.zstd.compress(BOMB)),
    "": lambda: frame(BOMB[:60_000_000]),
}


@pytest.mark.parametrize("coding", BOMBS)
def test_a_small_body_that_unpacks_to_a_large_one_is_refused(endpoint: Endpoint, ask: Ask, coding: str) -> None:
    body = BOMBS[coding]()
    assert len(body) < MOST
    with little_memory(endpoint):
        answer = ask(body, {"Content-Encoding": coding}, decompress="" if coding else "1")
        assert answer.status_code == 400
    assert ask("SELECT 1").text == "1\n"


NUMBERS = (
    b"\x01\x00\x02\xff\xff\xff\xff\x00" + varint(1) + varint(75_000_000) + string("n") + string("UInt64") + b"\x00"
)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_a_table_sent_along_is_not_held(endpoint: Endpoint, packed: bool) -> None:
    asked = query(b"SELECT * FROM sent")
    if packed:  # the flag stands before the statement's length
        at = asked.index(string("SELECT * FROM sent")) - 1
        asked = asked[:at] + b"\x01" + asked[at + 1 :]
    first, more = (frame(NUMBERS.ljust(200_000_000, b"\0")), b"") if packed else (NUMBERS, bytes(1 << 20))
    with little_memory(endpoint), entered(endpoint.port) as connection:
        with suppress(OSError):
            connection.sendall(asked + b"\x02" + string("sent") + first)
            for _ in range(600):
                connection.sendall(more)
        told = b""
        with suppress(ConnectionResetError):
            while piece := connection.recv(65_536):
                told += piece
        assert told[:5] in (b"\x02" + struct.pack("<i", code) for code in (READONLY, UNEXPECTED))


def test_settings_and_parameters_are_bounded(endpoint: Endpoint, connect: Connect, ask: Ask) -> None:
    with little_memory(endpoint):
        assert code_of(connect(), "SELECT 1", settings={f"unknown_{n}": 1 for n in range(5000)}) == UNEXPECTED
        assert code_of(connect(), "SELECT 1", settings={"log_comment": "x" * 5_000_000}) == UNEXPECTED
        assert ask("SELECT 1", **{f"param_{n}": "1" for n in range(5000)}).status_code == 400
    assert ask("SELECT 1").text == "1\n"


@pytest.mark.parametrize("sql", [FOREVER, "SELECT number FROM system.numbers LIMIT 1000000 BY 1"])
@pytest.mark.parametrize("leave", ["vanish", "ping and vanish", "cancel"])
def test_a_readers_query_ends_when_nobody_wants_it(connect: Connect, sql: str, leave: str) -> None:
    reader, other = (
        connect(settings={"server_side_params": True}),
        connect("default", settings={"server_side_params": True}),
    )
    reader.execute("SELECT 1")
    reader.connection.send_query(f"{sql} -- of a reader", params={})
    reader.connection.send_external_tables(None)
    assert until(lambda: running(other, "-- of a reader") == 1)
    if leave == "ping and vanish":
        reader.connection.socket.sendall(b"\x04")
    if leave.endswith("vanish"):
        reader.disconnect()
    else:
        reader.cancel()
        assert reader.execute("SELECT 1") == [(1,)]
    assert until(lambda: running(other, "-- of a reader") == 0)


def test_a_readers_query_ends_when_its_client_goes_by_http(endpoint: Endpoint, connect: Connect) -> None:
    other = connect("default", settings={"server_side_params": True})
    with posted(endpoint.http_port, f"{FOREVER} -- over HTTP".encode()):
        assert until(lambda: running(other, "-- over HTTP") == 1)
    assert until(lambda: running(other, "-- over HTTP") == 0)
