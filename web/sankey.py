"""The links of a Sankey from a table: the same shape as view `sankey_links`, for days that are not sealed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any


def links(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """`source`, `target` and `value` (moves) of each link, by source and the greatest value first.

    `rows` are those of `today_table` or `journey_table`. A node is `step|dialog`, and steps only grow: no cycle.
    error, dropout, agent_connect and bot_end end in nodes of their own; agent_connect goes on to agent_served.
    """
    at = {name: place for place, name in enumerate(columns)}
    values: Counter[tuple[str, str]] = Counter()
    for row in rows:
        move = row[at["move"]]
        if move == "open":
            continue
        here = f"{row[at['step']]}|{row[at['dialog']]}"
        there = f"{row[at['next_step']]}|{row[at['next_dialog']]}"
        link = ("agent_connect", move) if move == "agent_served" else (here, there if move == "next_step" else move)
        values[link] += row[at["moves"]]
    made = [{"source": source, "target": target, "value": value} for (source, target), value in values.items()]
    return sorted(made, key=lambda link: (link["source"], -link["value"], link["target"]))
