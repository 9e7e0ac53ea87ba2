"""ClickHouse's HTTP: one client's connection, a request after the other. All in one thread."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from sql.embedded import ask as asked
from sql.embedded.access import DEFAULT
from sql.embedded.ask import Ask
from sql.embedded.endpoint import Endpoint
from sql.embedded.engine import Session
from sql.embedded.errors import QUERY_WAS_CANCELLED, WRONG_LOGIN, Malformed, Refused, Vanished
from sql.embedded.exchange import Exchange
from sql.embedded.named import NamedSessions
from sql.embedded.request import READS, Request

_IDLE_S, _PACKET_S = 60.0, 300.0
_OK = {"/ping", "/replicas_status", "/"}


class HttpConversation:
    """A client's connection from its first request to its last."""

    def __init__(
        self, connection: socket.socket, host: str, endpoint: Endpoint, sessions: NamedSessions, mark: str
    ) -> None:
        self._connection = connection
        self._host = host
        self._endpoint = endpoint
        self._sessions = sessions
        self._exchange = Exchange(connection, _IDLE_S, _PACKET_S)
        self._own_mark = mark
        self._stopped = False
        self.mark = mark

    def hold(self) -> None:
        """Answer until the client leaves or breaks the protocol."""
        with self._connection, suppress(Vanished):
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while (request := self._exchange.request()) and self._answer(asked.read(request)):
                    pass
            except Malformed as error:
                self._exchange.refuse(400, f"{error}\n")
            except Refused as error:
                self._exchange.refuse(400, f"{error}\n")

    def end(self) -> None:
        """Cut the connection, from another thread; a running query is stopped by the watch, which sees it."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def look(self) -> bool:
        """Has the client gone while its query runs? Called by the watch, in its thread."""
        self._stopped = self._stopped or self._exchange.gone()
        return self._stopped

    def _answer(self, ask: Ask) -> bool:
        """Answer a request; whether the connection may go on."""
        if ask.path != "/" or (ask.method in READS and not ask.query):
            return self._say_so(ask.path)
        request = Request(ask, self._exchange, self._endpoint.engine.timezone)
        self._stopped = False
        try:
            user = self._user(ask)
            with self._endpoint.running.only_one(user, ask.query_id), self._session(user, ask) as session:
                self.mark = session.mark
                with self._endpoint.watch.over(self):
                    request.answer(session)
                if self._stopped:
                    raise Refused(QUERY_WAS_CANCELLED, "Query was cancelled. (QUERY_WAS_CANCELLED)")
            return request.response.end()
        except Refused as error:
            return request.response.fail(error, self._endpoint.engine.version_text)

    def _say_so(self, path: str) -> bool:
        found = path in _OK
        text = "Ok.\n" if found else f"There is no {path}: queries go to /, and /ping tells whether this lives.\n"
        self._exchange.start(200 if found else 404, [("Content-Type", "text/plain; charset=UTF-8")])
        self._exchange.write(text.encode())
        return self._exchange.end()

    def _user(self, ask: Ask) -> str:
        """Who asks. Refused where the login is wrong."""
        user = self._endpoint.doorkeeper.enter(ask.user, ask.password, self._host)
        if user == DEFAULT and ask.from_a_page:
            raise Refused(
                WRONG_LOGIN,
                "default: Authentication failed: without a password no page in a browser is let in: use `reader`. "
                "(AUTHENTICATION_FAILED)",
            )
        return user

    @contextmanager
    def _session(self, user: str, ask: Ask) -> Iterator[Session]:
        """The session for a user's request: that of the name it gives, or one of its own."""
        name = ask.given.get("session_id", "")
        if not name:
            with closing(self._endpoint.session(user, self._own_mark)) as session:
                yield session
            return
        seconds = ask.number("session_timeout", 60)
        with self._sessions.borrowed(user, name, seconds, ask.flag("session_check")) as session:
            yield session
            if ask.flag("close_session"):
                self._sessions.end(user, name)
