"""Counts the timeouts that a test has laid into `moves`, as a worker does with those that it writes."""

from sql.client import Client
from sql.sink import Sink

_EDGES = "SELECT DISTINCT day, site_id, bot_id, step, dialog, move, message, next_step, next_dialog FROM timeouts"


def count_timeouts(client: Client) -> None:
    """Of all edges and days."""
    if edges := client.rows(_EDGES):
        Sink(client).timeouts([(day, (*edge,)) for day, *edge in edges])
