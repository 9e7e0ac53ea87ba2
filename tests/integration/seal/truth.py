"""Random logs around midnights and cut-offs, a worker that consumes them, and what a seal must be, counted anew.

The count knows nothing of the seal's ways: it folds every room from the log alone and counts rows in plain Python.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from threading import Event as Flag
from typing import Any

from msgspec.structs import replace

from journey.calendar import Calendar
from journey.events import TOPIC_IMPORT, TOPIC_LIVE, Entry, Event, RoomKey, Tick
from journey.fold import fold
from journey.room import Row
from sql.client import Client
from sql.readback import Readback
from sql.sink import Sink
from stream.batch import Batches
from stream.poll import Poll
from stream.windows import Quiet
from tests.unit.histories import BOTS, DAY, HOUR, Record, random_room, wire

SEAL_AT = time(0, 40)
WAIT, IDLE = 30_000, DAY
SITES = ("s", "t")
Place = tuple[str, int]
PLACES: tuple[Place, ...] = ((TOPIC_LIVE, 0), (TOPIC_LIVE, 7), (TOPIC_IMPORT, 7))


class RandomLog:
    """Logs of some partitions about the days from `first` on: rooms that end, or nearly do, on each of them.

    `late`: how likely an event is to be received days later, `late_rooms`: all of a room; `conflicts`: how likely an
    event is to come once more with other content.
    `sites`: whose rooms they are, `rooms` of each topic's partition between them."""

    def __init__(
        self,
        rng: random.Random,
        calendar: Calendar,
        first: date,
        days: int,
        rooms: int,
        late: float = 0,
        late_rooms: float = 0,
        conflicts: float = 0,
        sites: Sequence[str] = SITES,
    ) -> None:
        self.rng, self.calendar, self.late, self.conflicts, self.sites = rng, calendar, late, conflicts, sites
        self.late_rooms = late_rooms
        self.days = [first + timedelta(days=n) for n in range(days)]
        self.moments = [calendar.midnight(day) for day in self.days]
        self.moments += [calendar.cut_off(day, SEAL_AT) for day in self.days]
        self.records = {place: self._log(place, number, rooms) for number, place in enumerate(PLACES)}

    def _log(self, place: Place, number: int, rooms: int) -> list[Record]:
        sent: list[tuple[int, RoomKey, Event]] = []
        for room in range(rooms):
            key = RoomKey(self.rng.choice(self.sites), f"r{number}-{room // 2}-{room % 2}")
            sent += self._room(key)
        if place[0] == TOPIC_LIVE or self.rng.random() < 0.5:
            sent.sort(key=lambda item: item[0])
        return [record(offset, at, key, event) for offset, (at, key, event) in enumerate(sent)]

    def _room(self, key: RoomKey) -> Iterable[tuple[int, RoomKey, Event]]:
        rng = self.rng
        customer = f"customer {rng.randrange(30)}"
        if rng.random() < 0.5:  # most rooms of a real day: in order, at once, and soon over
            late = rng.choice((DAY, 2 * DAY)) if self.late_rooms and rng.random() < self.late_rooms else 0
            for event in random_room(rng, self._opening(), longest=7):
                told = replace(event, customer_id=customer, scenario_version=rng.choice(("v1", "v2")))
                yield event.occurred_at + late + rng.randint(0, 3000), key, told
            return
        for event in random_room(rng, self._opening(), longest=7):
            if rng.random() < 0.06:
                continue  # a gap
            # a wrong clock now and then: the contract allows a day ahead, and any time before
            at = event.occurred_at + (rng.choice((-3 * DAY, -HOUR, HOUR)) if rng.random() < 0.03 else 0)
            if rng.random() < 0.06:
                at = rng.choice(self.moments) + rng.choice((-1, 0, 1))
            received = self._received(at)
            told = replace(event, occurred_at=at, customer_id=customer, scenario_version=rng.choice(("v1", "v2")))
            yield received, key, told
            if rng.random() < 0.1:
                yield received + rng.choice((0, 5, HOUR, DAY)), key, told
            if self.conflicts and rng.random() < self.conflicts:
                yield received + rng.choice((0, 5, HOUR, DAY)), key, replace(told, channel="other")

    def _opening(self) -> int:
        rng = self.rng
        if rng.random() < 0.3:
            return self.calendar.midnight(rng.choice(self.days)) + rng.randrange(DAY)
        before = rng.choice((0, 0, 5000, HOUR, DAY, DAY + HOUR))
        return rng.choice(self.moments) - before + rng.choice((-1, 0, 1, -20_000, 20_000))

    def _received(self, at: int) -> int:
        rng = self.rng
        if self.late and rng.random() < self.late:
            return at + rng.choice((DAY, 2 * DAY, 3 * DAY))
        if rng.random() < 0.08:
            later = [moment for moment in self.moments if moment - 2 * DAY < at <= moment]
            return (rng.choice(later) if later else at) + rng.choice((-1, 0, 1))
        if rng.random() < 0.6:
            return at + rng.randint(0, 3000)
        return at + rng.choice((-DAY, -HOUR, 31_000, 45 * 60_000, HOUR, 3 * HOUR, DAY, 2 * DAY))


