"""Random rooms, folded, as they stand in `moves`, `rooms` and `daily`; for tests that count them a second time."""

import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from journey.calendar import Calendar
from journey.events import TOPIC_LIVE, Entry
from journey.fold import fold
from journey.room import TIMEOUT_PART, Room, Row
from sql.client import Client
from sql.migrate import migrate
from sql.sink import MOVES, ROOMS
from tests.conftest import somewhere
from tests.unit.histories import DAY, random_room

SITE = "shop"
SEOUL = Calendar("Asia/Seoul")
Node = tuple[int, str]
Edge = tuple[int, str, str, str, int, str]


@dataclass(frozen=True)
class MadeRoom:
    """A room with its rows in order; `number` is what `daily` knows it and its customer by."""

    room_id: str
    customer_id: str
    rows: list[Row]
    room: Room
    topic: str = TOPIC_LIVE
    number: int = 0

    @property
    def ended_on(self) -> date | None:
        return None if self.room.ended_at is None else SEOUL.day(self.room.ended_at)


@dataclass
class Made:
    """All rooms of one site."""

    rooms: list[MadeRoom] = field(default_factory=list)

    def rows(self, bot: str) -> Iterator[tuple[MadeRoom, Row]]:
        return ((room, row) for room in self.rooms for row in room.rows if row.bot_id == bot)

    def ended(self, days: Iterable[date]) -> list[MadeRoom]:
        wanted = set(days)
        return [room for room in self.rooms if room.ended_on in wanted]


def made_rooms(rng: random.Random, first: date, days: int, count: int, now: int | None = None) -> Made:
    """`count` rooms that open on the days from `first` on, before `now`; who is idle then is closed (None: all are)."""
    start = SEOUL.midnight(first)
    end = start + days * DAY if now is None else min(start + days * DAY, now)
    return Made([_made(rng, n, rng.randrange(start, end), now) for n in range(count)])


def _made(rng: random.Random, number: int, opening: int, now: int | None) -> MadeRoom:
    customer = f"customer {rng.randrange(20)}"
    events = [replace(event, customer_id=customer) for event in random_room(rng, opening, longest=9)]
    events = [event for event in events if now is None or event.occurred_at <= now] or events[:1]
    entries = [Entry(event, offset, event.occurred_at) for offset, event in enumerate(events)]
    folded = fold(entries, DAY, now or entries[-1].received_at + 10 * DAY)
    assert folded is not None
    return MadeRoom(f"room {number}", customer, folded.rows, folded.room, number=number + 1)


def edge(row: Row) -> Edge:
    return row.step, row.dialog, row.move, row.message, row.next_step, row.next_dialog


def insert_moves(client: Client, made: Made, rng: random.Random) -> None:
    """The rows; among them older versions that were replaced, and rows that were taken back."""
    rows = []
    for room in made.rooms:
        for row in room.rows:
            rows.append(_move(room, row, version=10))
            if rng.random() < 0.2:
                replaced = replace(row, dialog="replaced")
                rows.append(_move(room, replaced, version=8))
                if row.part == TIMEOUT_PART:  # one of another edge is taken back, too, as a worker does
                    rows.append(_move(room, replaced, version=9, is_deleted=1))
            if rng.random() < 0.2:
                gone = replace(row, seq=row.seq + 100)
                rows += [_move(room, gone, version=8), _move(room, gone, version=10, is_deleted=1)]
    rng.shuffle(rows)
    half = len(rows) // 2
    for some in (rows[:half], rows[half:]):
        insert_rows(client, "moves", MOVES, some)


def _move(room: MadeRoom, row: Row, version: int, is_deleted: int = 0) -> tuple[Any, ...]:
    known = {f: getattr(row, f) for f in row.__struct_fields__}
    known |= {"site_id": SITE, "room_id": room.room_id, "customer_id": room.customer_id}
    known |= {"version": version, "is_deleted": is_deleted}
    return tuple(known[name] for name in MOVES)


def insert_rooms(client: Client, made: Made) -> None:
    """The rows of `rooms`, each with an older version; by two inserts, since one would keep the newer ones alone."""
    for version in (2, 4):
        insert_rows(client, "rooms", ROOMS, [room_row(room, version) for room in made.rooms])


def room_row(made: MadeRoom, version: int) -> tuple[Any, ...]:
    known = {name: getattr(made.room, name) for name in ROOMS if hasattr(made.room, name)}
    known |= {"site_id": SITE, "room_id": made.room_id, "topic": made.topic, "partition": 0}
    known |= {"version": version, "is_deleted": 0}
    if version == 2:
        known |= {"phase": "waiting", "ended_at": None}
    return tuple(known[name] for name in ROOMS)


