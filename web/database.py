"""ClickHouse for an event loop: a few threads, each with a client of its own."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from journey.errors import Busy
from sql.client import Client
from web.metrics import QUESTIONS

_Answer = TypeVar("_Answer")

_THREADS = 4
_WAITING = 200


class Database:
    """Asks ClickHouse without holding up the loop; at most `threads` questions at once, and 200 more in line."""

    def __init__(self, make: Callable[[], Client], threads: int = _THREADS) -> None:
        self._make = make
        self._most = threads + _WAITING
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="clickhouse")
        self._own = threading.local()
        self._clients: list[Client] = []
        self._asked = 0

    async def ask(self, question: Callable[[Client], _Answer]) -> _Answer:
        """What `question` returns of a client. Raises what it raises; Busy when too many are in line."""
        if self._asked >= self._most:
            raise Busy("too many questions at once: ask again in a few seconds")
        self._asked += 1
        try:
            with QUESTIONS.track_inprogress():
                return await asyncio.get_running_loop().run_in_executor(self._executor, self._put, question)
        finally:
            self._asked -= 1

    def close(self) -> None:
        """End the threads; a question under way is waited for."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        for client in self._clients:
            client.close()

    def _put(self, question: Callable[[Client], _Answer]) -> _Answer:
        if not hasattr(self._own, "client"):
            self._own.client = self._make()
            self._clients.append(self._own.client)
        return question(self._own.client)