def record(offset: int, received_at: int, key: RoomKey, event: Event) -> Record:
    """The record of an event, as a producer would have sent it."""
    value = wire(key, event, "what the customer wrote")
    return Record(offset, received_at, (key, event), key.room_id.encode(), value)


class Consumer:
    """The real worker's batches over the real tables."""

    def __init__(self, client: Client, log: RandomLog) -> None:
        self.log, self.rng = log, log.rng
        self.position = dict.fromkeys(PLACES, 0)
        self.time = dict.fromkeys(PLACES, 0)
        memory = self.rng.choice((3, 10_000))
        self.batches = Batches(
            Readback(client), Sink(client), log.calendar, wait=WAIT, idle=IDLE, rooms_in_memory=memory, stopping=Flag()
        )

    def consume(self, cut_off: int) -> None:
        """Go on until all that was received by the cut-off (of imports: all) may be committed, or further."""
        needed = {
            place: sum(record.timestamp <= cut_off or place[0] != TOPIC_LIVE for record in records)
            for place, records in self.log.records.items()
        }
        until = needed
        while until:
            committed = self._run(until)
            until = {
                place: self.position[place] + self.rng.randint(1, 20)
                for place in needed
                if committed.get(place, needed[place]) < needed[place] or self.rng.random() < 0.08
            }

    def fall_silent(self) -> None:
        """Time passes in every partition until the workers have closed all rooms."""
        at = max(record.timestamp for records in self.log.records.values() for record in records) + 10 * DAY
        for records in self.log.records.values():
            records.append(Record(len(records), at, Tick(), None, b'{"type":"tick"}'))
        self._run({place: len(records) for place, records in self.log.records.items()})
        ends = {place: len(records) for place, records in self.log.records.items()}
        self.batches.write(self.batches.prepare([], Quiet(at, ends, look=True)))

    def _run(self, until: dict[Place, int]) -> dict[Place, int]:
        """Consume up to these offsets in one batch; what may be committed of the places that had something."""
        polls = [self._polled(place, offset) for place, offset in until.items()]
        return self.batches.run([poll for poll in polls if poll.records])

    def _poll(self, place: Place, until: int) -> None:
        self._run({place: until})

    def _polled(self, place: Place, until: int) -> Poll:
        """The records up to that offset; past the log's end there is a tick."""
        records = self.log.records[place]
        if until > len(records):
            at = max(self.time[place], records[-1].timestamp) + self.rng.choice((31_000, HOUR))
            records.append(Record(len(records), at, Tick(), None, b'{"type":"tick"}'))
            until = len(records)
        some = records[self.position[place] : until]
        self.position[place] = max(until, self.position[place])
        self.time[place] = max(self.time[place], *(record.timestamp for record in some), 0)
        return Poll(*place, some, len(records))


