"""Bytes that no client sends, on both protocols: each ends its connection, and nothing else.

TURNPATH_TEST_FUZZ=100000 tries so many instead of 300; a failure names its seed.
"""

import gzip
import os
import random
import socket
from collections.abc import Callable
from contextlib import suppress

import pytest
from clickhouse_driver import Client

from sql.embedded.wire import compressed, string, varint

from .test_raw import END, HELLO, query

TRIES = int(os.environ.get("TURNPATH_TEST_FUZZ", "300"))
_BLOCK = b"\x01\x00\x02\xff\xff\xff\xff\x00" + varint(1) * 2 + string("a") + string("Array(String)") + b"\x00"
_ROWS = _BLOCK + (2).to_bytes(8, "little") + string("x") + string("한글")
NATIVE = [
    HELLO + string("") + string("") + b"\x04",
    HELLO + string("") * 2 + query(b"SELECT number, toString(number) FROM numbers(10)") + END,
    HELLO + string("") * 2 + query(b"INSERT INTO FUNCTION null('a Array(String)') VALUES") + END
    + b"\x02" + string("") + _ROWS + END,
    HELLO + string("") * 2 + query(b"SELECT * FROM sent") + b"\x02" + string("sent") + _ROWS + END,
    HELLO + string("") * 2 + query(b"SELECT 1") + b"\x02" + string("") + compressed(_ROWS) + END + b"\x03",
]  # fmt: skip


def _post(body: bytes, head: bytes = b"", target: bytes = b"/") -> bytes:
    size = b"Content-Length: %d\r\n" % len(body)
    return b"POST " + target + b" HTTP/1.1\r\nHost: localhost\r\n" + head + size + b"\r\n" + body


HTTP = [
    _post(b"SELECT number FROM numbers(10) FORMAT JSON"),
    b"GET /?query=SELECT+%7Bx:String%7D&param_x=a&session_id=f HTTP/1.1\r\nHost: localhost\r\n\r\n",
    _post(gzip.compress(b"SELECT 1"), b"Content-Encoding: gzip\r\nAccept-Encoding: zstd, lz4\r\n"),
    _post(compressed(b"SELECT 1"), target=b"/?decompress=1&compress=1"),
    _post(_ROWS, target=b"/?query=INSERT+INTO+FUNCTION+null('a+Array(String)')+FORMAT+Native"),
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    b"8\r\nSELECT 1\r\n0\r\n\r\n",
]


def mutated(data: bytes, random_: random.Random) -> bytes:
    """The bytes, some of them changed, cut, repeated or put in."""
    made = bytearray(data)
    for _ in range(random_.randint(1, 6)):
        at, length = random_.randrange(len(made) or 1), random_.randint(1, 9)
        match random_.randrange(5):
            case 0 if made:
                made[at % len(made)] ^= 1 << random_.randrange(8)
            case 1:
                del made[at : at + length]
            case 2:
                made[at:at] = random_.randbytes(length)
            case 3:
                made[at : at + length] = random_.choice([b"\xff" * 9, b"\x00", b"\x80" * 10, b"\x7f\xff\xff\xff"])
            case _:
                made[at:at] = made[at : at + length * 3]
    return bytes(made)


def send(place: tuple[str, int], data: bytes) -> None:
    """Send the bytes, and wait until the other side has closed."""
    with socket.create_connection(place, 60) as connection, suppress(ConnectionError, BrokenPipeError):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass


@pytest.mark.parametrize("protocol", ["native", "http"])
def test_mutated_bytes(protocol: str, place: tuple[str, int], request: pytest.FixtureRequest, client: Client) -> None:
    where, samples = place, NATIVE
    if protocol == "http":
        host, port = request.getfixturevalue("http_address").split(":")
        where, samples = (host, int(port)), HTTP
    bystander: Callable[[], object] = lambda: client.execute("SELECT 1")  # noqa: E731
    bystander()
    seed = int(os.environ.get("TURNPATH_TEST_FUZZ_SEED", random.randrange(1 << 32)))
    for n in range(TRIES // 2):
        data = mutated(samples[n % len(samples)], random.Random(seed + n))
        try:
            send(where, data)
        except OSError as error:  # TimeoutError: it hangs
            pytest.fail(f"TURNPATH_TEST_FUZZ_SEED={seed + n}: {error!r} for {data!r}")
        if n % 25 == 0:
            assert bystander() == [(1,)], f"TURNPATH_TEST_FUZZ_SEED={seed}"
    assert bystander() == [(1,)], f"TURNPATH_TEST_FUZZ_SEED={seed}"
