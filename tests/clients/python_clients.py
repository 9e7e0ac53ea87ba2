"""clickhouse-driver and clickhouse-connect run the cases, as the programs of other languages do."""

import ipaddress
import struct
import uuid
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Protocol

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from .cases import Case

Rows = list[tuple[Any, ...]]

_PASSWORDS = {"default": "", "reader": "reader"}


class Failed(Exception):
    """A statement failed with that code of ClickHouse's."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


class Speaks(Protocol):
    """A client."""

    def rows(self, sql: str, params: dict[str, str] | None = None) -> Rows: ...

    def insert(self, table: str, rows: Rows) -> None: ...

    def each(self, sql: str) -> Iterable[tuple[Any, ...]]: ...

    def give_up(self, sql: str) -> None: ...


class Driver:
    """clickhouse-driver, by the native protocol."""

    def __init__(self, host: str, port: int, database: str, compression: bool, user: str = "default") -> None:
        self._client = Client(
            host,
            port,
            database,
            user,
            _PASSWORDS[user],
            compression=compression,
            settings={"server_side_params": True},
        )

    def rows(self, sql: str, params: dict[str, str] | None = None) -> Rows:
        try:
            return list(self._client.execute(sql, params))
        except ServerException as error:
            raise Failed(error.code) from error

    def insert(self, table: str, rows: Rows) -> None:
        self._client.execute(f"INSERT INTO {table} VALUES", rows)

    def each(self, sql: str) -> Iterable[tuple[Any, ...]]:
        return self._client.execute_iter(sql)  # type: ignore[no-any-return]

    def give_up(self, sql: str) -> None:
        self._client.connection.send_query(sql, params={})
        self._client.connection.send_external_tables(None)
        self._client.cancel()


class Connect:
    """clickhouse-connect, by HTTP."""

    def __init__(self, host: str, port: int, database: str, compression: str, user: str = "default") -> None:
        self._client = clickhouse_connect.get_client(
            host=host,
            port=port,
            username=user,
            password=_PASSWORDS[user],
            database=database,
            compress=compression or False,
        )

    def rows(self, sql: str, params: dict[str, str] | None = None) -> Rows:
        try:
            return [tuple(row) for row in self._client.query(sql, parameters=params).result_rows]
        except DatabaseError as error:
            raise Failed(error.code or 0) from error

    def insert(self, table: str, rows: Rows) -> None:
        self._client.insert(table, rows)

    def each(self, sql: str) -> Iterable[tuple[Any, ...]]:
        with self._client.query_rows_stream(sql) as rows:
            yield from rows

    def give_up(self, sql: str) -> None:
        short = self._client.query
        try:
            short(sql, settings={"max_execution_time": 1})
        except DatabaseError:
            return
        raise AssertionError("it ended")


def got(client: Speaks, prefix: str, cases: list[Case]) -> dict[str, Any]:
    """What the client got, by the cases' names."""
    return {case["name"]: _run(client, f"{prefix}{n}", case) for n, case in enumerate(cases)}


def _run(client: Speaks, table: str, case: Case) -> Any:
    match case["kind"]:
        case "query":
            return _told(client.rows(case["sql"], case["params"]))
        case "types":
            return _types(client, table, case)
        case "wide":
            numbers = [row[0] for row in client.each(case["sql"])]
            return [str(len(numbers)), str(sum(numbers))]
        case "error":
            try:
                return _told(client.rows(case["sql"]))
            except Failed as error:
                return error.code
    client.give_up(case["sql"])
    return _told(client.rows("SELECT 1"))


def _types(client: Speaks, table: str, case: Case) -> Any:
    copied = f"{table}_copied"
    for name in (table, copied):
        client.rows(f"CREATE TABLE {name} (n UInt8, v {case['type']}) ENGINE = MergeTree ORDER BY n")
    literals = ", ".join(f"({n}, {value})" for n, value in enumerate(case["values"]))
    client.rows(f"INSERT INTO {table} VALUES {literals}")
    rows = client.rows(f"SELECT n, v FROM {table} ORDER BY n")
    client.insert(copied, rows)
    whole = "(SELECT groupArray((n, v)) FROM (SELECT * FROM {} ORDER BY n))"
    return [_told(rows), _told(client.rows(f"SELECT {whole.format(table)} = {whole.format(copied)}"))]


def _told(rows: Rows) -> Any:
    return [[_canonical(value) for value in row] for row in rows]


def _canonical(value: Any) -> Any:
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case float():
            return struct.pack(">d", value).hex()
        case bytes():
            return value.decode()
        case datetime():
            return _time(value if value.tzinfo else value.replace(tzinfo=UTC))
        case date():
            return f"{value}T00:00:00"
        case Decimal():
            return f"{value.normalize():f}"
        case uuid.UUID() | ipaddress.IPv4Address():
            return str(value)
        case dict():
            return sorted([_canonical(k), _canonical(v)] for k, v in value.items())
        case list() | tuple():
            return [_canonical(each) for each in value]
    return str(value)


def _time(value: datetime) -> str:
    text = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return text.rstrip("0").rstrip(".")
