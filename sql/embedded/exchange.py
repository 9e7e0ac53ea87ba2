"""One HTTP connection: requests in, responses out. The protocol itself is h11's."""

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from http import HTTPStatus

import h11

from sql.embedded.errors import Malformed, Vanished
from sql.embedded.wire import SocketSource

Headers = list[tuple[str, str]]

#: The longest head of a request: clients put queries into the address, as long as a server takes them.
_MAX_HEAD = 1 << 20
#: Of a body that nobody wanted so much is read, so that the connection can go on.
_MAX_DRAINED = 1 << 20


class Exchange:
    """A connection with one client, a request at a time."""

    def __init__(self, connection: socket.socket, idle_s: float, packet_s: float) -> None:
        self._connection = connection
        self._source = SocketSource(connection)
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        self._idle_s, self._packet_s = idle_s, packet_s
        self.method = ""

    def request(self) -> h11.Request | None:
        """The next request; None once the client has closed. Malformed if it is none, Vanished in the middle."""
        self._connection.settimeout(self._idle_s)
        event = self._next()
        if not isinstance(event, h11.Request):
            return None
        self._connection.settimeout(self._packet_s)
        self.method = event.method.decode()
        return event

    def body(self) -> Iterator[bytes]:
        """The request's body as it comes."""
        if self._http.they_are_waiting_for_100_continue:
            self._send(h11.InformationalResponse(status_code=100, headers=[]))
        while isinstance(event := self._next(), h11.Data):
            yield bytes(event.data)

    def start(self, status: int, headers: Headers) -> None:
        """Send the head of a response."""
        encoded = [(name.encode(), value.encode("utf-8", "replace")) for name, value in headers]
        self._send(h11.Response(status_code=status, headers=encoded, reason=HTTPStatus(status).phrase.encode()))

    def write(self, data: bytes) -> None:
        """Send a piece of the response's body."""
        if data and self.method != "HEAD":
            self._send(h11.Data(data=data))

    def end(self) -> bool:
        """End the response; whether another request may come on this connection."""
        self._send(h11.EndOfMessage())
        drained = 0
        while self._http.their_state is h11.SEND_BODY and drained <= _MAX_DRAINED:
            event = self._next()
            drained += len(event.data) if isinstance(event, h11.Data) else 0
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            self._source.drain()
            return False
        self._http.start_next_cycle()
        return True

    def refuse(self, status: int, text: str) -> None:
        """Answer what was no request, as far as that can be answered."""
        with suppress(h11.LocalProtocolError, Vanished):
            self.start(status, [("Content-Type", "text/plain; charset=UTF-8"), ("Connection", "close")])
            self.write(text.encode())
            self._send(h11.EndOfMessage())
            self._source.drain()

    def within(self, seconds: float | None) -> AbstractContextManager[None]:
        """What the body sends must pass in so many seconds, or Vanished is raised; None: for ever."""
        return self._source.within(seconds)

    def gone(self) -> bool:
        """Has the client closed its side?"""
        return self._source.peek() == b""

    def _next(self) -> object:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(self._received())
        except h11.RemoteProtocolError as error:
            raise Malformed(str(error)) from error
        return event

    def _received(self) -> bytes:
        try:
            return self._connection.recv(1 << 18)
        except OSError as error:
            raise Vanished(str(error)) from error

    def _send(self, event: h11.Event) -> None:
        if data := self._http.send(event):
            self._source.send(data)
