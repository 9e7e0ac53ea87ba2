"""The ids of the queries that run: as in ClickHouse, one query of an id at a time. seal.replace builds on it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sql.embedded.errors import SAME_ID_RUNS, Refused


class Running:
    """The ids that users gave their queries, for as long as these run. A user's ids stand in nobody else's way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: set[tuple[str, str]] = set()

    @contextmanager
    def only_one(self, user: str, query_id: str) -> Iterator[None]:
        """Hold the id while the query in the body runs. Refused (216) if another one has it; '' is no id."""
        if not query_id:
            yield
            return
        mine = (user, query_id)
        with self._lock:
            if mine in self._ids:
                text = f"Query with id = {query_id} is already running. (QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING)"
                raise Refused(SAME_ID_RUNS, text)
            self._ids.add(mine)
        try:
            yield
        finally:
            with self._lock:
                self._ids.discard(mine)
