"""Counts made another way: the pure fold of each room of a file, and plain Python dictionaries. No SQL, no worker."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

import orjson

from journey.calendar import Calendar
from journey.decode import decode
from journey.events import Entry, RoomKey, Tick
from journey.fold import Folded, fold

Edge = tuple[str, str, int, str, str, str, int, str]  # site, bot, step, dialog, move, message, next_step, next_dialog
Node = tuple[str, str, int, str]
FAR = 5_600_000_000_000  # the year 2147: after all that is known


@dataclass
class Day:
    """The sealed figures of a day: moves, rooms and customers of each edge and node; the rooms of the day."""

    moves: Counter[Edge] = field(default_factory=Counter)
    edge_rooms: defaultdict[Edge, set[str]] = field(default_factory=lambda: defaultdict(set))
    edge_customers: defaultdict[Edge, set[str]] = field(default_factory=lambda: defaultdict(set))
    inflow: Counter[Node] = field(default_factory=Counter)
    node_rooms: defaultdict[Node, set[str]] = field(default_factory=lambda: defaultdict(set))
    rooms: set[RoomKey] = field(default_factory=set)
    customers: defaultdict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))


def rooms_of(lines: Iterable[bytes]) -> dict[RoomKey, dict[int, Entry]]:
    """The rooms of a file that is imported as history: of each seq the first copy, received when it occurred."""
    rooms: dict[RoomKey, dict[int, Entry]] = {}
    for number, line in enumerate(lines):
        found = decode(line, str(orjson.loads(line)["room_id"]).encode(), FAR)
        assert not isinstance(found, Tick)
        key, event = found
        rooms.setdefault(key, {}).setdefault(event.seq, Entry(event, number, event.occurred_at))
    return rooms


def days_of(
    rooms: dict[RoomKey, dict[int, Entry]], zone: str, idle: int, left_out: frozenset[tuple[str, str]] = frozenset()
) -> dict[date, Day]:
    """The sealed days of these rooms: each room on the day on which it ended, whole, but for bots out of use."""
    calendar, days = Calendar(zone), defaultdict[date, Day](Day)
    for key, entries in rooms.items():
        folded = fold((entries[seq] for seq in sorted(entries)), idle, FAR)
        assert folded is not None
        assert folded.room.ended_at is not None
        _count(days[calendar.day(folded.room.ended_at)], key, folded, left_out)
    return days


def _count(day: Day, key: RoomKey, folded: Folded, left_out: frozenset[tuple[str, str]]) -> None:
    customer = folded.room.customer_id
    for row in folded.rows:
        if (key.site_id, row.bot_id) in left_out:
            continue
        head = (key.site_id, row.bot_id)
        edge = (*head, row.step, row.dialog, row.move, row.message, row.next_step, row.next_dialog)
        day.moves[edge] += 1
        day.edge_rooms[edge].add(key.room_id)
        day.edge_customers[edge].add(customer)
        day.rooms.add(key)
        day.customers[head].add(customer)
        if row.next_step:
            node = (*head, row.next_step, row.next_dialog)
            day.inflow[node] += 1
            day.node_rooms[node].add(key.room_id)
