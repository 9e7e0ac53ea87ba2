"""One client: its greeting, its queries, their answers. All in one thread, with one session of the engine."""

import socket
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress

from clickhouse_driver.defines import DBMS_MIN_PROTOCOL_VERSION_WITH_PROFILE_EVENTS_IN_INSERT as EVENTS_IN_INSERT
from clickhouse_driver.protocol import ClientPacketTypes as Asked
from clickhouse_driver.protocol import ServerPacketTypes as Told

from sql.embedded import packets
from sql.embedded.bounds import Bounds
from sql.embedded.endpoint import Endpoint
from sql.embedded.engine import Session
from sql.embedded.errors import QUERY_WAS_CANCELLED, UNEXPECTED_PACKET, Malformed, Refused, Vanished
from sql.embedded.native import BLOCK_HEAD, Block, answers, header, read_block
from sql.embedded.packets import Progress, Query
from sql.embedded.staging import ExternalTables, StagedInsert, columns_to_insert
from sql.embedded.statement import Insert, first_word, insert_of_blocks, without_output
from sql.embedded.statement import name as quoted_name
from sql.embedded.wire import FrameSource, SocketSource, Source, compressed, varint
from sql.embedded.zones import Zones, description

#: Seconds to say hello in, to wait for a query, and for the next bytes of a packet or room to send.
_HELLO_S, _IDLE_S, _PACKET_S = 10.0, 3600.0, 300.0
_CANCELLED = Refused(QUERY_WAS_CANCELLED, "Query was cancelled. (QUERY_WAS_CANCELLED)")


