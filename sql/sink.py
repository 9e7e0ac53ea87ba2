"""Columnar inserts of what a batch writes: one synchronous insert a table, in the order that the caller chooses."""

from collections.abc import Collection, Sequence
from typing import Any

from journey.events import TOPIC_IMPORT
from sql.client import Client
from sql.edges import EDGE, OF_EDGES, TimeoutEdge, edge_parameters
from sql.slices import slices

Rows = Sequence[tuple[Any, ...]]

EVENT = (
    "type", "seq", "occurred_at", "bot_id", "customer_id", "channel", "category", "scenario_version",
    "dialog", "input_kind", "input", "error", "closed_by",
)  # fmt: skip
TURNS = ("site_id", "room_id", "topic", "partition", "offset", "received_at", *EVENT)
MOVES = (
    "site_id", "room_id", "customer_id", "version", "is_deleted",
    "bot_id", "seq", "part", "occurred_at", "entered_at", "received_at", "step", "dialog", "move", "message",
    "next_step", "next_dialog", "channel", "category", "scenario_version",
)  # fmt: skip
ROOMS = (
    "site_id", "room_id", "topic", "partition", "version", "is_deleted", "bot_id", "customer_id",
    "opened_at", "last_at", "entered_at", "ended_at", "closed_by", "phase", "phase_since", "ended_from",
    "step", "dialog", "turns", "errors", "gaps", "last_received_at", "first_at",
)  # fmt: skip
EDGE_COUNTS = (
    "topic", "partition", "day", "site_id", "bot_id", "step", "dialog", "move", "message", "next_step", "next_dialog",
    "moves", "upto",
)  # fmt: skip
_DAY = EDGE_COUNTS.index("day")
BOTS = (
    "site_id", "bot_id", "name", "in_use", "channel", "category", "occurred_at", "received_at", "partition", "offset",
)  # fmt: skip
DEAD_LETTERS = ("topic", "partition", "offset", "key", "value", "reason", "detail", "received_at")
PROGRESS = ("topic", "partition", "offset", "time", "log_end")

_TOTAL = f"INSERT INTO edge_totals (site_id, day, edge, {', '.join(EDGE)}, moves, version) "
#: One thread: there is little to read, and others wait for the processor.
_GROUPED = f"""GROUP BY site_id, day, edge, {", ".join(EDGE)}
SETTINGS max_threads = 1, max_insert_threads = 1, optimize_move_to_prewhere_if_final = 1"""

#: The totals of the edges of which there are rows up to these offsets of their partitions or above, counted anew from
#: the newest row of each partition. Above: where another worker was ahead, its row may have taken the place of ours.
#: Of each partition `edge_counts` later has the same offset or a greater one (+ 1: the first record has offset 0): so
#: the greater sum of them is the later total, and the same sum the same total.
_TOTALS = f"""
{_TOTAL}
SELECT site_id, day, edge, {", ".join(EDGE)}, sum(moves), sum(upto + 1)
FROM edge_counts FINAL
WHERE day IN {{days:Array(Date)}} AND edge IN (
    SELECT edge FROM edge_counts
    WHERE day IN {{days:Array(Date)}} AND upto >= transform(
        toUInt64(2 * partition + (topic = '{TOPIC_IMPORT}')),
        {{places:Array(UInt64)}}, {{least:Array(UInt64)}}, 18446744073709551615))
{_GROUPED}
"""
#: The timeouts of these edges, counted anew from those that stand; the same of each of their keys and its version.
_TIMEOUTS = f"""
{_TOTAL}
SELECT site_id, day, edge, {", ".join(EDGE)}, countIf(is_deleted = 0), sum(version)
FROM timeouts FINAL
WHERE day IN {{days:Array(Date)}} AND {OF_EDGES}
{_GROUPED}
"""


class Sink:
    """Inserts rows, given as tuples in the order of the tuple of names above; empty lists insert nothing."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def turns(self, rows: Rows) -> None:
        self._insert("turns", TURNS, rows)

    def dead_letters(self, rows: Rows) -> None:
        self._insert("dead_letters", DEAD_LETTERS, rows)

    def moves(self, rows: Rows) -> None:
        self._insert("moves", MOVES, rows)

    def timeouts(self, edges: Collection[TimeoutEdge]) -> None:
        """Count the timeouts of these edges anew; `moves` has brought them to `timeouts` before."""
        for some in slices(edges):
            days = {day for day, _ in some}
            self._client.write(_TIMEOUTS, {"days": list(days), **edge_parameters([edge for _, edge in some])})

    def rooms(self, rows: Rows) -> None:
        self._insert("rooms", ROOMS, rows)

    def edge_counts(self, rows: Rows) -> None:
        self._insert("edge_counts", EDGE_COUNTS, rows)

    def edge_totals(self, rows: Rows) -> None:
        """Count the edges of these rows of `edge_counts` anew, over all partitions; they stand there before."""
        if rows:
            least: dict[int, int] = {}
            for topic, partition, *_, upto in rows:
                place = 2 * partition + (topic == TOPIC_IMPORT)
                least[place] = min(upto, least.get(place, upto))
            days = list({row[_DAY] for row in rows})
            self._client.write(_TOTALS, {"days": days, "places": list(least), "least": list(least.values())})

    def bots(self, rows: Rows) -> None:
        self._insert("bots", BOTS, rows)

    def progress(self, rows: Rows) -> None:
        self._insert("progress", PROGRESS, rows)

    def _insert(self, table: str, names: Sequence[str], rows: Rows) -> None:
        if rows:
            self._client.insert(table, dict(zip(names, zip(*rows, strict=True), strict=True)))
