"""The session of the user `reader`: it only reads, only what it may, and only so much.

Three walls: the statement is judged before it runs (`allowed`), the engine's connection is frozen by readonly = 1
under limits of time, memory and rows, and the engine's catalogue shows the rows about the views alone.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import orjson

from sql.embedded.allowed import Judge, Tree, catalogue_filters, denied
from sql.embedded.bounds import Bounds
from sql.embedded.engine import Engine, Session
from sql.embedded.errors import BAD_ARGUMENTS, READONLY, SETTING_OUT_OF_RANGE, TOO_DEEP, TOO_MANY_QUERIES, Refused
from sql.embedded.statement import after_describe, after_use, first_word, quoted
from sql.embedded.statement import name as quoted_name

_READS = {"SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC"}
#: Settings that a reader may give a query: how a result looks, and smaller limits.
_LOOKS = {
    *("date_time_output_format", "session_timezone", "max_block_size", "join_use_nulls", "extremes"),
    *("output_format_json_quote_64bit_integers", "output_format_json_quote_denormals"),
    *("output_format_json_quote_decimals", "output_format_json_named_tuples_as_objects"),
    *("output_format_decimal_trailing_zeros", "output_format_pretty_color"),
}
#: Of any limit: the engine takes a time under a microsecond for 0, which is none.
_LEAST = 0.001
#: Seconds to wait for a place, and how much longer than its query a result may take to be sent.
_WAIT_S, _GRACE_S = 5.0, 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query of a reader may take, and how many of them run at once."""

    seconds: float = 60.0
    memory: int = 1 << 30
    rows: int = 1_000_000
    at_once: int = 8

    def settings(self) -> dict[str, str]:
        """They as ClickHouse's settings, with readonly."""
        return {
            "max_execution_time": f"{self.seconds:g}",
            "timeout_overflow_mode": "throw",
            "max_memory_usage": str(self.memory),
            "max_result_rows": str(self.rows),
            "max_result_bytes": str(self.memory),
            "result_overflow_mode": "throw",
            # no spilling: it would fill the disk where it may not fill the memory
            "max_bytes_ratio_before_external_group_by": "0",
            "max_bytes_ratio_before_external_sort": "0",
            "max_threads": str(max(1, (os.cpu_count() or 1) // 2)),
            "additional_table_filters": _map(catalogue_filters()),
            "readonly": "1",
        }

    def least(self) -> dict[str, float]:
        """Settings that a reader may only lower, and from where."""
        return {
            "max_execution_time": self.seconds,
            "max_memory_usage": self.memory,
            "max_result_rows": self.rows,
            "max_result_bytes": self.memory,
        }


def _map(filters: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{quoted(table)}: {quoted(condition)}" for table, condition in filters.items()) + "}"


class Readers:
    """All readers of the endpoint: their limits, and how many queries of theirs run."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._places = threading.BoundedSemaphore(limits.at_once)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run a query in the body. Refused (202) where too many run for too long."""
        if not self._places.acquire(timeout=_WAIT_S):
            raise Refused(
                TOO_MANY_QUERIES,
                f"Too many simultaneous queries of readers: {self.limits.at_once} run; ask again a little later. "
                "(TOO_MANY_SIMULTANEOUS_QUERIES)",
            )
        try:
            yield
        finally:
            self._places.release()


class ReaderSession(Session):
    """A reader's connection to the engine. For the thread that made it."""

    #: The engine's own bound of a statement, and with it as much as its parameters may need.
    bounds = Bounds(statement=262_144, packet=1 << 20, columns=0)

    def __init__(self, engine: Engine, mark: str, readers: Readers) -> None:
        super().__init__(engine, mark)
        self._readers = readers
        self._own |= readers.limits.settings()
        self._renew()

    @contextmanager
    def admitted(self, sql: str) -> Iterator[float]:
        """Run the statement in the body. Refused unless a reader may: 497, or 164 for what changes anything.

        Others wait for the place that it has: so its time is also that for its result to be taken.
        """
        if first_word(sql) != "USE":
            self._judge(sql)
        with self._readers.running():
            yield self._readers.limits.seconds + _GRACE_S

    def _judge(self, sql: str) -> None:
        word = first_word(sql)
        if word in ("EXPLAIN", "EXISTS"):
            raise denied(f"use {word}")
        if word and word not in _READS:
            raise Refused(READONLY, "reader: Cannot execute query in readonly mode. (READONLY)")
        self.refuse_several(sql)
        judge = Judge(self._engine.functions, self._database, self._is_there)
        judge.judge(self._tree(f"SELECT * FROM {after_describe(sql)}" if self._describes(sql, word) else sql))

    def _describes(self, sql: str, word: str) -> bool:
        """Is it a DESCRIBE, also by the engine's own reading? It has no tree, but what it describes has."""
        return word.startswith("DESC") and self.rows(f"EXPLAIN AST {sql}")[0][0].startswith("DescribeQuery")

    def _tree(self, sql: str) -> Tree:
        """The statement's syntax tree. Refused if it is none, or none that can be written down faithfully."""
        try:
            [[text]] = self.rows(f"SELECT parseQueryToJSON({quoted(sql)})")
            return dict(orjson.loads(text))
        except orjson.JSONDecodeError as error:
            raise Refused(TOO_DEEP, "The query is too deep. (TOO_DEEP_RECURSION)") from error
        except Refused as error:
            if error.code != BAD_ARGUMENTS:
                raise
            raise denied("use such a statement") from error

    def _is_there(self, table: str) -> bool:
        """Has the session's database this table, or view? Asked by a connection that sees all."""
        other = self._engine.connect()
        try:
            found = other.query(f"EXISTS TABLE {quoted_name(self._database)}.{quoted_name(table)}", "TSVRaw")
            return bool(found.bytes().strip() == b"1")
        finally:
            self._engine.disconnect(other)

    def _lend(self, wanted: dict[str, str]) -> None:
        """A frozen connection takes no settings: another with these, if they differ. Refused (164, 452)."""
        kept = {each: value for each, value in wanted.items() if not _is_readonly(each, value)}
        for each, value in kept.items():
            self._check_setting(each, value)
        if kept != self._lent:
            self._renew(kept)

    def _check_setting(self, setting: str, value: str) -> None:
        least = self._readers.limits.least().get(setting)
        if least is None and setting not in _LOOKS:
            raise Refused(READONLY, f"Cannot modify '{setting}' setting in readonly mode. (READONLY)")
        if least is not None and not _LEAST <= _number(value) <= least:
            raise Refused(
                SETTING_OUT_OF_RANGE,
                f"Setting {setting} should be from {_LEAST:g} to {least:g}. (SETTING_CONSTRAINT_VIOLATION)",
            )

    def change(self, sql: str) -> None:
        """Run USE. Refused for SET (164): even `SET x = DEFAULT` would lift a limit."""
        database = after_use(sql)
        if not database:
            raise Refused(READONLY, "Cannot modify settings in readonly mode. (READONLY)")
        self.run(f"USE {quoted_name(database)}")
        self._database = self.rows("SELECT currentDatabase()")[0][0]


def _is_readonly(setting: str, value: str) -> bool:
    return setting == "readonly" and value in ("1", "2")


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return 0.0