def insert_rows(client: Client, table: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        client.insert(table, dict(zip(names, zip(*rows, strict=True), strict=True)))


@contextmanager
def database(address: str, folder: Path) -> Iterator[Client]:
    """A migrated database for as long as its user wishes, in which nothing expires: the days here are fixed."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    url = f"clickhouse://{address}/{name}"
    migrate(somewhere(folder, clickhouse=url))
    with Client(url) as client:
        for table in ("turns", "moves", "rooms"):
            client.run(f"ALTER TABLE {table} REMOVE TTL")
        yield client
        client.run(f"DROP DATABASE {name}")


# daily ------------------------------------------------------------------------------------------------------------
_DAILY = {
    "day": date(1970, 1, 1), "revision": 1, "kind": "seal", "site_id": "", "bot_id": "", "number": 0, "step": 0,
    "dialog": "", "move": "", "message": "", "next_step": 0, "next_dialog": "", "moves": 0, "rooms": 0, "room": 0,
    "room_id": "", "customer": 0, "ended_at": 0, "edges": [], "nodes": [], "as_of": 0, "sealed_at": 0,
    "bots_left_out": [], "checksum": "",
}  # fmt: skip


def insert_daily(client: Client, rows: Iterable[dict[str, Any]], table: str = "daily") -> None:
    """Rows of `daily`, each given by what differs from an empty one."""
    whole = [{**_DAILY, **row} for row in rows]
    client.insert(table, {name: [row[name] for row in whole] for name in _DAILY})


def sealed(made: Made, day: date, rng: random.Random) -> Iterator[dict[str, Any]]:
    """What a seal of the day writes: its own row, and for each bot the figures and the rooms."""
    rooms = made.ended([day])
    as_of = SEOUL.cut_off(day, time(0, 40))
    seal = {"day": day, "as_of": as_of, "sealed_at": as_of + 1000, "checksum": f"of {day}"}
    yield {**seal, "rooms": len(rooms), "moves": sum(len(room.rows) for room in rooms)}
    for bot in sorted({row.bot_id for room in rooms for row in room.rows}):
        place = {"day": day, "site_id": SITE, "bot_id": bot}
        nodes = _numbered(rooms, bot, rng, lambda row: (row.next_step, row.next_dialog) if row.next_step else None)
        edges = _numbered(rooms, bot, rng, edge)
        for (step, dialog), (number, moves, came) in nodes.items():
            figures = {"number": number, "moves": moves, "rooms": came}
            yield {**place, "kind": "node", "step": step, "dialog": dialog, **figures}
        for found, (number, moves, came) in edges.items():
            named = dict(zip(("step", "dialog", "move", "message", "next_step", "next_dialog"), found, strict=True))
            yield {**place, "kind": "edge", **named, "number": number, "moves": moves, "rooms": came}
        for room in rooms:
            yield from _room_rows(room, bot, place, nodes, edges)


def _numbered(
    rooms: Iterable[MadeRoom], bot: str, rng: random.Random, key: Callable[[Row], Any]
) -> dict[Any, tuple[int, int, int]]:
    """Of each key: its number (in no order), its moves, its rooms."""
    moves: Counter[Any] = Counter()
    came: defaultdict[Any, set[str]] = defaultdict(set)
    for room in rooms:
        for row in room.rows:
            if row.bot_id == bot and (found := key(row)) is not None:
                moves[found] += 1
                came[found].add(room.room_id)
    order = sorted(moves)
    rng.shuffle(order)
    return {found: (n, moves[found], len(came[found])) for n, found in enumerate(order, 1)}


def _room_rows(
    room: MadeRoom, bot: str, place: dict[str, Any], nodes: dict[Any, Any], edges: dict[Any, Any]
) -> Iterator[dict[str, Any]]:
    rows = [row for row in room.rows if row.bot_id == bot]
    if rows:
        named = {"room": room.number, "room_id": room.room_id, "customer": int(room.customer_id.split()[1]) + 1}
        came = {
            "edges": sorted({edges[edge(row)][0] for row in rows}),
            "nodes": sorted({nodes[(row.next_step, row.next_dialog)][0] for row in rows if row.next_step}),
        }
        yield {**place, "kind": "room", **named, **came, "moves": len(rows), "ended_at": room.room.ended_at}
