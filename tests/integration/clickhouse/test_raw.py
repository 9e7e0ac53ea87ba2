"""The protocol as bytes: what clickhouse-driver never sends."""

import socket
import struct
from collections.abc import Callable, Iterator

import pytest
from clickhouse_driver import Client

from sql.embedded.wire import string, varint

HELLO = varint(0) + string("raw") + varint(1) + varint(0) + varint(54_459) + string("default") + string("default")
PING, PONG = b"\x04", b"\x04"

Dial = Callable[[], socket.socket]


@pytest.fixture
def dial(place: tuple[str, int]) -> Iterator[Dial]:
    opened: list[socket.socket] = []

    def one() -> socket.socket:
        opened.append(socket.create_connection(place, 20))
        return opened[-1]

    yield one
    for each in opened:
        each.close()


def ended(connection: socket.socket) -> bytes:
    """What came until the other side closed."""
    came = b""
    try:
        while piece := connection.recv(65_536):
            came += piece
    except ConnectionResetError:
        pass
    return came


def greeted(dial: Dial) -> socket.socket:
    connection = dial()
    connection.sendall(HELLO + string(""))
    assert connection.recv(65_536)[0] == 0
    connection.sendall(string("") + PING)  # the addendum comes with the first packet
    assert connection.recv(1) == PONG
    return connection


def query(sql: bytes, params: bytes = b"") -> bytes:
    info = b"\x01" + string("") * 2 + string("0.0.0.0:0") + struct.pack("<Q", 0) + b"\x01"
    info += string("") * 3 + varint(1) * 3 + string("") + varint(0) + varint(0) + b"\x00" + varint(0) * 3
    return b"\x01" + string("") + info + string("") + string("") + varint(2) + varint(0) + string(sql) + string("")


END = b"\x02" + string("") + b"\x01\x00\x02\xff\xff\xff\xff\x00" + varint(0) * 2


@pytest.mark.parametrize(
    "first",
    [b"\x05", b"\xff" * 20, b"\x00\xff\xff\xff\xff\xff\xff\x7f", varint(0) + string(b"\xff\xfe" * 4)],
)
def test_a_client_that_does_not_say_hello_is_shown_out(dial: Dial, client: Client, first: bytes) -> None:
    connection = dial()
    connection.sendall(first)
    connection.shutdown(socket.SHUT_WR)
    answer = ended(connection)
    assert not answer or answer[0] == 2
    assert client.execute("SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "packet",
    [
        b"\x63",
        b"\xff" * 12,
        b"\x01" + b"\xff" * 40,
        query(b"SELECT 1") + b"\x02" + string("") + b"\x07" * 30,
        query(b"SELECT 1") + b"\x02" + string("x") + b"\x00" + varint(1) * 2 + string("a") + string("UInt8") + b"\x09",
    ],
)
def test_a_malformed_packet_ends_its_connection_only(dial: Dial, client: Client, packet: bytes) -> None:
    bystander = greeted(dial)
    connection = greeted(dial)
    connection.sendall(packet)
    connection.shutdown(socket.SHUT_WR)
    ended(connection)
    bystander.sendall(PING)
    assert bystander.recv(1) == PONG
    assert client.execute("SELECT 1") == [(1,)]


def test_a_client_that_goes_at_any_byte_of_a_query(dial: Dial, client: Client) -> None:
    whole = query(b"SELECT 1") + END
    for cut in range(0, len(whole), 7):
        connection = greeted(dial)
        connection.sendall(whole[:cut])
        connection.close()
    assert client.execute("SELECT 1") == [(1,)]


def test_packets_in_small_pieces_and_in_one(dial: Dial) -> None:
    connection = greeted(dial)
    for byte in query(b"SELECT 42 AS answer") + END:
        connection.sendall(bytes([byte]))
    came = b""
    while b"\x06answer\x05UInt8\x00\x2a" not in came:
        came += connection.recv(65_536)
    connection.sendall(PING * 3)
    while not came.endswith(PONG * 3):
        came += connection.recv(65_536)


def test_a_cancel_without_a_query_does_nothing(dial: Dial) -> None:
    connection = greeted(dial)
    connection.sendall(b"\x03" + PING)
    assert connection.recv(1) == PONG


def test_an_insert_cut_in_its_block_leaves_nothing(dial: Dial, client: Client, database: str) -> None:
    client.execute("CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")
    head = b"\x02" + string("") + b"\x01\x00\x02\xff\xff\xff\xff\x00"
    block = head + varint(1) + varint(3) + string("a") + string("UInt32") + b"\x00" + struct.pack("<III", 1, 2, 3)
    for sent in (block[:-5], block + block[:-5], block):
        connection = greeted(dial)
        connection.sendall(query(f"INSERT INTO {database}.t VALUES".encode()) + END)
        assert connection.recv(65_536)
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        ended(connection)
    assert client.execute("SELECT count() FROM t") == [(0,)]
