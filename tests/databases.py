"""Migrated databases, each lent to one test at a time: to empty one takes a tenth of the time of making one."""

import uuid
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from settings import Settings
from sql.client import Client
from sql.migrate import migrate, variables

# Of all tables and views what a test may not change, if the next one is to find them as migrated; of tables that are
# not empty then, also how many rows they have.
_STATE = (
    "SELECT name, create_table_query, if(name IN {kept:Array(String)}, total_rows, 0) FROM system.tables "
    "WHERE database = {name:String} ORDER BY name"
)
_TABLES = (
    "SELECT name, ifNull(total_rows, 0) > 0 FROM system.tables "
    "WHERE database = {name:String} AND engine LIKE '%MergeTree' ORDER BY name"
)


@dataclass(frozen=True)
class Migrated:
    """A database as `migrate` left it. `kept`: its tables that were not empty then, `emptied`: those that were."""

    name: str
    variant: tuple[tuple[str, str], ...]
    kept: list[str]
    emptied: list[str]
    state: list[tuple[Any, ...]]


class Databases:
    """Of a ClickHouse at host:port. A database that a test altered is dropped, not lent again."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._free: dict[tuple[tuple[str, str], ...], list[Migrated]] = defaultdict(list)

    def lend(self, settings: Settings) -> Migrated:
        """An empty one, migrated by these settings (of which only what is in the tables and views matters)."""
        variant = tuple(sorted(variables(settings).items()))
        return self._free[variant].pop() if self._free[variant] else self._made(settings, variant)

    def url(self, database: Migrated) -> str:
        """Its address for TURNPATH_CLICKHOUSE."""
        return f"clickhouse://{self._address}/{database.name}"

    def take_back(self, database: Migrated) -> None:
        """Empty it, or drop it."""
        with Client(f"clickhouse://{self._address}") as client:
            if self._state(client, database.name, database.kept) == database.state:
                for table in database.emptied:
                    client.run(f"SYSTEM START MERGES {database.name}.{table}")  # a test may have stopped them
                    client.run(f"TRUNCATE TABLE {database.name}.{table}")
                self._free[database.variant].append(database)
            else:
                client.run(f"DROP DATABASE IF EXISTS {database.name}")

    def _made(self, settings: Settings, variant: tuple[tuple[str, str], ...]) -> Migrated:
        name = f"test_{uuid.uuid4().hex[:12]}"
        migrate(settings.model_copy(update={"clickhouse": f"clickhouse://{self._address}/{name}"}))
        with Client(f"clickhouse://{self._address}") as client:
            tables = client.rows(_TABLES, {"name": name})
            kept = [table for table, has_rows in tables if has_rows]
            emptied = [table for table, has_rows in tables if not has_rows]
            return Migrated(name, variant, kept, emptied, self._state(client, name, kept))

    def _state(self, client: Client, name: str, kept: list[str]) -> list[tuple[Any, ...]]:
        return client.rows(_STATE, {"name": name, "kept": kept})
