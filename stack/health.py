"""Does a part answer, by its own protocol? None of these raises; a part that does not answer in time does not."""

import asyncio
import http.client
import socket
import struct
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from journey.errors import TurnpathError
from sql.client import Client
from stack.ports import split

_SECONDS = 2.0
_METADATA, _VERSION = 3, 1


def kafka(address: str) -> bool:
    """A broker that knows at least itself (metadata request, version 1, no topics)."""
    body = struct.pack(">hhihi", _METADATA, _VERSION, 7, -1, 0)
    try:
        with socket.create_connection(split(address), _SECONDS) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            answer = _exactly(connection, struct.unpack(">i", _exactly(connection, 4))[0])
        correlation, brokers = struct.unpack(">ii", answer[:8])
        return bool(correlation == 7 and brokers > 0)
    except (OSError, struct.error):
        return False


def _exactly(connection: socket.socket, size: int) -> bytes:
    """`size` bytes; OSError if the other side ends before, or if no broker would say so much."""
    if not 0 <= size < 1_000_000:
        raise OSError("not a Kafka broker")
    read = b""
    while len(read) < size:
        piece = connection.recv(size - len(read))
        if not piece:
            raise OSError("closed")
        read += piece
    return read


def redis(url: str) -> bool:
    """PING, after AUTH where the address has a password."""
    where = urlsplit(url)
    said = f"AUTH {unquote(where.password)}\r\n" if where.password else ""
    try:
        with socket.create_connection((where.hostname or "", where.port or 0), _SECONDS) as connection:
            connection.sendall(f"{said}PING\r\n".encode())
            expected = b"+OK\r\n+PONG\r\n" if said else b"+PONG\r\n"
            return _exactly(connection, len(expected)) == expected
    except OSError:
        return False


def clickhouse(url: str) -> bool:
    """SELECT 1 by the native protocol, in no database: ours may not be made yet."""
    anywhere = urlsplit(url)._replace(path="").geturl()
    with Client(anywhere, connect_timeout_s=_SECONDS, timeout_s=_SECONDS) as client:
        try:
            return client.rows("SELECT 1") == [(1,)]
        except TurnpathError:
            return False


def http_page(address: str, path: str = "/health") -> bool:
    """A GET that answers 200."""
    host, port = split(address)
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def group(address: str, name: str, members: int) -> Callable[[], bool]:
    """A question: has the consumer group `name` at least `members` members, all of them served?"""
    return lambda: group_members(address, name) >= members


def group_members(address: str, name: str) -> int:
    """How many members the group has; 0 while it is between two assignments, or if the broker does not answer."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    async def ask() -> int:
        admin = AIOKafkaAdminClient(bootstrap_servers=address, request_timeout_ms=2000)
        try:
            await admin.start()
            described = (await admin.describe_consumer_groups([name]))[0].groups[0]
            return len(described[5]) if described[2] == "Stable" else 0
        finally:
            await admin.close()

    try:
        return asyncio.run(asyncio.wait_for(ask(), 5))
    except (KafkaError, OSError, TimeoutError):
        return 0
