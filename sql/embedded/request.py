"""One statement that came by HTTP: put together from address and body, run, its result written."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import chain

import orjson

from sql.embedded.ask import Ask
from sql.embedded.bounds import Bounds
from sql.embedded.coding import packer, unpacked
from sql.embedded.engine import Session
from sql.embedded.errors import READONLY, Refused
from sql.embedded.exchange import Exchange, Headers
from sql.embedded.formats import content_type, is_streamed, one_document
from sql.embedded.native import BLOCK_HEAD, answers, header
from sql.embedded.packets import REVISION
from sql.embedded.response import Response
from sql.embedded.statement import RowsInsert, first_word, insert_of_rows, output_of, quoted
from sql.embedded.statement import name as quoted_name
from sql.embedded.zones import Zones, description

#: A statement, up to the rows that may follow it, is looked for in so much of a body.
_HEAD = 1 << 20
READS = ("GET", "HEAD")


class Request:
    """A request for a statement to be run; its `response` is begun with the first of its result."""

    def __init__(self, ask: Ask, exchange: Exchange, timezone: str) -> None:
        self._ask = ask
        self._exchange = exchange
        self._sums: dict[str, int] = {}
        self._form = ask.form
        accepted = ask.headers.get("accept-encoding", "") if ask.flag("enable_http_compression", "1") else ""
        self._packer, self._coding = packer(accepted, ask.flag("compress"))
        always = [("X-ClickHouse-Query-Id", ask.query_id), ("X-ClickHouse-Timezone", timezone)]
        self.response = Response(exchange, self._packer, always, self._head, ask.flag("wait_end_of_query"))

    def answer(self, session: Session) -> None:
        """Run the statement on a session of the engine and write its result. Refused if it fails, also midway."""
        ask = self._ask
        if ask.database:
            session.change(f"USE {quoted_name(ask.database)}")
        sql, insert, rows = self._statement(self._body(session.bounds))
        with session.settings(ask.settings, frozenset(ask.settings)), session.progress(self._note):
            sql, form = (sql, "") if insert else output_of(sql)
            self._form = form or ask.form
            with session.admitted(sql) as seconds, self._exchange.within(seconds):
                self._check_method(sql, session)
                if insert:
                    _insert(insert, rows, session)
                elif first_word(sql) in ("SET", "USE"):
                    session.refuse_several(sql)
                    session.change(sql)
                else:
                    self._run(sql, session)

    def _body(self, bounds: Bounds) -> Iterator[bytes]:
        """The request's body, unpacked. Refused (62) as soon as more has come of it than a statement may have."""
        query = len(self._ask.query.encode())
        bounds.check(query)
        packed = _checked(self._exchange.body(), query, bounds)
        coding, frames = self._ask.headers.get("content-encoding", ""), self._ask.flag("decompress")
        return _checked(unpacked(packed, coding, frames, bounds.statement), query, bounds)

    def _statement(self, body: Iterator[bytes]) -> tuple[str, RowsInsert | None, Iterator[bytes]]:
        """The statement, the INSERT that it is if its rows follow, and these rows."""
        if self._ask.query and (insert := insert_of_rows(self._ask.query)):
            written = self._ask.query[insert.data :].lstrip().encode()
            return self._ask.query, insert, chain([written], body)
        head = _some(body)
        begun = f"{self._ask.query}\n".lstrip().encode() + head
        text = begun.decode("utf-8", "surrogateescape")
        if insert := insert_of_rows(text):
            data = begun[len(text[: insert.data].encode("utf-8", "surrogateescape")) :]
            return text[: insert.data], insert, chain([_after_line(data)], body)
        return b"".join([begun, *body]).decode("utf-8", "replace"), None, body

    def _check_method(self, sql: str, session: Session) -> None:
        if self._ask.method in READS and not session.only_reads(sql):
            raise Refused(
                READONLY,
                "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. You should "
                "use method POST for modifying queries. (READONLY)",
            )

    def _run(self, sql: str, session: Session) -> None:
        params = self._ask.params
        if self._form.lower() == "native":
            return self._run_native(sql, session)
        chunks = session.stream(sql, params, self._form) if is_streamed(self._form, sql) else None
        if chunks is None:
            session.refuse_several(sql)
            self.response.write(session.run(sql, params, self._form))
            return None
        with closing(chunks):
            for chunk in one_document(chunks, self._form):
                self.response.write(chunk)
        return None

    def _run_native(self, sql: str, session: Session) -> None:
        """Blocks as the client's revision has them: with none, as chDB gives them."""
        revision = min(self._ask.number("client_protocol_version", 0), REVISION)
        zones = Zones(session, sql, self._ask.params)
        chunks = session.stream(sql, self._ask.params)
        selects, empty = chunks is not None, True
        if chunks is None:
            session.refuse_several(sql)
            chunks = (chunk for chunk in [session.run(sql, self._ask.params)] if chunk)
        with closing(chunks):
            for chunk in chunks:
                empty = False
                blocks = [each.body for each in answers(chunk, revision, zones.kind)] if revision else [chunk]
                self.response.write(b"".join(blocks))
        if empty and selects:
            described = [(row[0], row[1]) for row in session.rows(description(sql), self._ask.params)]
            self.response.write(header(described, revision).removeprefix(b"" if revision else BLOCK_HEAD))

    def _note(self, sums: dict[str, int]) -> None:
        self._sums = sums

    def _head(self) -> Headers:
        """The headers of a result that is about to be sent."""
        sums = ("read_rows", "read_bytes", "written_rows", "written_bytes", "total_rows_to_read", "result_rows")
        more = ("result_bytes", "elapsed_ns")
        summary = {name: str(self._sums.get(name, 0)) for name in (*sums, *more)}
        headers = [
            ("Content-Type", content_type(self._form)),
            ("X-ClickHouse-Format", self._form),
            ("X-ClickHouse-Summary", orjson.dumps(summary).decode()),
            ("X-ClickHouse-Server-Display-Name", "turnpath"),
        ]
        return [*headers, ("Content-Encoding", self._coding)] if self._coding else headers


def _insert(insert: RowsInsert, rows: Iterator[bytes], session: Session) -> None:
    """Put rows into a table: by way of a file, from which the engine reads them and says what is wrong."""
    with tempfile.NamedTemporaryFile(prefix="turnpath-insert-") as file:
        size = sum(file.write(piece) for piece in rows)
        file.flush()
        if size:
            source = f"FROM INFILE {quoted(file.name)} COMPRESSION 'none'"
            session.run(f"{insert.head} {source} {insert.settings} FORMAT {insert.form}")
        else:
            session.rows(f"DESCRIBE TABLE {insert.insert.target}")


def _checked(pieces: Iterator[bytes], size: int, bounds: Bounds) -> Iterator[bytes]:
    """The pieces, for as long as they and the `size` before them are within bounds."""
    for piece in pieces:
        size += len(piece)
        bounds.check(size)
        yield piece


def _some(body: Iterator[bytes]) -> bytes:
    """The body's beginning; all of it where it is short."""
    head = b""
    while len(head) < _HEAD and (piece := next(body, None)) is not None:
        head += piece
    return head


def _after_line(data: bytes) -> bytes:
    """Rows begin after the blanks and the line's end that follow the format's name."""
    return data.lstrip(b" \t\f").removeprefix(b"\r").removeprefix(b"\n")
