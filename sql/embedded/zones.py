"""The zones of DateTime columns: chDB's format Native says DateTime where the type is DateTime('Asia/Seoul')."""

from collections.abc import Callable

from sql.embedded.engine import Session
from sql.embedded.errors import Refused
from sql.embedded.statement import without_end

#: The one type that loses something, and only where it is not inside another.
ZONELESS = "DateTime"


def description(sql: str) -> str:
    """A query for the names and types of a SELECT's result, which is not run for it."""
    return f"DESCRIBE TABLE ({without_end(sql)}\n)"


class Zones:
    """The full types of a SELECT's columns, asked for when the first DateTime comes."""

    def __init__(self, session: Session, sql: str, params: dict[str, str]) -> None:
        self._session = session
        self._sql = description(sql)
        self._params = params
        self._kinds: list[str] | None = None

    def ask_now(self) -> None:
        """Ask on the session itself, before the query runs: it alone sees its temporary tables."""
        self._kinds = self._kinds_by(self._session.rows)

    def kind(self, column: int) -> str:
        """The type of a column by its place; without its zone where only the busy session could tell it."""
        if self._kinds is None:
            self._kinds = self._kinds_by(self._session.rows_aside)
        return self._kinds[column] if column < len(self._kinds) else ZONELESS

    def _kinds_by(self, rows: Callable[[str, dict[str, str]], list[list[str]]]) -> list[str]:
        try:
            return [row[1] for row in rows(self._sql, self._params)]
        except Refused:
            return []  # no SELECT, or one that fails, or one of a temporary table
