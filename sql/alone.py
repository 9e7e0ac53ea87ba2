"""One at a time, whoever else begins the same; and whoever is killed holds up nobody.

ClickHouse runs one statement of a query id at a time, and stops a SELECT whose client is gone. So a SELECT that does
not end by itself is a lock that ends with its holder.
"""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from journey.errors import Busy, Retry, TurnpathError
from sql.client import Client, SameIdRuns

T = TypeVar("T")

#: How long another one's end is waited for, and how often it is looked; seconds.
_WAIT_S, _EVERY_S = 60, 0.02
#: A first row at once, by which its client knows that it runs; then one now and then, by which that it still does.
_HELD = """
SELECT 0 UNION ALL SELECT sleepEachRow(0.05) FROM system.numbers
SETTINGS max_block_size = 1, max_execution_time = 0
"""
_SILENT_S = 10


@contextmanager
def alone(url: str, what: str) -> Iterator[None]:
    """Nobody else is in here meanwhile, of those who name the same; `url` is of ClickHouse, without a database.

    Busy if somebody else does not end. Retry, at the end, if ClickHouse did not hold the others off till then.
    """
    busy = Busy(f"another one has been under way for {_WAIT_S} seconds ({what}): wait for its end, and try again")
    with Client(url, timeout_s=_SILENT_S) as client:
        listener = _Listener(in_turn(lambda: _begun(client, what), _WAIT_S, busy))
        listener.start()
        try:
            yield
        finally:
            listener.stop()
        if listener.lost is not None:
            raise Retry(
                f"ClickHouse ended the statement that holds others off ({listener.lost}), so that another one may have "
                "run beside this one: run it again"
            )


def in_turn(begin: Callable[[], T], wait_s: float, otherwise: TurnpathError) -> T:
    """What `begin` answers once no other statement of its query id runs; `otherwise` is raised after `wait_s`."""
    until = time.monotonic() + wait_s
    while True:
        try:
            return begin()
        except SameIdRuns:
            if time.monotonic() > until:
                raise otherwise from None
            time.sleep(_EVERY_S)


def _begun(client: Client, what: str) -> Generator[object, None, None]:
    rows = client.stream(_HELD, query_id=what)
    next(rows)
    return rows


class _Listener(threading.Thread):
    """Reads on, so that nothing is held up in a buffer; `lost`: why there was nothing more to read."""

    def __init__(self, rows: Generator[object, None, None]) -> None:
        super().__init__(name="alone", daemon=True)
        self._rows, self._done = rows, threading.Event()
        self.lost: TurnpathError | None = None

    def run(self) -> None:
        try:
            for _ in self._rows:
                if self._done.is_set():
                    return
            self.lost = Retry("without an error")
        except TurnpathError as error:
            self.lost = error
        finally:
            self._rows.close()

    def stop(self) -> None:
        """Let others in."""
        self._done.set()
        self.join()
