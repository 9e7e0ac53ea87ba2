"""The delivery protocol, the worker's real code under random histories: at rest, the tables are the logs'.

Several workers of one group on partitions of two topics; crashes between any two inserts, zombies that write on while
a successor works, rebalances with batches under way, eviction, ticks, clocks that are wrong. A failure names its seed;
TURNPATH_TEST_HISTORIES=20000 plays that many instead of 1,500.
"""

import os
import random
from dataclasses import replace
from typing import Any

import pytest

from journey.calendar import Calendar
from journey.errors import DeadLetter
from journey.events import TOPIC_IMPORT, TOPIC_LIVE, RoomKey
from journey.fold import fold
from stream import batch
from stream.poll import Place
from tests.faults.group import IDLE, WAIT, Process, World, Written
from tests.unit.histories import T0, Record, random_log, received
from tests.unit.memory_tables import MemoryTables

HISTORIES = int(os.environ.get("TURNPATH_TEST_HISTORIES", "1500"))
SEEDS = 20
PLACES = [(TOPIC_LIVE, 0), (TOPIC_LIVE, 1), (TOPIC_IMPORT, 0)]


@pytest.fixture(autouse=True)
def stepwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records carry their decoded event; an insert is done when the history says so."""
    monkeypatch.setattr(batch, "decode_all", lambda poll: [record.sent for record in poll.records])
    monkeypatch.setattr(batch, "Flag", Written)


class History:
    """One random history, from its seed."""

    def __init__(self, seed: str) -> None:
        self.rng = rng = random.Random(seed)
        places = rng.sample(PLACES, rng.choice((1, 1, 2, 3)))
        self.world = World(rng, places, MemoryTables(Calendar(rng.choice(("Asia/Seoul", "UTC")))), T0 - 60_000)
        self.coming = {place: self._coming(place) for place in places}
        self.wild = rng.random() < 0.5  # rebalances and crashes often, or now and then
        self.members = [self._start() for _ in range(rng.choice((1, 1, 2)))]
        self.zombies: list[Process] = []
        self.world.rebalance(self.members)

    def _coming(self, place: Place) -> list[Record]:
        in_order = place[0] == TOPIC_LIVE
        log = random_log(self.rng, rooms=self.rng.choice((2, 4, 6)), in_order=in_order)
        named = [replace(record, sent=(_renamed(record.sent[0], place), record.sent[1])) for record in log]
        for _ in range(self.rng.choice((0, 0, 1))):
            at = self.rng.randrange(len(named) + 1)
            time = named[at - 1].timestamp if at else T0
            named.insert(at, Record(0, time, DeadLetter("not_json", "")))
        return named

    def _start(self) -> Process:
        process = Process(self.world, self.rng.choice((1, 2, 100)), self.rng.choice((0, -3000, 3000, 3_600_000)))
        self.world.processes.append(process)
        return process

    def play(self) -> None:
        for _ in range(self.rng.choice((100, 200, 400))):
            self.step()
        for place, coming in self.coming.items():
            for record in coming:
                self.world.append(place, record.timestamp, record.sent)
        self.rest()

    def step(self) -> None:
        rng, chance = self.rng, self.rng.random()
        if chance < 0.15:
            self._arrive()
        elif chance < 0.75:
            self._work(rng.choice(self.members))
        elif chance < 0.87:
            if self.zombies:
                self._work(rng.choice(self.zombies))
        elif chance < (0.95 if self.wild else 0.88):
            self._trouble()
        else:
            self.world.clock += rng.choice((1000, 31_000, 3_600_000, IDLE)) if rng.random() < 0.3 else 0

    def _arrive(self) -> None:
        place = self.rng.choice(list(self.coming))
        for _ in range(self.rng.randint(1, 5)):
            if self.coming[place]:
                record = self.coming[place].pop(0)
                self.world.append(place, record.timestamp, record.sent)

    def _work(self, process: Process) -> None:
        rng, chance = self.rng, self.rng.random()
        if chance < 0.5 and process.consumer.places:
            process.poll(rng.choice(sorted(process.consumer.places)), rng.choice((1, 2, 2, 6)))
        elif chance < 0.7:
            process.batch(rng.choice((1, 3, 9)), look=rng.random() < 0.5, quiet=rng.random() < 0.4)
        else:
            for _ in range(rng.choice((1, 2, 7))):
                process.insert()

    def _trouble(self) -> None:
        rng, chance = self.rng, self.rng.random()
        victim = rng.choice(self.members)
        if chance < 0.4:  # killed, and started anew
            self.world.processes.remove(victim)
            self.members[self.members.index(victim)] = self._start()
        elif chance < 0.7 and len(self.zombies) < 2:  # stopped for so long that the group goes on without it
            self.zombies.append(victim)
            self.members[self.members.index(victim)] = self._start()
        elif self.zombies and chance < 0.85:  # a zombie learns that it is one
            self.members.append(self.zombies.pop())
        self.world.rebalance(self.members)

    def rest(self) -> None:
        """Zombies write their last, before their successors come to rest or after; time passes until nothing is due."""
        newest = max((record.timestamp for log in self.world.log.values() for record in log), default=T0)
        self.world.clock = max(self.world.clock, newest) + 2 * WAIT
        if self.rng.random() < 0.5:
            self._end_zombies()
        self._until_quiet()
        self.world.clock += 3 * IDLE
        self._until_quiet()
        self._end_zombies()
        self._until_quiet()

    def _end_zombies(self) -> None:
        while self.zombies:
            zombie = self.zombies.pop()
            for _ in range(20):
                zombie.batch(self.rng.choice((1, 9)), look=True)
                zombie.write_out()
            self.world.processes.remove(zombie)

    def _until_quiet(self) -> None:
        for _ in range(60):
            ends = {place: len(log) for place, log in self.world.log.items()}
            for member in self.members:
                for place in sorted(member.consumer.places):
                    member.poll(place, 7)
                member.batch(9, look=True)
                member.batch(9, look=True)
                member.write_out()
            self.world.clock += 300_000  # else a worker whose clock is ahead ticks for ever
            if ends == self.world.committed == {place: len(log) for place, log in self.world.log.items()}:
                return
        raise AssertionError(f"no rest: committed {self.world.committed} of {ends}")


def _renamed(key: RoomKey, place: Place) -> RoomKey:
    return RoomKey(key.site_id, f"{key.room_id} {place[0]} {place[1]}")


def check(world: World) -> None:
    """All gaps are given up and all idle rooms closed: every table is the fold of the logs."""
    turns: dict[Any, Any] = {}
    moves: dict[Any, Any] = {}
    rooms: dict[Any, Any] = {}
    day = world.tables.calendar.day
    for place, log in world.log.items():
        for key, entries in received(log).items():
            turns |= {(key, seq): (place[0], entry.offset, entry.event.type) for seq, entry in entries.items()}
            done = fold([entries[seq] for seq in sorted(entries)], IDLE, world.time_at(place, len(log)))
            assert done is not None
            for row in done.rows:
                named = {name: getattr(row, name) for name in row.__struct_fields__}
                moves[key, row.bot_id, day(row.occurred_at), row.seq, row.part] = named | {
                    "site_id": key.site_id, "room_id": key.room_id, "customer_id": done.room.customer_id
                }  # fmt: skip
            rooms[key, day(done.room.opened_at)] = done.room, place
    tables = world.tables
    assert {key: (row[2], row[4], row[6]) for key, row in tables.turns_rows.items()} == turns
    assert tables.standing(tables.moves_rows) == moves
    check_rooms(tables.standing(tables.rooms_rows), rooms)
    check_letters(world)
    assert not tables.ties
    assert tables.totals() == tables.counted_anew()
    for (topic, partition, offset), time in tables.times.items():
        assert time == world.time_at((topic, partition), offset), "the partition's time at an offset is the log's"


def check_rooms(standing: dict[Any, dict[str, Any]], rooms: dict[Any, Any]) -> None:
    assert set(standing) == set(rooms)
    for key, row in standing.items():
        room, place = rooms[key]
        named = {name: getattr(room, name) for name in row if hasattr(room, name)}
        found = {name: row[name] for name in named}
        assert found == named
        assert (row["topic"], row["partition"]) == place


def check_letters(world: World) -> None:
    expected = set()
    for place, log in world.log.items():
        first = received(log)
        for record in log:
            if isinstance(record.sent, DeadLetter) or (
                isinstance(record.sent, tuple) and first[record.sent[0]][record.sent[1].seq].event != record.sent[1]
            ):
                expected.add((*place, record.offset))
    assert set(world.tables.letters) == expected


@pytest.mark.parametrize("seed", range(SEEDS))
def test_at_rest_the_tables_are_the_logs(seed: int) -> None:
    for number in range(HISTORIES // SEEDS):
        history = History(f"{seed} {number}")
        try:
            history.play()
            check(history.world)
        except Exception as error:
            raise AssertionError(f"history {seed} {number}") from error
