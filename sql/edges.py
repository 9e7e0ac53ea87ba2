"""An edge as ClickHouse has it: its columns within a site, the hash that tables are sorted by, many as parameters."""

from collections.abc import Collection
from datetime import date
from typing import Any

#: site_id, bot_id, step, dialog, move, message, next_step, next_dialog
Edge = tuple[str, str, int, str, str, str, int, str]

#: A local day, and an edge that has a timeout on it, or had one.
TimeoutEdge = tuple[date, Edge]

#: An edge's columns within its site, and their types as parameters.
EDGE = {
    "bot_id": "String", "step": "UInt16", "dialog": "String", "move": "String", "message": "String",
    "next_step": "UInt16", "next_dialog": "String",
}  # fmt: skip

#: Rows that may be of the edges given: those of any of the sites that have the hash of any of the edges.
OF_EDGES = (
    "site_id IN {sites:Array(String)} AND edge IN (SELECT arrayJoin(arrayMap("
    "(bot, step, dialog, move, message, next_step, next_dialog) -> "
    "reinterpretAsUInt128(sipHash128(bot, step, dialog, move, message, next_step, next_dialog)), "
    + ", ".join(f"{{{name}:Array({kind})}}" for name, kind in EDGE.items())
    + ")))"
)


def edge_parameters(edges: Collection[Edge]) -> dict[str, list[Any]]:
    """The parameters of OF_EDGES; of one edge at least."""
    sites, *columns = zip(*edges, strict=True)
    return {"sites": list(set(sites)), **dict(zip(EDGE, map(list, columns), strict=True))}
