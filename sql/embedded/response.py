"""The answer to a request on HTTP: its head waits for its first megabyte, for until then it may become a refusal."""

import secrets
import tempfile
from collections.abc import Callable
from typing import IO

from sql.embedded import errors
from sql.embedded.coding import Packer
from sql.embedded.errors import Refused, Vanished
from sql.embedded.exchange import Exchange, Headers

_IN_MEMORY = 1 << 24
_PIECE = 1 << 20
#: So much is held before the head is sent, as a server does: an error until then has a status of its own.
_HELD = 1 << 20
_STATUS = {
    401: {errors.REQUIRED_PASSWORD},
    403: {errors.WRONG_LOGIN, errors.ACCESS_DENIED},
    404: {errors.UNKNOWN_TABLE, errors.UNKNOWN_DATABASE, errors.UNKNOWN_SETTING, errors.UNKNOWN_IDENTIFIER}
    | {errors.UNKNOWN_FUNCTION, errors.UNKNOWN_TYPE, errors.SESSION_NOT_FOUND},
    400: {errors.SYNTAX_ERROR, errors.BAD_ARGUMENTS, errors.UNKNOWN_PARAMETER, errors.UNKNOWN_FORMAT}
    | {errors.CANNOT_PARSE_TEXT, errors.CANNOT_PARSE_INPUT, errors.TYPE_MISMATCH, errors.UNEXPECTED_PACKET},
    408: {errors.TIMEOUT},
    501: {errors.NOT_IMPLEMENTED},
}


def status_of(error: Refused) -> int:
    """The HTTP status for a code of ClickHouse's."""
    return next((status for status, codes in _STATUS.items() if error.code in codes), 500)


class Response:
    """One answer. `always` are its headers, refused or not, `head` gives those of a result when it begins.

    `whole`: nothing is sent before its end.
    """

    def __init__(
        self, exchange: Exchange, packer: Packer, always: Headers, head: Callable[[], Headers], whole: bool
    ) -> None:
        self._exchange = exchange
        self._always = always
        self._packer = packer
        self._head = head
        self._held: IO[bytes] | None = tempfile.SpooledTemporaryFile(_IN_MEMORY) if whole else None  # noqa: SIM115
        self._tag = secrets.token_hex(8)
        self._begun = False
        self._first = b""

    def write(self, data: bytes) -> None:
        """Take a piece of the body. Vanished if the client has gone."""
        if self._held:
            self._held.write(data)
        else:
            self._first += data
            if self._begun or len(self._first) >= _HELD:
                self._begin()

    def _begin(self) -> None:
        """Send the head, if that has not been done, and what is held."""
        if not self._begun:
            self._begun = True
            self._exchange.start(200, [*self._always, *self._head(), ("X-ClickHouse-Exception-Tag", self._tag)])
        first, self._first = self._first, b""
        if first:
            self._exchange.write(self._packer.pack(first))

    def end(self) -> bool:
        """Send what is left; whether the connection may go on."""
        held, self._held = self._held, None
        if held:
            held.seek(0)
            while piece := held.read(_PIECE):
                self.write(piece)
            held.close()
        self._begin()
        self._exchange.write(self._packer.end())
        return self._exchange.end()

    def fail(self, error: Refused, version: str) -> bool:
        """Say what went wrong: by the status, or, once the head is out, at the body's end, which is then cut short."""
        if self._held:
            self._held.close()
        text = f"{error} (version {version})\n"
        if self._begun:
            said = f"{text.rstrip()}\r\n"
            told = f"\r\n__exception__\r\n{self._tag}\r\n{said}{len(said.encode())} {self._tag}\r\n__exception__\r\n"
            self._exchange.write(self._packer.pack(told.encode()) + self._packer.end())
            raise Vanished("cut short, so that nobody takes it for the whole")
        named = [("X-ClickHouse-Exception-Code", str(error.code)), ("Content-Type", "text/plain; charset=UTF-8")]
        self._exchange.start(status_of(error), [*self._always, *named])
        self._exchange.write(text.encode())
        return self._exchange.end()
