"""A group of workers in one process: the real `Writer` and `Batches`, over logs and tables in memory, step by step.

Whoever calls decides what happens next: an insert, a poll, a batch, a crash, a rebalance. A worker that is not told
of a rebalance is a zombie: it fetches and writes on, and its commits are refused.
"""

import random
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from threading import Event as Flag
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from journey.events import Tick
from stream.agents import Writer
from stream.batch import Batches
from stream.poll import Place
from stream.prepared import Prepared
from tests.unit.histories import Record
from tests.unit.memory_tables import MemoryTables

WAIT, IDLE = 30_000, 86_400_000
READS = ("partition_time", "known_rooms", "entries", "silent_rooms", "counts", "edges")
WRITES = ("turns", "dead_letters", "bots", "moves", "timeouts", "rooms", "edge_counts", "edge_totals", "progress")


class World:
    """The logs, the tables, what is committed, and who owns which partition in which generation. Times are ms."""

    def __init__(self, rng: random.Random, places: list[Place], tables: MemoryTables, clock: int) -> None:
        self.rng, self.tables, self.clock = rng, tables, clock
        self.log: dict[Place, list[Record]] = {place: [] for place in places}
        self.committed: dict[Place, int] = dict.fromkeys(places, 0)
        self.owner: dict[Place, Process] = {}
        self.generation = 0
        self.processes: list[Process] = []

    def append(self, place: Place, timestamp: int, sent: Any) -> None:
        """Append a record; chatbot.turns gives it the broker's time, which only grows."""
        log = self.log[place]
        if not place[0].endswith("import"):
            self.clock = max(self.clock, timestamp)
            timestamp = max([self.clock, *(record.timestamp for record in log[-1:])])
        log.append(Record(len(log), timestamp, sent))

    def rebalance(self, members: list["Process"]) -> None:
        """The partitions are dealt anew among these; whoever else had one goes on as a zombie."""
        self.generation += 1
        self.owner = {place: self.rng.choice(members) for place in self.log}
        for member in members:
            member.join({place for place, owner in self.owner.items() if owner is member})

    def time_at(self, place: Place, offset: int) -> int:
        return max((record.timestamp for record in self.log[place][:offset]), default=0)


