"""A TCP proxy that does to a connection what networks do: cut, refuse, delay, throttle, swallow, cut in the middle.

It runs in a thread of its own and listens on a free port; whoever is to suffer gets `address` instead of the target's.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Coroutine
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any, Self

from stack.ports import split

_PIECE = 65536


@dataclass(eq=False)
class _Connection:
    """Both ends of a connection.

    `inserted`: bytes that the client has sent since an INSERT that is to be cut `bound` bytes later; `has_head`: the
    server has said what the block must look like; `waits`: all is sent, only the answer is to come.
    """

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    inserted: int | None = None
    bound: int = 0
    has_head: bool = False
    waits: bool = False

    def reset(self) -> None:
        """Gone at once, for both sides: what was under way is lost."""
        for writer in (self.client, self.server):
            with contextlib.suppress(OSError, AttributeError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """In front of `target` (host:port). Its faults last until `heal`; `cuts` counts inserts cut in the middle."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.cuts = 0
        self._swallows = False
        self._delay_s = 0.0
        self._bytes_per_s = 0.0
        self._cut_after: int | None = None  # of the next insert; -1: when all is sent, before the answer comes
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._port = 0
        ready = Event()
        self._thread = Thread(target=self._run, args=(ready,), name="proxy", daemon=True)
        self._thread.start()
        ready.wait()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop_listening())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    # -- faults --------------------------------------------------------------------------------------------------------
    def cut(self) -> None:
        """Reset every connection that there is; new ones go through."""
        self._do(self._cut())

    def refuse(self) -> None:
        """Reset every connection, and refuse new ones."""
        self._do(self._stop_listening())

    def swallow(self) -> None:
        """Half-open: accept connections, take what is sent, and never answer."""
        self._swallows = True

    def delay(self, seconds: float) -> None:
        """Hold every piece for so long."""
        self._delay_s = seconds

    def throttle(self, bytes_per_s: float) -> None:
        """Let through so many bytes a second, each way of each connection."""
        self._bytes_per_s = bytes_per_s

    def cut_next_insert(self, after: int) -> None:
        """Reset the next connection that sends an INSERT, `after` bytes later; -1: all sent, the answer never comes.

        Where the insert has fewer bytes than that, it is the connection's next traffic that is cut.
        """
        self._cut_after = after

    def heal(self) -> None:
        """All well again; connections whose bytes were swallowed are reset, as a network does in the end."""
        swallowed, self._swallows = self._swallows, False
        self._delay_s = self._bytes_per_s = 0.0
        self._cut_after = None
        if swallowed:
            self.cut()
        self._do(self._listen())

    # -- in the thread -------------------------------------------------------------------------------------------------
    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _run(self, ready: Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        ready.set()
        self._loop.run_forever()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port, reuse_address=True)
            self._port = self._server.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _cut(self) -> None:
        for connection in list(self._connections):
            connection.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(*split(self.target))
        except OSError:  # nobody there: as if the target itself had refused
            writer.transport.abort()
            return
        connection = _Connection(writer, up_writer)
        self._connections.add(connection)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(connection, reader, up_writer, to_server=True))
                both.create_task(self._pump(connection, up_reader, writer, to_server=False))
        except* OSError:
            pass
        finally:
            self._connections.discard(connection)
            connection.reset()

    async def _pump(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_server: bool
    ) -> None:
        """One way of a connection; ends with OSError, which ends the other way, too."""
        while piece := await reader.read(_PIECE):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            if self._bytes_per_s:
                await asyncio.sleep(len(piece) / self._bytes_per_s)
            if self._swallows:
                continue
            allowed = self._allowed(connection, piece) if to_server else self._answer(connection, piece)
            writer.write(piece[:allowed])
            if allowed < len(piece):
                self.cuts += 1
                if to_server:
                    await writer.drain()
                connection.reset()
            await writer.drain()
        raise ConnectionResetError

    def _allowed(self, connection: _Connection, piece: bytes) -> int:
        """How many bytes of what the client sends go through before the cut; all, where none is due."""
        start = piece.find(b"INSERT INTO")
        if connection.inserted is None and self._cut_after is not None and start >= 0:
            connection.inserted, connection.bound = -start, self._cut_after
            self._cut_after = None
        if connection.inserted is None:
            return len(piece)
        before = connection.inserted
        connection.inserted += len(piece)
        if connection.bound < 0:
            connection.waits = connection.has_head
            return len(piece)
        return len(piece) if connection.inserted <= connection.bound else max(0, connection.bound - before)

    def _answer(self, connection: _Connection, piece: bytes) -> int:
        if connection.waits:
            return 0
        connection.has_head = connection.inserted is not None
        return len(piece)
