"""Tables of a session that hold what a client sends: rows to insert, and external tables.

chDB's own insert of blocks loses errors (a broken constraint, too many partitions): it says that all went well
and nothing is there. Hence rows go to a temporary table first, 0.2 µs each, and by INSERT … SELECT from there,
which says what fails.
"""

from clickhouse_driver.streams.compressed import CityHash128

from sql.embedded.engine import Session
from sql.embedded.errors import LOGICAL_ERROR, Refused
from sql.embedded.native import Block
from sql.embedded.statement import Insert, name, names

Columns = list[tuple[str, str]]

_STAGE = "_turnpath_inserted"
_TOKEN = "insert_deduplication_token"
_NOT_BY_DEFAULT = ("MATERIALIZED", "ALIAS", "EPHEMERAL")
#: As a server gathers blocks into one part of a table: whole up to so many rows or bytes.
_FLUSH_ROWS, _FLUSH_BYTES = 1_048_449, 268_402_944


def columns_to_insert(session: Session, insert: Insert) -> Columns:
    """Names and types that an INSERT expects. Refused as the engine refuses the INSERT."""
    described = session.rows(f"DESCRIBE TABLE {insert.target}")
    if insert.columns is None:
        return [(row[0], row[1]) for row in described if row[2] not in _NOT_BY_DEFAULT]
    types = {row[0]: row[1] for row in described if row[2] not in _NOT_BY_DEFAULT[:2]}
    listed = names(insert.columns)
    if listed is not None and all(each in types for each in listed):
        return [(each, types[each]) for each in listed]
    rows = session.rows(f"DESCRIBE TABLE (SELECT {insert.columns} FROM {insert.target})") if listed is None else []
    if not rows:
        session.run(f"{insert.head} SELECT * FROM null('_ UInt8')")
    return [(row[0], row[1]) for row in rows]


class StagedInsert:
    """An INSERT under way: blocks in, and at the end, or when there are many, into the table."""

    def __init__(self, session: Session, insert: Insert, columns: Columns) -> None:
        self._session = session
        # one thread, so that rows stay in their order; for more there is too little to do
        self._insert = f"{insert.head} SELECT * FROM {_STAGE} SETTINGS max_threads = 1, max_insert_threads = 1"
        self._has_token = _TOKEN in insert.head or session.is_set(_TOKEN)
        self._columns = columns
        self._clear()

    def _clear(self) -> None:
        self._rows = self._bytes = self._hash = 0

    def open(self) -> None:
        self._session.run(f"DROP TEMPORARY TABLE IF EXISTS {_STAGE}")
        create_table(self._session, _STAGE, self._columns)

    def add(self, block: Block) -> None:
        """Take a block. Refused if it does not fit the columns, or if the gathered rows cannot be inserted."""
        self._session.fill(_STAGE, block.native)
        self._rows += block.rows
        self._bytes += len(block.native)
        self._hash = CityHash128(block.native + self._hash.to_bytes(16, "little"))
        if self._rows >= _FLUSH_ROWS or self._bytes >= _FLUSH_BYTES:
            self.flush()
            self._session.run(f"TRUNCATE TEMPORARY TABLE {_STAGE}")
            self._clear()

    def flush(self) -> None:
        """Insert what was gathered. Refused if that fails."""
        if not self._rows:
            return
        check_rows(self._session, _STAGE, self._rows)
        # what a server takes of the rows themselves: by it a table with a deduplication window knows a repeat
        token = "" if self._has_token else f", {_TOKEN} = '{self._hash:032x}'"
        self._session.run(self._insert + token)

    def close(self) -> None:
        self._session.run(f"DROP TEMPORARY TABLE IF EXISTS {_STAGE}")


def create_table(session: Session, table: str, columns: Columns) -> None:
    """Make a temporary table in memory."""
    listed = ", ".join(f"{name(each)} {kind}" for each, kind in columns)
    session.run(f"CREATE TEMPORARY TABLE {name(table)} ({listed}) ENGINE = Memory")


def check_rows(session: Session, table: str, sent: int) -> None:
    """Refused if a temporary table does not hold what was sent."""
    held = int(session.rows(f"SELECT count() FROM {name(table)}")[0][0])
    if held != sent:
        raise Refused(LOGICAL_ERROR, f"{sent} rows were sent, {held} are held. (LOGICAL_ERROR)")


class ExternalTables:
    """The tables that a client sends along with one query."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._rows: dict[str, int] = {}

    def add(self, table: str, block: Block) -> None:
        """Take a block of the table, which is made with its first one. Refused if that fails."""
        if table not in self._rows:
            create_table(self._session, table, block.columns)
            self._rows[table] = 0
        if block.rows:
            self._session.fill(table, block.native)
            self._rows[table] += block.rows

    def __bool__(self) -> bool:
        return bool(self._rows)

    def check(self) -> None:
        """Refused if a table does not hold what was sent."""
        for table, sent in self._rows.items():
            check_rows(self._session, table, sent)

    def close(self) -> None:
        for table in self._rows:
            self._session.run(f"DROP TEMPORARY TABLE IF EXISTS {name(table)}")
