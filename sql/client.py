"""One connection to ClickHouse: tables out, columns in, errors named by their reaction."""

import logging
import math
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Self

import clickhouse_driver
from clickhouse_driver import errors as driver_errors
from clickhouse_driver.util.helpers import parse_url

from journey.errors import BadSetting, BadUsage, Crash, Retry, TurnpathError, Unreachable
from sql.columns import send_block

Value = str | int | float | bool | date | datetime
Params = Mapping[str, Value | Sequence[Value]]

#: ClickHouse's codes for "not now": the same statement may go well a moment later, or once an operator has made room.
_NOT_NOW = {
    74: "it cannot read its disk",
    75: "it cannot write to its disk",
    76: "it cannot open a file",
    87: "it cannot read its disk",
    95: "it cannot read from a socket",
    96: "it cannot write to a socket",
    159: "a time limit was passed",
    173: "it gets no memory",
    198: "it cannot look up a host",
    201: "a quota is used up",
    202: "too many queries at once",
    203: "no connection is free",
    209: "a connection timed out",
    210: "a network error",
    225: "its Keeper is away",
    236: "the statement was aborted",
    241: "its memory is full",
    242: "the table is read-only just now",
    243: "its disk is full",
    252: "too many parts to merge",
    254: "no replica is alive",
    279: "all its connections failed",
    285: "too few replicas are alive",
    286: "a quorum for the insert before is missing",
    294: "it cannot write to its disk",
    319: "whether the insert went well is not known",
    394: "the query was cancelled",
    410: "a server behind it does not answer",
    425: "its operating system refuses something",
    439: "it can start no thread",
    473: "two statements waited for each other",
    586: "it cannot make a file",
    641: "it cannot write to its disk",
    692: "too many mutations are under way",
    733: "the table is being restarted",
    735: "the query was cancelled",
    745: "it is overloaded",
    749: "it has too many connections",
    776: "its resources are used up",
    777: "its memory is full",
    778: "its memory is full",
    999: "its Keeper had an error",
    1019: "it is overloaded",
    1020: "its memory is full",
}
#: Codes for whatever the engine's libraries throw; a full disk comes so, too.
_ANYTHING = {1000, 1001, 1002}
_DISK = re.compile(r"No space left on device|Disk quota exceeded|Too many open files|Input/output error")
_WRONG_LOGIN = {192, 193, 194, 516}
_NOT_MADE = {60, 81}
_THROW_IF = 395
_SAME_ID = 216
_TOO_MANY = 252  # parts: wait for merges; partitions in one insert: no wait mends it
#: Rows of one key in one block are the merges' and FINAL's to reduce, as those of two: half the time of an insert.
#: Inserts leave the processor to those who ask (where ClickHouse may say so to Linux, and since it knows the setting).
_INSERT = {
    "async_insert": 0,
    "max_partitions_per_insert_block": 0,
    "optimize_on_insert": 0,
    "os_threads_nice_value_query": 10,
}

# what it has to say comes as an error, too; at a refused connection it would print a traceback
logging.getLogger("clickhouse_driver").setLevel(logging.ERROR)


