"""Sessions that clients of HTTP name (`session_id`): their settings and temporary tables outlive a request."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sql.embedded.endpoint import Endpoint
from sql.embedded.engine import Session
from sql.embedded.errors import SESSION_IS_LOCKED, SESSION_NOT_FOUND, Refused

LONGEST_S = 3600
#: Of each user: a reader's sessions close none of `default`'s.
_MOST = 500


@dataclass(slots=True, eq=False)
class _Named:
    session: Session
    until: float
    lock: threading.Lock = field(default_factory=threading.Lock)


class NamedSessions:
    """The sessions by user and name, each for one request at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], _Named] = {}
        self._made = 0

    @contextmanager
    def borrowed(self, user: str, name: str, seconds: int, must_exist: bool) -> Iterator[Session]:
        """The session of that name, new if there is none, kept for so long after the body.

        Refused where another request has it (373), or where it has to exist and does not (372). What else than a
        refusal ends the body ends the session, too: nobody knows how it was left.
        """
        named = self._take(user, name, must_exist)
        try:
            yield named.session
        except Refused:
            raise
        except BaseException:
            self.end(user, name)
            raise
        finally:
            named.until = time.monotonic() + min(seconds, LONGEST_S)
            named.lock.release()

    def _take(self, user: str, name: str, must_exist: bool) -> _Named:
        with self._lock:
            self._forget_old(user, name)
            found = self._held.get((user, name))
            if found is None and must_exist:
                raise Refused(SESSION_NOT_FOUND, f"Session {name} not found. (SESSION_NOT_FOUND)")
            if found is None:
                self._made += 1
                session = self._endpoint.session(user, f"session-{self._made}")
                found = self._held[user, name] = _Named(session, 0.0)
            if not found.lock.acquire(blocking=False):
                raise Refused(SESSION_IS_LOCKED, f"Session {name} is locked by another request. (SESSION_IS_LOCKED)")
            return found

    def _forget_old(self, user: str, name: str) -> None:
        """Close idle sessions: those whose time is over, and the user's oldest where it has too many with this one."""
        now = time.monotonic()
        spare = sum(owner == user for owner, _ in self._held) + ((user, name) not in self._held) - _MOST
        idle = sorted(
            (each for each in self._held.items() if not each[1].lock.locked()), key=lambda each: each[1].until
        )
        for key, named in idle:
            own = key[0] == user
            if named.until < now or (own and spare > 0):
                spare -= own
                named.session.close()
                del self._held[key]

    def end(self, user: str, name: str) -> None:
        """Forget the session now (`close_session`); whoever asks for that has it."""
        with self._lock:
            if named := self._held.pop((user, name), None):
                named.session.close()

    def close(self) -> None:
        """Close all; nobody may have one any more."""
        with self._lock:
            for named in self._held.values():
                named.session.close()
            self._held.clear()
