"""What must stand in the tables, from the logs as Kafka has them and from what the sender meant; no SQL, no worker.

The logs decide the order and the times; what a record is, its sender knows. Everything else is the pure fold.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any

from msgspec.structs import astuple

from broker.consumed import read_whole
from journey.calendar import Calendar
from journey.events import TOPIC_BOTS, TOPIC_IMPORT, TOPIC_LIVE, Entry, RoomKey
from journey.fold import Folded, fold
from journey.room import TIMEOUT_PART, Room, Row
from tests.faults.traffic import Meant

Place = tuple[str, int]
Bot = tuple[str, bool]
TICK = b'{"type":"tick"}'

#: What of a room stands in `rooms`, beside its key and where it came from.
ROOM = (
    "bot_id", "customer_id", "opened_at", "last_at", "entered_at", "ended_at", "closed_by", "phase", "phase_since",
    "ended_from", "step", "dialog", "turns", "errors", "gaps", "last_received_at",
)  # fmt: skip


@dataclass
class Node:
    """Figures of a (step, dialog) on a day, as `day_nodes` gives them."""

    inflow: int = 0
    rooms: set[RoomKey] = field(default_factory=set)
    customers: set[tuple[str, str]] = field(default_factory=set)
    ways: Counter[str] = field(default_factory=Counter)
    timeouts: int = 0
    fresh_out: int = 0
    carried: int = 0


@dataclass
class Edge:
    """Figures of an edge: moves, and rooms and customers each once; `carried` as `day_edges` gives it."""

    moves: int = 0
    carried: int = 0
    rooms: set[RoomKey] = field(default_factory=set)
    customers: set[tuple[str, str]] = field(default_factory=set)


@dataclass
class Model:
    """Rows by their keys; `moves` and `rooms` as FINAL shows them once all is at rest.

    `turns`: (room, seq) -> (topic, partition, offset, received_at, *Event); `moves`: (room, bot, day, seq, part) ->
    (customer, *Row); `rooms`: (room, day) -> (topic, partition, *ROOM); `letters`: (topic, partition, offset) ->
    reason; `bots`: offset -> (name, in use); `times`: of each partition, its time after each offset; `absent`: values
    sent that no log has; `unknown`: what a log has and nobody sent.
    """

    calendar: Calendar
    idle: int
    turns: dict[Any, tuple[Any, ...]] = field(default_factory=dict)
    moves: dict[Any, tuple[Any, ...]] = field(default_factory=dict)
    rooms: dict[Any, tuple[Any, ...]] = field(default_factory=dict)
    letters: dict[tuple[str, int, int], str] = field(default_factory=dict)
    times: dict[Place, list[int]] = field(default_factory=dict)
    entries: dict[RoomKey, dict[int, Entry]] = field(default_factory=dict)
    places: dict[RoomKey, Place] = field(default_factory=dict)
    bots: dict[int, Bot] = field(default_factory=dict)
    repeats: int = 0
    ticks: int = 0
    absent: list[bytes] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    _rows: list[tuple[RoomKey, str, Row]] = field(default_factory=list)

    def take(self, place: Place, offset: int, received_at: int, meant: Meant | None) -> None:
        """The next record of a partition; None: a tick."""
        times = self.times.setdefault(place, [])
        times.append(max(received_at, times[-1] if times else 0))
        if meant is None:
            self.ticks += 1
        elif isinstance(meant, str):
            self.letters[*place, offset] = meant
        else:
            key, event = meant
            known = self.entries.setdefault(key, {})
            self.places.setdefault(key, place)
            first = known.setdefault(event.seq, Entry(event, offset, received_at))
            if first.event != event:
                self.letters[*place, offset] = "conflict"
            elif first.offset != offset:
                self.repeats += 1

    def fold(self) -> None:
        """All records are taken: what stands, with all gaps given up, as of each partition's time."""
        for key, entries in self.entries.items():
            place = self.places[key]
            head = {seq: (*place, e.offset, e.received_at, *astuple(e.event)) for seq, e in entries.items()}
            self.turns |= {(key, seq): row for seq, row in head.items()}
            done = self.folded(key, self.times[place][-1])
            assert done is not None
            for row in done.rows:
                at = (key, row.bot_id, self.calendar.day(row.occurred_at), row.seq, row.part)
                self.moves[at] = (done.room.customer_id, *astuple(row))
                self._rows.append((key, done.room.customer_id, row))
            self.rooms[key, self.calendar.day(done.room.opened_at)] = (*place, *room_row(done.room))

    def folded(self, key: RoomKey, now: int, received_by: int | None = None) -> Folded | None:
        """A room, of what was received by then, at `now`."""
        found = self.entries[key]
        until = [found[seq] for seq in sorted(found) if received_by is None or found[seq].received_at <= received_by]
        return fold(until, self.idle, now)

    def counts(self, *, timeouts: bool) -> Counter[Any]:
        """The rows by (day, site, bot, *edge), with those of timeouts or without."""
        return Counter(
            (self.calendar.day(row.occurred_at), key.site_id, row.bot_id, *edge_of(row))
            for key, _, row in self._rows
            if timeouts or row.part != TIMEOUT_PART
        )

    def live(self) -> tuple[dict[Any, Edge], dict[Any, Node]]:
        """`day_edges` and `day_nodes` of every (day, site, bot)."""
        edges: dict[Any, Edge] = defaultdict(Edge)
        nodes: dict[Any, Node] = defaultdict(Node)
        for key, customer, row in self._rows:
            day = self.calendar.day(row.occurred_at)
            head = (day, key.site_id, row.bot_id)
            fresh = self.calendar.day(row.entered_at) == day
            edge = edges[*head, *edge_of(row)]
            edge.moves += 1
            edge.carried += not fresh and row.move not in ("start", "agent_served")
            edge.rooms.add(key)
            edge.customers.add((key.site_id, customer))
            if row.next_step and row.move != "agent_served":
                entered = nodes[*head, row.next_step, row.next_dialog]
                entered.inflow += 1
                entered.rooms.add(key)
                entered.customers.add((key.site_id, customer))
            if row.move != "start":
                left = nodes[*head, row.step, row.dialog]
                left.ways[row.move] += 1
                left.timeouts += row.move == "bot_end" and row.message == "timeout"
                left.fresh_out += fresh and row.move != "agent_served"
                left.carried += not fresh and row.move != "agent_served"
        return edges, nodes

    def sealed(self, day: date, seal_at: time, elsewhere: set[RoomKey]) -> tuple[dict[Any, Edge], set[Any]]:
        """A day's seal: its edges by (site, bot, *edge); its rooms as (site, bot, room_id, moves, ended_at)."""
        cut_off = self.calendar.cut_off(day, seal_at)
        edges: dict[Any, Edge] = defaultdict(Edge)
        rooms: Counter[tuple[Any, ...]] = Counter()
        for key in self.entries:
            done = self.folded(key, cut_off, cut_off)
            if done is None or done.room.ended_at is None or key in elsewhere:
                continue
            if self.calendar.day(done.room.ended_at) != day:
                continue
            for row in done.rows:
                edge = edges[key.site_id, row.bot_id, *edge_of(row)]
                edge.moves += 1
                edge.rooms.add(key)
                rooms[key.site_id, row.bot_id, key.room_id, done.room.ended_at] += 1
        return edges, {(*room, moves) for room, moves in rooms.items()}


def edge_of(row: Row) -> tuple[Any, ...]:
    return row.step, row.dialog, row.move, row.message, row.next_step, row.next_dialog


def room_row(room: Room) -> tuple[Any, ...]:
    return tuple(getattr(room, name) for name in ROOM)


async def model_of(
    kafka: str, meant: Mapping[bytes, Meant | Bot], sent: set[bytes], calendar: Calendar, idle: int
) -> Model:
    """Read the topics whole. `meant`: what each value is; `sent`: the values that the broker has confirmed."""
    model, seen = Model(calendar, idle), set[bytes]()
    for topic in (TOPIC_LIVE, TOPIC_IMPORT, TOPIC_BOTS):
        async for record in read_whole(kafka, topic):
            value = record.value or b""
            if value != TICK and value not in meant:
                model.unknown.append(f"{topic}[{record.partition}]@{record.offset}: {value[:100]!r}")
                continue
            seen.add(value)
            found: Any = meant.get(value)
            if topic == TOPIC_BOTS:
                model.bots[record.offset] = found
            else:
                model.take((topic, record.partition), record.offset, record.received_at, found)
    model.absent = sorted(sent - seen)
    model.fold()
    return model
