"""Counts what a test has laid into `edge_counts` and `timeouts` by edge, as a worker does with what it writes there."""

from sql.client import Client
from sql.sink import EDGE_COUNTS, Sink

_TIMED_OUT = "SELECT DISTINCT day, site_id, bot_id, step, dialog, move, message, next_step, next_dialog FROM timeouts"


def count_edges(client: Client) -> None:
    """Of all edges and days."""
    sink = Sink(client)
    sink.edge_totals(client.rows(f"SELECT {', '.join(EDGE_COUNTS)} FROM edge_counts"))
    if edges := client.rows(_TIMED_OUT):
        sink.timeouts([(day, (*edge,)) for day, *edge in edges])