@dataclass
class Truth:
    """What is to be published of a day: rows as tuples, see `count`."""

    edges: set[Any] = field(default_factory=set)
    nodes: set[Any] = field(default_factory=set)
    rooms: set[Any] = field(default_factory=set)
    left_out: list[str] = field(default_factory=list)


def received(log: RandomLog, cut_off: int) -> dict[RoomKey, list[Entry]]:
    """By room, in the order of seq: of each seq the copy with the lowest offset, if received by the cut-off."""
    rooms: dict[RoomKey, dict[int, Entry]] = defaultdict(dict)
    for records in log.records.values():
        for record in records:
            if isinstance(record.sent, tuple):
                key, event = record.sent
                rooms[key].setdefault(event.seq, Entry(event, record.offset, record.timestamp))
    return {
        key: [found[seq] for seq in sorted(found) if found[seq].received_at <= cut_off] for key, found in rooms.items()
    }


def count(
    log: RandomLog, day: date, out_of_use: set[tuple[str, str]], elsewhere: set[RoomKey], as_of: int | None = None
) -> Truth:
    """What was received by `as_of` (None: the day's cut-off) makes of the day.

    Edges: (site, bot, number, *edge, moves, rooms); nodes: (site, bot, number, step, dialog, moves, rooms); rooms:
    (site, bot, room_id, moves, customer, channel, version, ended_at, edge numbers, node numbers)."""
    cut_off = log.calendar.cut_off(day, SEAL_AT) if as_of is None else as_of
    rows: dict[tuple[str, str], list[tuple[RoomKey, Any, Row]]] = defaultdict(list)
    left_out = set()
    for key, entries in received(log, cut_off).items():
        folded = fold(entries, IDLE, cut_off)
        if folded is None or key in elsewhere or folded.room.ended_at is None:
            continue
        if log.calendar.day(folded.room.ended_at) != day:
            continue
        for row in folded.rows:
            bot = (key.site_id, row.bot_id)
            if bot in out_of_use:
                left_out.add(":".join(bot))
            else:
                rows[bot].append((key, folded.room, row))
    truth = Truth(left_out=sorted(left_out))
    for bot, came in rows.items():
        _count_bot(truth, bot, came)
    return truth


def rooms_of(
    log: RandomLog, day: date, out_of_use: set[tuple[str, str]], elsewhere: set[RoomKey], as_of: int
) -> dict[RoomKey, Any]:
    """What the day has of each room, as `count` does, by itself: its rows by bot, with how often each came."""
    found: dict[RoomKey, Any] = {}
    for key, entries in received(log, as_of).items():
        folded = fold(entries, IDLE, as_of)
        if folded is None or key in elsewhere or folded.room.ended_at is None:
            continue
        rows = [row for row in folded.rows if (key.site_id, row.bot_id) not in out_of_use]
        if rows and log.calendar.day(folded.room.ended_at) == day:
            last = {row.bot_id: (row.channel, row.scenario_version) for row in rows}
            came = Counter((row.bot_id, _edge(row)) for row in rows)
            found[key] = folded.room.customer_id, folded.room.ended_at, last, came
    return found


def _edge(row: Row) -> tuple[Any, ...]:
    return row.step, row.dialog, row.move, row.message, row.next_step, row.next_dialog


