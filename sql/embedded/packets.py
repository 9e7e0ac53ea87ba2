"""The protocol's packets, read and written by the revision that both sides know."""

import struct
from dataclasses import dataclass, field

from clickhouse_driver import defines
from clickhouse_driver.protocol import ServerPacketTypes

from sql.embedded.bounds import Bounds
from sql.embedded.errors import Malformed, Refused
from sql.embedded.statement import unquoted_value
from sql.embedded.wire import Source, string, varint

#: The newest revision that has the parameters of queries, and nothing after them.
REVISION = defines.DBMS_MIN_PROTOCOL_VERSION_WITH_PARAMETERS
_SHORT = 1 << 16
_MOST_SETTINGS = 4096
_IMPORTANT, _CUSTOM = 1, 2
_NO_QUERY = 0


@dataclass(frozen=True, slots=True)
class Hello:
    """A client's greeting. `revision` is the lower one of the client's and ours."""

    client: str
    revision: int
    database: str
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class Query:
    """A client's query. `query_id`: '' where it gave none; `important`: names of settings that must be known;
    `compressed`: blocks go by LZ4."""

    query_id: str
    sql: str
    compressed: bool
    settings: dict[str, str]
    important: frozenset[str]
    params: dict[str, str] = field(default_factory=dict)


def read_hello(source: Source) -> Hello:
    client = source.string(_SHORT)
    source.varint()
    source.varint()
    revision = min(source.varint(), REVISION)
    database, user, password = (source.string(_SHORT) for _ in range(3))
    if revision < defines.DBMS_MIN_REVISION_WITH_SETTINGS_SERIALIZED_AS_STRINGS:
        raise Malformed(f"revision {revision}: this client is too old")
    return Hello(client, revision, database, user, password)


def read_addendum(source: Source, revision: int) -> None:
    if revision >= defines.DBMS_MIN_PROTOCOL_VERSION_WITH_ADDENDUM:
        source.string(_SHORT)


def hello(version: tuple[int, ...], timezone: str) -> bytes:
    major, minor, patch = version
    named = string(defines.DBMS_NAME) + varint(major) + varint(minor) + varint(REVISION)
    shown = string(timezone) + string("Turnpath's embedded ClickHouse") + varint(patch)
    return varint(ServerPacketTypes.HELLO) + named + shown


def read_query(source: Source, revision: int, bounds: Bounds) -> Query:
    """The client's query. Refused (62) if its statement is longer than it may be."""
    query_id = source.string(_SHORT)
    _skip_client_info(source, revision)
    settings, important = _read_settings(source)
    if revision >= defines.DBMS_MIN_REVISION_WITH_INTERSERVER_SECRET:
        source.raw_string(_SHORT)
    source.varint()  # up to which stage: always to the end
    compressed = bool(source.varint())
    sql = source.string(check=bounds.check)
    params: dict[str, str] = {}
    if revision >= defines.DBMS_MIN_PROTOCOL_VERSION_WITH_PARAMETERS:
        given, _ = _read_settings(source)
        params = {name: unquoted_value(value) for name, value in given.items()}
    return Query(query_id, sql, compressed, settings, important, params)


def _skip_client_info(source: Source, revision: int) -> None:
    if source.byte() == _NO_QUERY:
        return
    for _ in range(3):
        source.raw_string(_SHORT)
    if revision >= defines.DBMS_MIN_PROTOCOL_VERSION_WITH_INITIAL_QUERY_START_TIME:
        source.take(8)
    if source.byte() != 1:
        raise Malformed("a client that does not speak TCP")
    for _ in range(3):
        source.raw_string(_SHORT)
    for _ in range(3):
        source.varint()
    source.raw_string(_SHORT)
    if revision >= defines.DBMS_MIN_PROTOCOL_VERSION_WITH_DISTRIBUTED_DEPTH:
        source.varint()
    source.varint()
    if revision >= defines.DBMS_MIN_REVISION_WITH_OPENTELEMETRY and source.byte():
        source.take(24)
        source.raw_string(_SHORT)
        source.byte()
    if revision >= defines.DBMS_MIN_REVISION_WITH_PARALLEL_REPLICAS:
        for _ in range(3):
            source.varint()


def _read_settings(source: Source) -> tuple[dict[str, str], frozenset[str]]:
    settings: dict[str, str] = {}
    important = set()
    while name := source.string(_SHORT):
        if len(settings) == _MOST_SETTINGS:
            raise Malformed(f"more than {_MOST_SETTINGS} settings or parameters")
        flags = source.varint()
        settings[name] = source.string()
        if flags & (_IMPORTANT | _CUSTOM):
            important.add(name)
    return settings, frozenset(important)


def exception(error: Refused) -> bytes:
    told = struct.pack("<i", error.code) + string("DB::Exception") + string(f"DB::Exception: {error.text}")
    return varint(ServerPacketTypes.EXCEPTION) + told + string("") + b"\x00"


def data(packet: int, body: bytes) -> bytes:
    """A packet with a block: its body, compressed or not, after the name of no table."""
    return varint(packet) + string("") + body


class Progress:
    """Sums of a query so far, told as what was added since the last time."""

    def __init__(self) -> None:
        self._told = [0] * 5

    def packet(self, sums: dict[str, int]) -> bytes:
        now = [
            sums[each] for each in ("read_rows", "read_bytes", "total_rows_to_read", "written_rows", "written_bytes")
        ]
        added = [max(0, new - old) for new, old in zip(now, self._told, strict=True)]
        self._told = now
        return varint(ServerPacketTypes.PROGRESS) + b"".join(map(varint, added))


def profile(rows: int, blocks: int, size: int) -> bytes:
    return varint(ServerPacketTypes.PROFILE_INFO) + varint(rows) + varint(blocks) + varint(size) + b"\x00\x00\x00"