class ServerError(Crash):
    """ClickHouse refused a statement, and would again; `code` is ClickHouse's."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"ClickHouse error {code}: {text}")
        self.code = code


class SameIdRuns(Retry):
    """Another statement of the same query id is under way; so this one was not begun."""


@dataclass(frozen=True, slots=True)
class Table:
    """A result: names and ClickHouse types of the columns, and the rows as tuples in their order."""

    columns: list[str]
    types: list[str]
    rows: list[tuple[Any, ...]]

    def dicts(self) -> list[dict[str, Any]]:
        """The rows as dicts by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Client:
    """One connection, for one thread; made at the first call, and made anew at the next call after trouble.

    Every method raises Unreachable (not there, or lost on the way), Retry (ClickHouse says: not now),
    BadUsage (a guard in one of our views, with its sentence), BadSetting (a login refused) or ServerError
    (anything else). A parameter `{name:Type}` in SQL is the server's to fill: no value is pasted into text.
    """

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        password: str | None = None,
        connect_timeout_s: float = 5,
        timeout_s: float = 300,
        limits: Mapping[str, int] | None = None,
        reconnect: bool = True,
    ) -> None:
        """`limits`: settings of ClickHouse for every statement, such as max_memory_usage.

        `reconnect`: a call that finds the connection lost since the last one makes it anew, and nobody learns of it;
        False: it raises Unreachable, for whoever built on what that server had in memory."""
        host, options = parse_url(url)
        # LZ4 costs more than it saves on one machine; `?compression=lz4` in the address turns it on
        options.setdefault("compression", False)
        options.setdefault("connect_timeout", connect_timeout_s)
        options.setdefault("send_receive_timeout", timeout_s)
        options |= {k: v for k, v in (("user", user), ("password", password)) if v is not None}
        options["disable_reconnect"] = not reconnect
        self.address = f"{host}:{options.get('port', 9000)}"
        self.database: str = options.get("database", "default")
        settings = {**options.pop("settings", {}), **(limits or {}), "server_side_params": True}
        self._driver = clickhouse_driver.Client(host, settings=settings, **options)

    def table(self, sql: str, params: Params | None = None, *, query_id: str | None = None) -> Table:
        """The result of a query with names and types of its columns. SameIdRuns if one of this `query_id` runs."""
        with self._named_errors():
            rows, columns = self._driver.execute(sql, _rendered(params), with_column_types=True, query_id=query_id)
        return Table([name for name, _ in columns], [kind for _, kind in columns], rows)

    def rows(self, sql: str, params: Params | None = None) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self.table(sql, params).rows

    def stream(
        self, sql: str, params: Params | None = None, *, query_id: str | None = None
    ) -> Generator[tuple[Any, ...], None, None]:
        """The rows of a query as they come, never held whole; left early, query and connection end.

        `query_id` as in `table`.
        """
        whole = False
        try:
            with self._named_errors():
                yield from self._driver.execute_iter(sql, _rendered(params), query_id=query_id)
            whole = True
        finally:
            if not whole:
                self.close()

    def run(self, sql: str, params: Params | None = None, *, query_id: str | None = None) -> None:
        """A statement without a result, such as DDL; `query_id` as in `table`."""
        self.table(sql, params, query_id=query_id)

    def write(self, sql: str, params: Params | None = None) -> None:
        """An INSERT … SELECT, with the settings of `insert`."""
        with self._named_errors():
            self._driver.execute(sql, _rendered(params), settings=_INSERT)

    def insert(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        """Insert columns of one length as one block, and wait until it stands.

        Times are ints since the epoch in the column's unit (DateTime64(3): milliseconds). Nothing is sent
        where there is no row. Up to about a million rows, a partition's rows appear all at once.
        """
        count = _length(columns)
        if not count:
            return
        sql = f"INSERT INTO {table} ({', '.join(f'`{name}`' for name in columns)}) VALUES"
        with self._named_errors(), self._driver.disconnect_on_error(sql, _INSERT):
            connection = self._driver.connection
            connection.send_query(sql)
            connection.send_external_tables(None)
            header = self._driver.receive_sample_block().columns_with_types
            send_block(connection, header, list(columns.values()))
            self._driver.receive_profile_events()
            self._driver.send_data(_NoColumns, [], columnar=True)
            self._driver.receive_end_of_insert_query()

    def close(self) -> None:
        """Close the connection; the next call makes a new one."""
        self._driver.disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            with errors_named(self.address):
                yield
        except Unreachable:
            self.close()
            raise


@contextmanager
def errors_named(address: str) -> Iterator[None]:
    """Turn what clickhouse-driver raises into the errors that `Client` promises."""
    try:
        yield
    except driver_errors.ServerException as error:
        raise _named(address, error.code, error.message) from error
    except (driver_errors.NetworkError, driver_errors.SocketTimeoutError, OSError, EOFError) as error:
        raise Unreachable(
            f"ClickHouse at {address} does not answer ({str(error).strip() or type(error).__name__}): start it, "
            "or set TURNPATH_CLICKHOUSE to where it runs"
        ) from error
    except driver_errors.Error as error:
        raise ServerError(error.code, str(error.message or error)) from error


def _named(address: str, code: int, message: str) -> TurnpathError:
    text = message.split("Stack trace:")[0].removeprefix("DB::Exception: ").strip()
    guard = re.match(r"turnpath: (.*?)(?:: [Ww]hile |: In scope|$)", text, re.DOTALL)
    if code == _THROW_IF and guard:
        return BadUsage(guard[1])
    if code in _WRONG_LOGIN:
        return BadSetting(
            f"ClickHouse at {address} refuses the login: write user and password into "
            "TURNPATH_CLICKHOUSE, such as clickhouse://user:password@host:9000/turnpath"
        )
    if code == _SAME_ID:
        return SameIdRuns(f"ClickHouse at {address} says not now: {text[:300]}")
    if code in _NOT_NOW and not (code == _TOO_MANY and "partitions" in text):
        return Retry(f"ClickHouse at {address} says not now: {_NOT_NOW[code]} ({text[:300]})")
    if code in _ANYTHING and (disk := _DISK.search(text)):
        return Retry(f"ClickHouse at {address} says not now: {disk[0]} ({text[:300]})")
    if code in _NOT_MADE:
        text += "; `turnpath migrate` makes what is missing"
    return ServerError(code, text)


class _NoColumns:
    """The header of the empty block that ends an insert."""

    columns_with_types: tuple[()] = ()


def _length(columns: Mapping[str, Sequence[Any]]) -> int:
    lengths = {len(items) for items in columns.values()}
    if len(lengths) != 1:
        raise ValueError(f"the columns of an insert differ in length: {sorted(lengths)}")
    return lengths.pop()


def _rendered(params: Params | None) -> dict[str, Any] | None:
    """What clickhouse-driver escapes rightly: dicts and unknown objects it would pass as they are."""
    if params is None:
        return None
    return {
        name: [_text(name, x) for x in value] if isinstance(value, (list, tuple)) else _text(name, value)
        for name, value in params.items()
    }


def _text(name: str, value: object) -> str | int | float:
    if isinstance(value, str):
        if not value.isprintable() and any(0xD800 <= ord(c) <= 0xDFFF for c in value):
            raise BadUsage(f"{name} is not valid UTF-8 text")
        return value
    if isinstance(value, int):
        return int(value)  # True is 1
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError(f"parameter {name}: a time needs its zone")
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(
        f"parameter {name}: no {type(value).__name__}, but str, int, float, date, datetime, or a list of them"
    )
