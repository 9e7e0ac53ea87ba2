"""One at a time, whoever else begins the same; and whoever is killed holds up nobody.

ClickHouse runs one statement of a query id at a time, and stops a SELECT whose client is gone. So a SELECT that does
not end by itself is a lock that ends with its holder.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager

from journey.errors import Retry
from sql.client import Client, SameIdRuns

#: How long another one's end is waited for, and how often it is looked; seconds.
_WAIT_S, _EVERY_S = 60, 0.05
#: A first row at once, by which its client knows that it runs; then a few bytes now and then, which nobody reads.
_HELD = """
SELECT 0 UNION ALL SELECT sleepEachRow(0.2) FROM system.numbers
SETTINGS max_block_size = 1, max_execution_time = 0
"""


@contextmanager
def alone(url: str, what: str) -> Iterator[None]:
    """Nobody else is in here meanwhile, of those who name the same; `url` is of ClickHouse, without a database.

    Retry if somebody else does not end.
    """
    with Client(url) as client:
        held = _hold(client, what)
        try:
            yield
        finally:
            held.close()


def _hold(client: Client, what: str) -> Generator[tuple[object, ...], None, None]:
    until = time.monotonic() + _WAIT_S
    while True:
        held = client.stream(_HELD, query_id=what)
        try:
            next(held)
            return held
        except SameIdRuns:
            if time.monotonic() > until:
                raise Retry(
                    f"another one has been under way for {_WAIT_S} seconds (the statement {what} in ClickHouse's "
                    "system.processes is its sign): wait for its end, and try again"
                ) from None
            time.sleep(_EVERY_S)