class Process:
    """One worker: its writer, its batches, the inserts that are under way, and what its consumer knows."""

    def __init__(self, world: World, rooms_in_memory: int, skew: int) -> None:
        self.world, self.skew = world, skew
        self.inserts: deque[Callable[[], None]] = deque()
        self.writing: tuple[int | None, list[Any], Prepared] | None = None
        self.consumer = Consumer(self)
        flow = SimpleNamespace(is_active=lambda: True)
        self.app = SimpleNamespace(consumer_generation_id=0, consumer=self.consumer, flow_control=flow)
        self.batches = Batches(
            self._reads(), self._writes(), world.tables.calendar,
            wait=WAIT, idle=IDLE, rooms_in_memory=rooms_in_memory, stopping=Flag(),
            edges_in_memory=world.rng.choice((rooms_in_memory, 10_000)),
        )  # fmt: skip
        self.writer = Writer(self.app, self.batches, lambda: world.clock + skew, self._tick, Flag())  # type: ignore[arg-type]
        self.queue: list[Any] = []

    def join(self, places: set[Place]) -> None:
        """A new assignment; what is queued or under way is of the one before."""
        self.app.consumer_generation_id = self.world.generation
        self.consumer.assign(places)

    def poll(self, place: Place, most: int) -> None:
        """The next records of a partition go into the queue, as one message."""
        records = self.consumer.fetch(place, most)
        if records:
            offset, generation = records[-1].offset, self.app.consumer_generation_id
            message = SimpleNamespace(topic=place[0], partition=place[1], offset=offset, generation_id=generation)
            event = SimpleNamespace(message=message, value=records, acked=False)
            event.ack = lambda: setattr(event, "acked", True)
            self.consumer.open[place].append(event)
            self.queue.append(event)

    def batch(self, most: int, look: bool, quiet: bool = True) -> None:
        """One turn of the writer's loop: prepare, have the batch before written, begin to write."""
        taken, self.queue = self.queue[:most], self.queue[most:]
        events = self.writer._current(taken)
        self.writer._quiet_at = float("-inf") if quiet else float("inf")
        self.writer._looked_at = float("-inf") if look else float("inf")
        spoke = {(event.message.topic, event.message.partition) for event in events}
        silence = self.writer._quiet(spoke)
        if not events and silence is None:
            return
        prepared = self.batches.prepare(self.writer._polls(events), silence)
        self.write_out()
        self.writing = self.writer._generation, events, prepared
        prepared.written.worker = self  # type: ignore[attr-defined]
        self.batches.write(prepared)  # only queues the inserts: see `_writes`

    def insert(self) -> None:
        """The next insert that is under way; after the last, ack and commit."""
        if self.inserts:
            self.inserts.popleft()()
        if not self.inserts:
            self.write_out()

    def insert_all(self) -> None:
        while self.inserts:
            self.inserts.popleft()()

    def write_out(self) -> None:
        """All that is under way is written, acked, committed."""
        self.insert_all()
        if self.writing is not None:
            written, self.writing = self.writing, None
            _run(self.writer._settle(*written))

    def _reads(self) -> Any:
        """Between two reads others go on, and so do this worker's own inserts."""

        def read(name: str) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                for process in self.world.processes:
                    for _ in range(self.world.rng.choice((0, 0, 0, 1, 3))):
                        if process.inserts:
                            process.inserts.popleft()()
                return getattr(self.world.tables, name)(*args)

            return call

        return SimpleNamespace(**{name: read(name) for name in READS})

    def _writes(self) -> Any:
        def write(name: str) -> Callable[[Any], None]:
            return lambda rows: self.inserts.append(lambda: getattr(self.world.tables, name)(rows))

        return SimpleNamespace(**{name: write(name) for name in WRITES})

    def _tick(self, ticks: dict[Place, int]) -> None:
        for place, at in ticks.items():
            self.world.append(place, at if place[0].endswith("import") else self.world.clock, Tick())


class Consumer:
    """What the writer asks of the transport; commits are refused where the generation is not the group's."""

    def __init__(self, process: Process) -> None:
        self.process, self.world = process, process.world
        self.places: set[Place] = set()
        self.position: dict[Place, int] = {}
        self.seen_committed: dict[Place, int] = {}
        self.open: defaultdict[Place, deque[Any]] = defaultdict(deque)
        self.ends: dict[Place, int] = {}

    def assign(self, places: set[Place]) -> None:
        self.places = places
        self.seen_committed = {place: self.world.committed[place] for place in places}
        self.position = dict(self.seen_committed)
        self.open.clear()
        self.ends.clear()

    def fetch(self, place: Place, most: int) -> list[Record]:
        log, at = self.world.log[place], self.position[place]
        self.ends[place] = len(log)
        records = log[at : at + most]
        self.position[place] = at + len(records)
        return list(records)

    def assignment(self) -> set[TP]:
        return {TP(*place) for place in self.places}

    def log_end(self, tp: TP) -> int | None:
        return self.ends.get((tp.topic, tp.partition))

    def silent_s(self, tp: TP) -> float:
        return 0.0

    def committed_offset(self, tp: TP) -> int | None:
        return self.seen_committed.get((tp.topic, tp.partition)) or None

    async def commit(self) -> bool:
        for place, polls in self.open.items():
            while polls and polls[0].acked:
                end = polls.popleft().message.offset + 1
                if self._is_ours(place):
                    assert end >= self.world.committed[place]
                    self.world.committed[place] = self.seen_committed[place] = end
        return True

    def _is_ours(self, place: Place) -> bool:
        current = self.process.app.consumer_generation_id == self.world.generation
        return current and self.world.owner.get(place) is self.process


class Written:
    """Stands for the flag of `Prepared.written`: whoever waits for it sees all inserts done first."""

    def __init__(self) -> None:
        self.worker: Process | None = None

    def set(self) -> None:
        """The inserts are queued; they are done one by one."""

    def wait(self, _: float) -> bool:
        if self.worker is not None:
            self.worker.insert_all()
        return True


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run what never really waits here."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")