def _count_bot(truth: Truth, bot: tuple[str, str], came: list[tuple[RoomKey, Any, Row]]) -> None:
    edges, nodes = defaultdict(list), defaultdict(list)
    rooms: dict[RoomKey, list[tuple[Any, Row]]] = defaultdict(list)
    for key, room, row in came:
        edges[_edge(row)].append(key)
        if row.next_step:
            nodes[row.next_step, row.next_dialog].append(key)
        rooms[key].append((room, row))
    edge_numbers = {edge: number for number, edge in enumerate(sorted(edges), 1)}
    node_numbers = {node: number for number, node in enumerate(sorted(nodes), 1)}
    truth.edges |= {(*bot, edge_numbers[e], *e, len(keys), len(set(keys))) for e, keys in edges.items()}
    truth.nodes |= {(*bot, node_numbers[n], *n, len(keys), len(set(keys))) for n, keys in nodes.items()}
    for key, mine in rooms.items():
        room, last = max(mine, key=lambda item: (item[1].seq, item[1].part))
        by_edges = tuple(sorted({edge_numbers[_edge(row)] for _, row in mine}))
        by_nodes = tuple(sorted({node_numbers[r.next_step, r.next_dialog] for _, r in mine if r.next_step}))
        told = (room.customer_id, last.channel, last.scenario_version, room.ended_at, by_edges, by_nodes)
        truth.rooms.add((*bot, key.room_id, len(mine), *told))


def random_bots(rng: random.Random, log: RandomLog) -> list[tuple[Any, ...]]:
    """Rows for `bots`: switched off and on about the cut-offs, not in the order of occurred_at."""
    cut_offs = [log.calendar.cut_off(day, SEAL_AT) for day in log.days]
    rows = []
    for offset in range(rng.randint(0, 6 * len(log.sites))):
        at = rng.choice(cut_offs) + rng.choice((-HOUR, -1, 0, 1, 60_000))
        rows.append((rng.choice(log.sites), rng.choice(BOTS), "name", rng.random() < 0.4, "", "", at, at, 0, offset))
    return rows


def out_of_use(bots: list[tuple[Any, ...]], cut_off: int) -> set[tuple[str, str]]:
    """Whose last change up to the cut-off says so."""
    last: dict[tuple[str, str], tuple[int, int, bool]] = {}
    for row in bots:
        if row[6] <= cut_off:
            last[row[0], row[1]] = max(last.get((row[0], row[1]), (0, -1, True)), (row[6], row[9], row[3]))
    return {bot for bot, (_, _, in_use) in last.items() if not in_use}


def published(client: Client, day: date, customers: Iterable[str], sites: Sequence[str] = SITES) -> Truth:
    """The same of what `daily` has."""
    hashes = dict(
        client.rows(
            "SELECT reinterpretAsUInt128(sipHash128(site, name)) AS hash, name FROM ("
            "SELECT arrayJoin({sites:Array(String)}) AS site, arrayJoin({names:Array(String)}) AS name)",
            {"sites": list(sites), "names": list(customers)},
        )
    )
    head, at = "SELECT site_id, bot_id, ", {"day": day}
    edges = client.rows(
        f"{head} number, step, dialog, move, message, next_step, next_dialog, moves, rooms FROM daily "
        "WHERE day = {day:Date} AND kind = 'edge'",
        at,
    )
    nodes = client.rows(
        f"{head} number, step, dialog, moves, rooms FROM daily WHERE day = {{day:Date}} AND kind = 'node'", at
    )
    rooms = client.rows(
        f"{head} room_id, moves, customer, channel, scenario_version, toUnixTimestamp64Milli(ended_at), edges, nodes, "
        "room = reinterpretAsUInt128(sipHash128(site_id, room_id)) "
        "FROM daily WHERE day = {day:Date} AND kind = 'room'",
        at,
    )
    assert all(row[-1] for row in rooms)
    seal = client.rows("SELECT bots_left_out FROM daily WHERE day = {day:Date} AND kind = 'seal'", at)
    assert len(seal) == 1
    found = {(*r[:4], hashes[r[4]], *r[5:8], tuple(r[8]), tuple(r[9])) for r in rooms}
    assert [len(set(edges)), len(set(nodes)), len(found)] == [len(edges), len(nodes), len(rooms)]
    return Truth(set(edges), set(nodes), found, seal[0][0])
