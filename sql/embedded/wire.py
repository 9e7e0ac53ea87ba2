"""Bytes from and to a client: varints, strings, LZ4 frames."""

import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import cramjam
import lz4.block  # type: ignore[import-untyped]
from clickhouse_driver.streams.compressed import CityHash128

from sql.embedded.errors import Malformed, Vanished

_RECEIVE = 1 << 20
_FRAME = 1 << 20
_LZ4, _PLAIN, _ZSTD = 0x82, 0x02, 0x90
_FRAME_HEAD = struct.Struct("<BII")
_MAX_FRAME = 1 << 30
_MAX_STRING = 1 << 28
#: Seconds to let pass what a client sends that is not heard any more.
_DRAIN_S = 2.0


class Source:
    """A growing buffer to read from; `data` holds what has come, `pos` is where reading stands.

    A subclass's `fill` appends at least one byte to `data`, or raises Vanished or Malformed. It does not go on where
    `most` bytes are held.
    """

    most = sys.maxsize

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)
        self.pos = 0

    def fill(self) -> None:
        raise Malformed("the block is cut short")

    def need(self, end: int) -> None:
        """Wait until `data` reaches to `end`."""
        while len(self.data) < end:
            self.fill()

    def take(self, size: int) -> bytes:
        start = self.pos
        self.need(start + size)
        self.pos = start + size
        return bytes(memoryview(self.data)[start : self.pos])

    def byte(self) -> int:
        self.need(self.pos + 1)
        self.pos += 1
        return self.data[self.pos - 1]

    def uint64(self) -> int:
        return int.from_bytes(self.take(8), "little")

    def varint(self) -> int:
        value = 0
        for shift in range(0, 64, 7):
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise Malformed("a number of more than 64 bits")

    def raw_string(self, limit: int = _MAX_STRING, check: Callable[[int], None] | None = None) -> bytes:
        """The next string, unless it is longer than that, or `check`, which is told its size, refuses it."""
        size = self.varint()
        if check:
            check(size)
        if size > limit:
            raise Malformed(f"a string of {size} bytes")
        return self.take(size)

    def string(self, limit: int = _MAX_STRING, check: Callable[[int], None] | None = None) -> str:
        try:
            return self.raw_string(limit, check).decode()
        except UnicodeDecodeError as error:
            raise Malformed("a string that is not UTF-8") from error

    def trim(self) -> None:
        """Forget what has been read."""
        del self.data[: self.pos]
        self.pos = 0


class SocketSource(Source):
    """What a client sends, and the way back to it."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection
        self._deadline: float | None = None

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """All that the body reads and sends must pass in so many seconds, or Vanished is raised; None: for ever."""
        if seconds is None:
            yield
            return
        before, self._deadline = self._connection.gettimeout(), time.monotonic() + seconds
        try:
            yield
        finally:
            self._deadline = None
            self._connection.settimeout(before)

    def _hurry(self) -> None:
        """Let the next call wait for as long as is left."""
        if self._deadline is not None:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise Vanished("too slow")
            self._connection.settimeout(left)

    def fill(self) -> None:
        if len(self.data) >= self.most:
            raise Malformed(f"more than {self.most} bytes at once")
        self._hurry()
        try:
            received = self._connection.recv(_RECEIVE)
        except OSError as error:
            raise Vanished(str(error)) from error
        if not received:
            raise Vanished("closed")
        self.data += received

    def send(self, data: bytes) -> None:
        """Send to the client. Vanished if it has gone, or does not take it."""
        self._hurry()
        try:
            self._connection.sendall(data)
        except OSError as error:
            raise Vanished(str(error)) from error

    def drain(self) -> None:
        """Say that this was all, and let what the client still sends pass: a connection that ends before is reset.

        With that would go what was said last.
        """
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)
            with suppress(Vanished), self.within(_DRAIN_S):
                while True:
                    self.data.clear()
                    self.fill()

    def peek(self) -> bytes | None:
        """The next byte, without reading it or waiting; None if none has come, b"" if the other side has closed.

        Also where bytes came before the end: nobody waits for an answer to them.
        """
        try:
            ready = select.poll()
            ready.register(self._connection, select.POLLIN | select.POLLRDHUP)
            found = sum(event for _, event in ready.poll(0))
            if found & ~select.POLLIN:
                return b""
            if self.pos < len(self.data):
                return bytes(self.data[self.pos : self.pos + 1])
            return self._connection.recv(1, socket.MSG_PEEK) if found else None
        except (OSError, ValueError):
            return b""


class FrameSource(Source):
    """What a client sends compressed: frames, unpacked one by one. A block ends where a frame does."""

    def __init__(self, packed: Source) -> None:
        super().__init__()
        self._packed = packed
        self.most = packed.most

    def fill(self) -> None:
        self._packed.trim()
        checksum = self._packed.take(16)
        head = self._packed.take(_FRAME_HEAD.size)
        method, size, raw_size = _FRAME_HEAD.unpack(head)
        if not _FRAME_HEAD.size <= size <= _MAX_FRAME or raw_size > min(_MAX_FRAME, self.most - len(self.data)):
            raise Malformed(f"a compressed frame of {size} bytes, {raw_size} unpacked")
        body = self._packed.take(size - _FRAME_HEAD.size)
        if checksum != _checksum(head + body):
            raise Malformed("a compressed frame with a wrong checksum")
        self.data += _unpacked(method, body, raw_size)


def _unpacked(method: int, body: bytes, raw_size: int) -> bytes:
    if method == _PLAIN:
        return body
    try:
        if method == _LZ4:
            return bytes(lz4.block.decompress(body, uncompressed_size=raw_size))
        if method == _ZSTD:
            return bytes(cramjam.zstd.decompress_into(body, plain := bytearray(raw_size)) and plain)
        raise Malformed(f"compression method {method:#x}: use LZ4 or ZSTD")
    except (lz4.block.LZ4BlockError, cramjam.DecompressionError) as error:
        raise Malformed("a compressed frame that cannot be unpacked") from error


def _checksum(frame: bytes) -> bytes:
    number = CityHash128(frame)
    return struct.pack("<QQ", number >> 64, number & (1 << 64) - 1)


def compressed(data: bytes) -> bytes:
    """`data` as LZ4 frames."""
    return b"".join(_frame(data[i : i + _FRAME]) for i in range(0, len(data), _FRAME))


def _frame(data: bytes) -> bytes:
    body = lz4.block.compress(data, store_size=False)
    frame = _FRAME_HEAD.pack(_LZ4, len(body) + _FRAME_HEAD.size, len(data)) + body
    return bytes(_checksum(frame) + frame)


def varint(value: int) -> bytes:
    """A number as the protocol writes it: 7 bits a byte, the lowest first."""
    written = bytearray()
    while value > 127:
        written.append(value & 127 | 128)
        value >>= 7
    written.append(value)
    return bytes(written)


def string(value: str | bytes) -> bytes:
    """A string as the protocol writes it: its length in bytes, then they."""
    encoded = value.encode() if isinstance(value, str) else value
    return varint(len(encoded)) + encoded
