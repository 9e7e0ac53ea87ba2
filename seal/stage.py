"""Where a seal is built aside: tables of its own, which no reader sees, and which go however the seal ends."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import structlog

from journey.errors import TurnpathError
from settings import Settings
from sql.client import Client

log = structlog.get_logger()

PREFIX = "daily_stage_"

#: A stage older than this was left by a seal that was killed: none takes as long.
_STALE_HOURS = 3


def connection(settings: Settings, *, reconnect: bool = False) -> Client:
    """A connection for building in a stage: of a larger day than fits into TURNPATH_SEAL_MEMORY, ClickHouse puts what
    it groups, sorts and joins aside on its disk. Lost, it stays so: a ClickHouse that was started again has no rooms in
    the stage's sets, and what is built of the rest is not the day."""
    most = settings.seal_memory
    return Client(
        settings.clickhouse,
        reconnect=reconnect,
        limits={
            "max_memory_usage": most,
            "max_bytes_before_external_group_by": most // 3,
            "max_bytes_before_external_sort": most // 3,
            "max_bytes_before_external_join": most // 3,
            # all rows of the joins here find their like, but those of bots left out: to look beforehand costs a tenth
            "enable_join_runtime_filters": 0,
        },
    )


class Stage:
    """The names of a seal's own tables. `holds`: the rows of the day's rooms are copied into it before any is read, so
    that nothing late can come in between.

    `daily`: what will be published. `marks`: rooms looked at, with what to do with them (seal.membership). `rooms`: a
    view of them, the day's rooms; of those whose rows are not aside `standing` is the set, and `early` that of those
    with rows of the day before. `moves`: the rows that are aside, of rooms folded anew or copied. `bots`: those out of
    use. `edges`: the day's edges, numbered. The sets alone lie in memory; `check` sees that they are still there.
    """

    def __init__(self, name: str, *, holds: bool = False) -> None:
        self.name, self.holds = name, holds
        self.daily = name
        self.marks, self.rooms, self.moves = f"{name}_marks", f"{name}_rooms", f"{name}_moves"
        self.bots, self.edges = f"{name}_bots", f"{name}_edges"
        self.standing, self.early = f"{name}_standing", f"{name}_early"

    @property
    def _tables(self) -> tuple[str, ...]:
        return (
            self.daily, self.moves, self.marks, self.rooms, self.bots, self.edges, self.standing, self.early,
        )  # fmt: skip

    def make(self, client: Client) -> None:
        """Create the tables, empty."""
        client.run(f"CREATE TABLE {self.daily} AS daily")
        # Not of moves' engine: its time to live would take the rows of old days away.
        client.run(f"CREATE TABLE {self.moves} AS moves ENGINE = MergeTree ORDER BY (site_id, bot_id, room)")
        client.run(f"CREATE TABLE {self.marks} ({_MARKS}) ENGINE = MergeTree ORDER BY tuple()")
        bots = "site_id LowCardinality(String), bot_id LowCardinality(String)"
        for name, columns in ((self.bots, bots), (self.edges, _EDGES)):
            client.run(f"CREATE TABLE {name} ({columns}) ENGINE = MergeTree ORDER BY tuple()")
        for name in (self.standing, self.early):
            client.run(f"CREATE TABLE {name} (room UInt128) ENGINE = Set SETTINGS persistent = 0")

    def sizes(self, client: Client) -> tuple[int, int]:
        """How many rooms are in the sets `standing` and `early`: none where ClickHouse was started again."""
        rows = client.rows(
            "SELECT name, ifNull(total_rows, 0) FROM system.tables "
            "WHERE database = currentDatabase() AND name IN {sets:Array(String)}",
            {"sets": [self.standing, self.early]},
        )
        found = dict(rows)
        return found.get(self.standing, 0), found.get(self.early, 0)

    def drop(self, client: Client) -> None:
        """Drop what there is of them."""
        for name in self._tables:
            client.run(f"DROP TABLE IF EXISTS {name}")


_MARKS = """
    site_id LowCardinality(String),
    room_id String,
    customer_id String,
    room UInt128 DEFAULT reinterpretAsUInt128(sipHash128(site_id, room_id)),
    customer UInt128 DEFAULT reinterpretAsUInt128(sipHash128(site_id, customer_id)),
    ended_at DateTime64(3, 'UTC'),
    is_early Bool,
    mark LowCardinality(String)
"""
# bot: its number among the day's; match: what a row of `moves` is matched by; key: what a room's digest is made of;
# place: number and node in one, so that a room has one array of both
_EDGES = """
    site_id LowCardinality(String),
    bot_id LowCardinality(String),
    bot UInt32,
    number UInt32,
    node UInt32,
    step UInt16,
    dialog LowCardinality(String),
    move LowCardinality(String),
    message LowCardinality(String),
    next_step UInt16,
    next_dialog LowCardinality(String),
    moves UInt64,
    key UInt64,
    match UInt64,
    place UInt64 DEFAULT bitOr(bitShiftLeft(toUInt64(number), 32), toUInt64(node))
"""


@contextmanager
def stage(client: Client, day: date, *, holds: bool = False) -> Iterator[Stage]:
    """A stage of its own name; dropped at the end, whatever comes. `holds`: see Stage."""
    made = Stage(f"{PREFIX}{day:%Y%m%d}_{secrets.token_hex(6)}", holds=holds)
    try:
        made.make(client)
        yield made
    finally:
        # What was under way on the connection may have been cut off in the middle.
        client.close()
        try:
            made.drop(client)
        except TurnpathError as error:
            log.warning("stage_left_behind", stage=made.name, error=str(error))


def drop_stale(client: Client) -> list[str]:
    """Drop the tables that killed seals left behind; their names."""
    stale = client.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {prefix:String}) "
        "AND metadata_modification_time < now() - toIntervalHour({hours:UInt8})",
        {"prefix": PREFIX, "hours": _STALE_HOURS},
    )
    for (name,) in stale:
        client.run(f"DROP TABLE IF EXISTS {name}")
    return [name for (name,) in stale]