class Conversation:
    """A client from its first byte to its last."""

    def __init__(self, connection: socket.socket, host: str, endpoint: Endpoint, mark: str) -> None:
        self._connection = connection
        self._host = host
        self._endpoint = endpoint
        self._source = SocketSource(connection)
        self._revision = 0
        self._bounds = Bounds()
        self._compressed = False
        self._stopped = False
        self._user = ""
        self.mark = mark

    def hold(self) -> None:
        """Talk until the client leaves, is refused, or breaks the protocol."""
        with self._connection, suppress(Vanished):
            try:
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                greeting = self._hear_hello()
                self._user = self._endpoint.doorkeeper.enter(greeting.user, greeting.password, self._host)
                with closing(self._endpoint.session(self._user, self.mark)) as session:
                    self._answer_hello(greeting, session)
                    self._serve(session)
            except Malformed as error:
                self._part(Refused(UNEXPECTED_PACKET, f"{error}. (UNEXPECTED_PACKET_FROM_CLIENT)"))
            except Refused as error:
                self._part(error)

    def end(self) -> None:
        """Cut the connection, from another thread; a running query is stopped by the watch, which sees it."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def look(self) -> bool:
        """Has the client asked to cancel, or gone, while its query runs? Called by the watch, in its thread."""
        self._stopped = self._stopped or self._source.peek() in (b"", bytes([Asked.CANCEL]))
        return self._stopped

    def _hear_hello(self) -> packets.Hello:
        with self._source.within(_HELLO_S):
            if self._source.varint() != Asked.HELLO:
                raise Malformed("a client says hello first")
            greeting = packets.read_hello(self._source)
        self._revision = greeting.revision
        return greeting

    def _answer_hello(self, greeting: packets.Hello, session: Session) -> None:
        if greeting.database:
            session.change(f"USE {quoted_name(greeting.database)}")
        engine = self._endpoint.engine
        self._send(packets.hello(engine.version, engine.timezone))

    def _serve(self, session: Session) -> None:
        self._bounds, self._source.most = session.bounds, session.bounds.packet
        self._connection.settimeout(_IDLE_S)
        packets.read_addendum(self._source, self._revision)  # comes with the first packet
        while True:
            self._source.trim()
            self._connection.settimeout(_IDLE_S)
            asked = self._source.varint()
            self._connection.settimeout(_PACKET_S)
            if asked == Asked.PING:
                self._send(varint(Told.PONG))
            elif asked == Asked.QUERY:
                self._query(packets.read_query(self._source, self._revision, self._bounds), session)
            elif asked == Asked.DATA:
                self._read_block()  # sent before the client saw that its INSERT was refused
            elif asked != Asked.CANCEL:  # one that came after its query's end
                raise Malformed(f"packet {asked}")

    def _query(self, query: Query, session: Session) -> None:
        self._compressed = query.compressed
        self._stopped = False
        with closing(ExternalTables(session)) as tables:
            try:
                self._receive(tables)
                with session.settings(query.settings, query.important):
                    self._answer(query, session, bool(tables))
                self._send(varint(Told.END_OF_STREAM))
            except Refused as error:
                cancelled = self._stopped and error.code == QUERY_WAS_CANCELLED
                self._send(varint(Told.END_OF_STREAM) if cancelled else packets.exception(error))

    def _answer(self, query: Query, session: Session, has_tables: bool) -> None:
        word, insert = first_word(query.sql), insert_of_blocks(query.sql)
        sql = query.sql if word == "INSERT" else without_output(query.sql)
        only_one = self._endpoint.running.only_one(self._user, query.query_id)
        with only_one, session.admitted(sql) as seconds, self._source.within(seconds):
            if insert:
                self._insert(insert, session)
            elif word in ("SET", "USE"):
                session.refuse_several(sql)
                session.change(sql)
            else:
                self._run(sql, query.params, session, has_tables)

    def _run(self, sql: str, params: dict[str, str], session: Session, has_tables: bool) -> None:
        """Run any statement but an INSERT of blocks; send its result as it comes, and its columns if it is empty."""
        zones = Zones(session, sql, params)
        if has_tables:
            zones.ask_now()
        with self._endpoint.watch.over(self), self._progress(session):
            chunks = session.stream(sql, params)
            selects = chunks is not None
            if chunks is None:
                session.refuse_several(sql)
                chunks = (chunk for chunk in [session.run(sql, params)] if chunk)
            with closing(chunks):
                rows, blocks, size = self._send_blocks(chunks, zones)
        if self._stopped:
            raise _CANCELLED
        if not blocks and (selects or session.only_reads(sql)):
            self._send_block(header(_columns(session, sql, params, selects), self._revision))
        self._send(packets.profile(rows, blocks, size))

    def _send_blocks(self, chunks: Iterable[bytes], zones: Zones) -> tuple[int, int, int]:
        """Send a result; its rows, blocks and bytes."""
        rows = blocks = size = 0
        for chunk in chunks:
            for answer in answers(chunk, self._revision, zones.kind):
                if not blocks:
                    self._send_block(answer.header)
                self._send_block(answer.body)
                rows, blocks, size = rows + answer.rows, blocks + 1, size + len(answer.body)
            if self._stopped:
                break
        return rows, blocks, size

    @contextmanager
    def _progress(self, session: Session) -> Iterator[None]:
        progress = Progress()

        def say(sums: dict[str, int]) -> None:
            with suppress(Vanished):  # the query's end, or the watch, finds that out
                self._send(progress.packet(sums))

        with session.progress(say):
            yield

    def _insert(self, insert: Insert, session: Session) -> None:
        columns = columns_to_insert(session, insert)
        with closing(StagedInsert(session, insert, columns)) as staged:
            staged.open()
            self._send_block(header(columns, self._revision))
            for block in self._blocks():
                staged.add(block)
                self._send_events()
            staged.flush()
            self._send_events()

    def _send_events(self) -> None:
        """A client waits for these counters after each block it sends: there are none."""
        if self._revision >= EVENTS_IN_INSERT:
            self._send(packets.data(Told.PROFILE_EVENTS, BLOCK_HEAD + b"\x00\x00"))

    def _receive(self, tables: ExternalTables) -> None:
        """Read the tables sent along with a query, all of them even where one is refused."""
        refused: Refused | None = None
        for name, block in self._named_blocks():
            try:
                if not refused:
                    tables.add(name or "_data", block)
            except Refused as error:
                refused = error
        if refused:
            raise refused
        tables.check()

    def _blocks(self) -> Iterable[Block]:
        return (block for _, block in self._named_blocks())

    def _named_blocks(self) -> Iterator[tuple[str, Block]]:
        """Blocks of data, each with the name of its table, up to the empty one that ends them."""
        while True:
            self._source.trim()
            asked = self._source.varint()
            if asked == Asked.CANCEL:
                self._stopped = True
                raise _CANCELLED
            if asked != Asked.DATA:
                raise Malformed(f"packet {asked} where data should come")
            name, block = self._read_block()
            if not block.columns:
                return
            yield name, block

    def _read_block(self) -> tuple[str, Block]:
        name = self._source.string()
        source: Source = FrameSource(self._source) if self._compressed else self._source
        try:
            block = read_block(source, self._revision, self._bounds.columns)
        except Refused as error:  # where the block ends is not known
            self._part(error)
            raise Vanished("out of step") from error
        if source is not self._source and source.pos != len(source.data):
            raise Malformed("a compressed frame with more than a block")
        return name, block

    def _send_block(self, block: bytes) -> None:
        self._send(packets.data(Told.DATA, compressed(block) if self._compressed else block))

    def _part(self, error: Refused) -> None:
        """Say why the connection ends."""
        self._send(packets.exception(error))
        self._source.drain()

    def _send(self, packet: bytes) -> None:
        self._source.send(packet)


def _columns(session: Session, sql: str, params: dict[str, str], selects: bool) -> list[tuple[str, str]]:
    """Names and types of a result without rows."""
    if not selects:
        return session.columns(sql, params)
    return [(row[0], row[1]) for row in session.rows(description(sql), params)]
