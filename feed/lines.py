"""The lines of a file of events, in blocks as they come: plain or gzipped, from a file or a pipe, however large."""

import asyncio
import gzip
import io
import os
import threading
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from broker.topics import MAX_RECORD_BYTES
from journey.errors import BadUsage

_BLOCK_BYTES = 64 * 1024
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"

#: (number of the line in the file, from 1; the line without its end)
Line = tuple[int, bytes]


def blocks(path: str) -> Iterator[list[Line]]:
    """The lines of the file that are not blank; `-`: standard input.

    A block is what one read brought, and may be empty. Of a line that no topic would take only so much is kept that
    it is still seen to be too long. Raises BadUsage for a file that cannot be read, or is no whole gzip file."""
    with _opened(path) as (file, name):
        number, rest = 0, b""
        try:
            while block := file.read1(_BLOCK_BYTES):
                rest = _spared(rest) + block
                *whole, rest = rest.split(b"\n")
                yield list(_numbered(whole, number))
                number += len(whole)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadUsage(f"{name} is no whole gzip file ({error}): get it again") from None
        yield list(_numbered([rest], number))


def _numbered(lines: list[bytes], before: int) -> Iterator[Line]:
    for number, line in enumerate(lines, before + 1):
        if number == 1:
            line = line.removeprefix(_BOM)
        if not line.isspace() and line:
            yield number, line.rstrip(b"\r")


def _spared(rest: bytes) -> bytes:
    """A line without end is not gathered for ever: one byte over the limit tells that it is too long."""
    return rest[: MAX_RECORD_BYTES + 1]


@contextmanager
def _opened(path: str) -> Iterator[tuple[io.BufferedIOBase, str]]:
    """The file, unzipped, and how to call it. `read1` of it waits only where nothing is there yet.

    Standard input is opened anew: nobody waits for its lock when the program ends."""
    name = "standard input" if path == "-" else path
    try:
        number = os.dup(0) if path == "-" else os.open(path, os.O_RDONLY)
        file = io.BufferedReader(io.FileIO(number))
    except OSError as error:
        raise BadUsage(f"{name} cannot be read: {error.strerror}") from None
    with file:
        zipped = file.peek(len(_GZIP)).startswith(_GZIP)
        yield (gzip.GzipFile(fileobj=file) if zipped else file), name


async def ablocks(path: str) -> AsyncIterator[list[Line]]:
    """`blocks` for an event loop: a thread reads ahead by a few, and a pipe that pauses holds up nothing.

    The thread is a daemon, since a read from a pipe cannot be broken off."""
    loop, queue = asyncio.get_running_loop(), asyncio.Queue[list[Line] | BaseException | None]()
    room, stopped = threading.Semaphore(8), threading.Event()

    def put(item: list[Line] | BaseException | None) -> None:
        if not stopped.is_set():
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def read() -> None:
        try:
            for block in blocks(path):
                room.acquire()
                if stopped.is_set():
                    return
                put(block)
            put(None)
        except BaseException as error:
            put(error)

    threading.Thread(target=read, name="lines", daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
            room.release()
    finally:
        stopped.set()
        room.release()
