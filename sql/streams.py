"""The read views as streams, for files: the columns asked for, the rows as they come, never held whole."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from sql.client import Client

#: Rows of a block: what is in memory at a time.
_BLOCK = 8192

# a connect by its message: asked for by the customer, or taken over by the agent; what was served is one edge
_HANDOFFS = """
SELECT step, dialog, inflow, agent_connect, agent_connect / nullIf({base}, 0) AS connect_rate,
    asked, asked_rooms, takeovers, agent_served, served_rooms, served_customers,
    agent_served / nullIf(agent_connect, 0) AS served_rate
FROM {nodes} AS nodes
INNER JOIN (
    SELECT step, dialog,
        sumIf(moves, move = 'agent_connect' AND message = 'agent') AS asked,
        sumIf(rooms, move = 'agent_connect' AND message = 'agent') AS asked_rooms,
        sumIf(moves, move = 'agent_connect' AND message = '(takeover)') AS takeovers,
        sumIf(rooms, move = 'agent_served') AS served_rooms, sumIf(customers, move = 'agent_served') AS served_customers
    FROM {edges} WHERE move IN ('agent_connect', 'agent_served') GROUP BY step, dialog
) AS handed USING (step, dialog)
ORDER BY step, inflow DESC, dialog
"""
HANDOFFS = (
    *("step", "dialog", "inflow", "agent_connect", "connect_rate", "asked", "asked_rooms", "takeovers"),
    *("agent_served", "served_rooms", "served_customers", "served_rate"),
)


class Journey:
    """A bot's views over sealed days, or over today where no days are given."""

    def __init__(self, client: Client, site: str, bot: str, days: tuple[date, date] | None) -> None:
        self._client = client
        self._prefix = "journey" if days else "today"
        self._given: dict[str, Any] = {"site": site, "bot": bot}
        self._filled = "site = {site:String}, bot = {bot:String}"
        if days:
            self._given |= {"from": days[0], "to": days[1]}
            self._filled += ", from = {from:Date}, to = {to:Date}"

    def rows(self, view: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """`columns` of `table`, `nodes` or `edges`, in the view's order."""
        return self._stream(f"SELECT {', '.join(columns)} FROM {self._view(view)}")

    def handoffs(self) -> Iterator[tuple[Any, ...]]:
        """`HANDOFFS` of each step and dialog with an agent_connect or an agent_served; a rate of nothing is None."""
        base = "inflow" if self._prefix == "journey" else "(inflow + carried)"
        return self._stream(_HANDOFFS.format(base=base, nodes=self._view("nodes"), edges=self._view("edges")))

    def totals(self) -> Mapping[str, int]:
        """The row of `journey_totals`; of sealed days only."""
        return self._client.table(f"SELECT * FROM {self._view('totals')}", self._given).dicts()[0]

    def _view(self, name: str) -> str:
        return f"{self._prefix}_{name}({self._filled})"

    def _stream(self, sql: str) -> Iterator[tuple[Any, ...]]:
        return self._client.stream(f"{sql} SETTINGS max_block_size = {_BLOCK}", self._given)
