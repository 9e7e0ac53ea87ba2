"""Who may log in: `default` without a password from this machine, `reader` with its password."""

import hmac
import ipaddress
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sql.embedded.errors import WRONG_LOGIN, Refused

DEFAULT, READER = "default", "reader"
#: Seconds that a wrong password costs, the next one of the same address too; how many may stand in line for that.
_WRONG_S, _LINE = 0.5, 8
#: For so long an address that gave a wrong password is remembered, and so many of them.
_REMEMBERED_S, _ADDRESSES = 60.0, 10_000


class Doorkeeper:
    """Knows the passwords, and lets nobody guess them fast: an address that guessed wrong is heard one by one."""

    def __init__(
        self,
        reader_password: str | None,
        sleep: Callable[[float], object] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._password = reader_password
        self._sleep, self._now = sleep, now
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}

    def enter(self, user: str, password: str, host: str) -> str:
        """The user, who is let in: DEFAULT or READER. Refused (516), and late, for whoever is not."""
        if (user or DEFAULT, password) == (DEFAULT, "") and is_here(host):
            return DEFAULT
        with self._in_line(host) as line:
            if line and user == READER and self._is_right(password):
                return READER
            if line:
                line.wrong_at = self._now()
                self._sleep(_WRONG_S)
        raise Refused(
            WRONG_LOGIN,
            f"{user}: Authentication failed: password is incorrect, or there is no user with such name: use "
            "`default` without a password, from this machine, or `reader` with TURNPATH_READER_PASSWORD. "
            "(AUTHENTICATION_FAILED)",
        )

    def _is_right(self, password: str) -> bool:
        return self._password is not None and hmac.compare_digest(password.encode(), self._password.encode())

    @contextmanager
    def _in_line(self, host: str) -> Iterator["_Line | None"]:
        """Wait for those before in the address's line; None where it is too long to be heard at all."""
        line = self._line(host)
        if not line.places.acquire(blocking=False):
            yield None
            return
        try:
            if not line.wrong_at:  # whoever never guessed wrong does not wait
                yield line
                return
            with line.turn:
                yield line
        finally:
            line.places.release()

    def _line(self, host: str) -> "_Line":
        with self._lock:
            if len(self._lines) >= _ADDRESSES:
                old = self._now() - _REMEMBERED_S
                self._lines = {each: line for each, line in self._lines.items() if line.wrong_at > old}
            line = self._lines.setdefault(host, _Line())
            if line.wrong_at < self._now() - _REMEMBERED_S:
                line.wrong_at = 0.0
            return line


class _Line:
    """Those of one address who are being heard."""

    def __init__(self) -> None:
        self.wrong_at = 0.0
        self.turn = threading.Lock()
        self.places = threading.BoundedSemaphore(_LINE)


def is_here(host: str) -> bool:
    """Is this an address of this machine's own loopback?"""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
