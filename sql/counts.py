"""The incremental counts against the rows that they count: `edge_totals`, and `moves FINAL` of a day."""

import random
from collections.abc import Callable
from datetime import date

from sql.client import Client
from sql.edges import Edge

#: So many looks must agree: between two inserts of a worker the tables differ, each time otherwise.
LOOKS = 10

_EDGE = "site_id, bot_id, step, dialog, move, message, next_step, next_dialog"
_DIFFERENCES = f"""
SELECT {_EDGE}, sum(sign) AS surplus
FROM (
    SELECT {_EDGE}, moves AS sign FROM edge_totals FINAL WHERE day = {{day:Date}}
    UNION ALL
    SELECT {_EDGE}, toInt64(-1) FROM moves FINAL WHERE day = {{day:Date}}
)
GROUP BY {_EDGE}
HAVING surplus != 0
"""


def differences(client: Client, day: date, wait: Callable[[float], object]) -> dict[Edge, int]:
    """Edges of a day that the counts have too often (positive) or too rarely, by how much; none where all is well.

    Workers write on meanwhile, `moves` a moment before `edge_totals`: only what differs by the same amount at every
    look counts. `wait`: sleep so many seconds. Raises what sql.client.Client raises.
    """
    lasting = _look(client, day)
    for _ in range(LOOKS - 1):
        if not lasting:
            break
        wait(random.uniform(0.1, 1.5))
        lasting = dict(lasting.items() & _look(client, day).items())
    return lasting


def _look(client: Client, day: date) -> dict[Edge, int]:
    return {row[:8]: row[8] for row in client.rows(_DIFFERENCES, {"day": day})}
