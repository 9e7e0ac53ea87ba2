"""chDB as a server's engine: one for the process, and a session of it for each client."""

import importlib
import os
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import orjson

from sql.embedded.allowed import functions
from sql.embedded.bounds import Bounds
from sql.embedded.errors import SYNTAX_ERROR, UNKNOWN_SETTING, Refused, refusal
from sql.embedded.statement import name as quoted_name
from sql.embedded.statement import quoted

Settings = Mapping[str, str]
Chunks = Generator[bytes, None, None]

#: Where chDB differs from a server: not every word is an expression, and no introspection.
_AS_A_SERVER = {"implicit_select": "0", "allow_introspection_functions": "0"}
#: An obsolete setting that does nothing: by its value a running query is known as a client's.
_MARK = "function_implementation"
#: Of the machine's memory; a query over it fails (241) rather than the machine.
_MEMORY_SHARE = 0.6
#: Merges leave the processor to those who ask.
_MERGES_GIVE_WAY = "os_threads_nice_value_merge_mutate=10"
_NO_STREAM = "Streaming query is not supported for query"
_READ_ONLY = 0
#: What chDB raises; ValueError where the text of an error is not UTF-8.
_FAILURES = (RuntimeError, ValueError)


class Engine:
    """The engine over one data folder. Its own connection keeps it open, and is for the thread that made it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with _standing_in(folder.parent / "empty"):
            chdb: Any = importlib.import_module("chdb._chdb")  # reads a config.xml where the process stands
            self._connect: Callable[[str], Any] = chdb.connect
            self._path = str(folder.absolute())
            self._root = self._connect(f"{self._path}?max_server_memory_usage={_memory()}&{_MERGES_GIVE_WAY}")
        self._lock = threading.Lock()
        self.version_text = _rows(self._root, "SELECT version()")[0][0]
        self.version = tuple(int(part) for part in self.version_text.split(".")[:3])
        self.timezone = _rows(self._root, "SELECT timezone()")[0][0]
        self.known = {row[0] for row in _rows(self._root, "SELECT name FROM system.settings")} - {_MARK}
        self.functions = functions(_rows(self._root, "SELECT name, alias_to, origin, categories FROM system.functions"))

    def connect(self) -> Any:
        """A connection of chDB, for one thread."""
        with self._lock:
            connection = self._connect(self._path)
        connection.query("SET " + _assignments(_AS_A_SERVER))
        return connection

    def disconnect(self, connection: Any) -> None:
        with self._lock:
            connection.close()

    def close(self) -> None:
        """Flush and close; every session must be closed before."""
        self._root.close()


def _memory() -> int:
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * _MEMORY_SHARE)


@contextmanager
def _standing_in(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


class Session:
    """One client's connection: its database, its settings, its temporary tables. For the thread that made it."""

    bounds = Bounds()

    def __init__(self, engine: Engine, mark: str) -> None:
        self._engine = engine
        self.mark = mark
        self._connection = engine.connect()
        self._connection.query(f"SET {_MARK} = {quoted(mark)}")
        self._own = self._changed()
        self._lent: dict[str, str] = {}
        self._database = "default"

    def _changed(self) -> dict[str, str]:
        changed = _rows(self._connection, "SELECT name, value FROM system.settings WHERE changed")
        return {row[0]: row[1] for row in changed if row[0] != "database"}

    def admitted(self, sql: str) -> AbstractContextManager[float | None]:
        """Run the client's statement in the body, and send its result, in so many seconds. Refused if it may not be."""
        del sql  # `default` may do anything, and take its time
        return nullcontext()

    def run(self, sql: str, params: Mapping[str, str] | None = None, form: str = "Native") -> bytes:
        """Run a statement; its result, whole, in that format (empty: no rows, or no result). Refused if it fails."""
        try:
            return bytes(self._connection.query(sql, form, params=dict(params or {})).bytes())
        except _FAILURES as error:
            raise refusal(error) from error

    def rows(self, sql: str, params: Mapping[str, str] | None = None) -> list[list[str]]:
        """The rows of a small result as text. Refused if it fails."""
        try:
            return _rows(self._connection, sql, params)
        except _FAILURES as error:
            raise refusal(error) from error

    def columns(self, sql: str, params: Mapping[str, str]) -> list[tuple[str, str]]:
        """Names and types of a statement's result; it is run for that. Refused if it fails."""
        try:
            form = "JSONCompactStringsEachRowWithNamesAndTypes"
            head = self._connection.query(sql, form, params=dict(params)).bytes().splitlines()[:2]
        except _FAILURES as error:
            raise refusal(error) from error
        names, kinds = (orjson.loads(line) for line in head) if len(head) == 2 else ([], [])
        return list(zip(names, kinds, strict=True))

    def stream(self, sql: str, params: Mapping[str, str], form: str = "Native") -> Chunks | None:
        """A query's result in chunks, each a document of that format; None if it is no SELECT. Refused, also midway.

        The query ends when the iterator is closed.
        """
        try:
            result = self._connection.send_query(sql, form, params=dict(params))
        except _FAILURES as error:
            if _NO_STREAM in str(error):
                return None
            raise refusal(error) from error
        return self._chunks(result)

    def _chunks(self, result: Any) -> Chunks:
        try:
            while chunk := self._connection.streaming_fetch_result(result).bytes():
                yield bytes(chunk)
        except _FAILURES as error:
            raise refusal(error) from error
        finally:
            self._connection.streaming_cancel_query(result)

    def refuse_several(self, sql: str) -> None:
        """Refused (62) if there are several statements: chDB would run them all."""
        if self._connection.classify_query(sql)["statement_count"] > 1:
            raise Refused(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed). (SYNTAX_ERROR)")

    def only_reads(self, sql: str) -> bool:
        """Can the statement be run again without harm?"""
        return int(self._connection.classify_query(sql)["query_class"].value) == _READ_ONLY

    def fill(self, table: str, native: bytes) -> None:
        """Put a block of format Native into a table. A failure may go unsaid: chDB drops what fails at the end."""
        try:
            insert = self._connection.send_insert(f"INSERT INTO {quoted_name(table)}", "Native")
            try:
                self._connection.insert_append(insert, native)
            except _FAILURES:
                self._connection.insert_cancel(insert)
                raise
            self._connection.insert_done(insert)
        except _FAILURES as error:
            raise refusal(error) from error

    @contextmanager
    def settings(self, wanted: Settings, important: frozenset[str]) -> Iterator[None]:
        """Run what follows under a query's settings. Refused (115) for an important one that is not known.

        They stay until the next query, which often has the same: so a client's settings are set once.
        """
        if unknown := [each for each in wanted if each not in self._engine.known and each in important]:
            raise Refused(UNKNOWN_SETTING, f"Unknown setting '{unknown[0]}'. (UNKNOWN_SETTING)")
        self._lend({each: value for each, value in wanted.items() if each in self._engine.known})
        try:
            yield
        finally:
            if "readonly" in self._lent:
                self._renew()

    def _lend(self, wanted: dict[str, str]) -> None:
        back = {each: self._own.get(each) for each in self._lent if each not in wanted}
        new = {each: value for each, value in wanted.items() if self._lent.get(each) != value}
        if not back and not new:
            return
        self._lent |= new
        self.run("SET " + _assignments({**back, **new}))
        self._lent = wanted

    def is_set(self, setting: str) -> bool:
        """Has the client given this setting a value, for its session or for the query under way?"""
        return setting in self._lent or setting in self._own

    def change(self, sql: str) -> None:
        """Run a SET or USE statement: the session's settings or database, from now on. Refused if it fails."""
        self._lend({})
        self.run(sql)
        self._own = self._changed()
        self._database = self.rows("SELECT currentDatabase()")[0][0]

    def _renew(self, lent: dict[str, str] | None = None) -> None:
        """chDB never lifts readonly from a connection: go on with another, in the same database.

        Refused if that cannot have these settings; then the session stays as it was.
        """
        made, lent = self._engine.connect(), lent or {}
        try:
            self._take(made, {**self._own, **lent})
        except _FAILURES as error:
            self._engine.disconnect(made)
            raise refusal(error) from error
        self._engine.disconnect(self._connection)
        self._connection, self._lent = made, lent

    def _take(self, connection: Any, settings: Settings) -> None:
        connection.query(f"USE {quoted_name(self._database)}")
        connection.query("SET " + _assignments(settings))

    def rows_aside(self, sql: str, params: Mapping[str, str]) -> list[list[str]]:
        """As `rows`, while the session itself is busy with a query; without its temporary tables."""
        other = self._engine.connect()
        try:
            self._take(other, {**self._own, **self._lent})
            return _rows(other, sql, params)
        except _FAILURES as error:
            raise refusal(error) from error
        finally:
            self._engine.disconnect(other)

    @contextmanager
    def progress(self, said: Callable[[dict[str, int]], None]) -> Iterator[None]:
        """Call `said` now and then, in this thread, while a query runs: its sums so far."""
        self._connection.set_progress_callback(said)
        try:
            yield
        finally:
            self._connection.set_progress_callback(None)

    def kill(self, mark: str) -> None:
        """Stop what the session of that mark is running."""
        self.run(f"KILL QUERY WHERE Settings['{_MARK}'] = {quoted(mark)} ASYNC")

    def close(self) -> None:
        self._engine.disconnect(self._connection)


def _assignments(settings: Mapping[str, str | None]) -> str:
    """`a = '1', b = DEFAULT` (None), readonly last; a name is one that the engine gave or knows."""
    ordered = sorted(settings.items(), key=lambda item: item[0] == "readonly")
    return ", ".join(f"{k} = {'DEFAULT' if v is None else quoted(v)}" for k, v in ordered)


def _rows(connection: Any, sql: str, params: Mapping[str, str] | None = None) -> list[list[str]]:
    text = connection.query(sql, "JSONCompactStringsEachRow", params=dict(params or {})).bytes()
    return [orjson.loads(line) for line in text.splitlines()]
