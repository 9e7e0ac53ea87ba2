"""The look-out: while a query runs, its client may cancel it or go; then it is stopped."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Protocol

from sql.embedded.engine import Engine, Session
from sql.embedded.errors import Refused

_EVERY_S = 0.1


class Client(Protocol):
    """Whose query runs."""

    mark: str

    def look(self) -> bool:
        """Is the query not wanted any more?"""


class Watch:
    """One thread that looks after the clients whose queries run, ten times a second."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._running: set[Client] = set()
        self._work = threading.Event()
        self._done = False
        self._thread = threading.Thread(target=self._look_out, name="watch", daemon=True)
        self._thread.start()

    @contextmanager
    def over(self, client: Client) -> Iterator[None]:
        """Look after the client while the query in the body runs."""
        with self._lock:
            self._running.add(client)
        self._work.set()
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(client)

    def close(self) -> None:
        self._done = True
        self._work.set()
        self._thread.join()

    def _look_out(self) -> None:
        pause = threading.Event()
        with closing(Session(self._engine, "watch")) as session:
            while not self._done:
                self._work.wait()
                pause.wait(_EVERY_S)
                for mark in self._unwanted():
                    # again at each look until it ends: it may not have begun yet
                    _kill(session, mark)

    def _unwanted(self) -> list[str]:
        with self._lock:
            if not self._running:
                self._work.clear()
            return [client.mark for client in self._running if client.look()]


def _kill(session: Session, mark: str) -> None:
    try:
        session.kill(mark)
    except Refused:
        return  # it has just ended
