"""The balance: what comes in goes out (DESIGN.md, Rules). Every sealed table keeps it."""

from collections import Counter
from collections.abc import Iterable

from journey.room import Row

WAYS_OUT = ("next_step", "error", "agent_connect", "bot_end", "dropout")

Node = tuple[str, int, str]


def inflow(rows: Iterable[Row]) -> Counter[Node]:
    """How often each (bot, step, dialog) was entered: the rows whose next it is."""
    return Counter((row.bot_id, row.next_step, row.next_dialog) for row in rows if row.next_step)


def outflow(rows: Iterable[Row]) -> Counter[Node]:
    """How often each (bot, step, dialog) was left, by any way out."""
    return Counter((row.bot_id, row.step, row.dialog) for row in rows if row.move in WAYS_OUT)


def imbalance(rows: Iterable[Row]) -> dict[Node, int]:
    """inflow less outflow where they differ: empty for rooms that have ended."""
    rows = list(rows)
    difference = inflow(rows)
    difference.subtract(outflow(rows))
    return {node: count for node, count in difference.items() if count}
