"""Thirty days, a morning at a time, with a real broker and a real worker; both it and the scheduler come and go.

The events come by the topic of imports, since the live one takes no times of the past; so it is a Sealer of all days
that the scheduler runs here, by a clock that the test moves.
"""

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, timedelta

import orjson
import pytest

from broker.produce import Producer
from broker.topics import make_topics
from feed.send import send_past
from feed.simulate import Shop, Timed, history
from journey.calendar import Calendar
from journey.events import TOPIC_IMPORT
from scheduler.loop import Scheduler
from seal.publish import Seal
from seal.run import Sealer
from settings import Settings
from sql.client import Client
from stack.parts import worker_part
from stack.process import Process
from tests.e2e import oracle
from tests.e2e.test_main_job import compare_edges
from tests.integration.seal.scene import left_behind
from tests.integration.seal.truth import IDLE, SEAL_AT
from tests.unit.histories import DAY

DAYS = 30
ROOMS_A_DAY = int(os.environ.get("TURNPATH_TEST_ROOMS_A_DAY", "8"))
#: How likely the worker ends while the scheduler is down, and how often at most; the first time by SIGKILL.
DEAD = float(os.environ.get("TURNPATH_TEST_DEAD", "0.2"))
ENDS = int(os.environ.get("TURNPATH_TEST_ENDS", "2"))
MINUTE = 60_000


class World:
    """The days as they pass: a clock, whose sleep sends the events of the time slept, and a worker that may be dead."""

    def __init__(self, settings: Settings, first: date, events: list[Timed]) -> None:
        self.settings, self.calendar = settings, Calendar(settings.timezone)
        self.day, self.time = first, self.calendar.midnight(first)
        self._events, self._sent = events, 0
        self._worker: Process | None = None

    def now(self) -> int:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.start_worker()  # who waits, waits for it
        self.pass_time(round(seconds * 1000))

    def pass_time(self, ms: int) -> None:
        self.time += ms
        while (cut_off := self.calendar.cut_off(self.day, SEAL_AT)) <= self.time:
            asyncio.run(self._send(cut_off))
            self.day += timedelta(days=1)

    async def _send(self, cut_off: int) -> None:
        """The events up to the cut-off, and a tick in each partition: nothing waits for what may come in between."""
        begin = self._sent
        while self._sent < len(self._events) and self._events[self._sent][0] <= cut_off:
            self._sent += 1
        async with Producer(self.settings.kafka, TOPIC_IMPORT) as producer:
            await send_past(producer, self._events[begin : self._sent], lambda: None)
            for partition in range(producer.partitions):
                await producer.send_to(partition, b'{"type":"tick"}', None, cut_off + MINUTE)

    def start_worker(self) -> None:
        if self._worker is None:
            self._worker = worker_part(self.settings, 1).start(self.settings.data)

    def end_worker(self, *, killed: bool) -> None:
        """Killed, its partitions stand still until its session has run out; told to stop, it leaves the group."""
        if self._worker is not None:
            if killed:
                self._worker.kill()
            self._worker.stop(9)
            self._worker = None


class EveryDay:
    """Seals by the clock what `turnpath seal` seals, the imported days, too; notes each seal that it made."""

    def __init__(self, settings: Settings, now: Callable[[], int], seals: list[Seal]) -> None:
        self._sealer = Sealer(settings, now, lambda words: None)
        self._seals = seals

    def seal_due(self, *, live_only: bool) -> Iterator[Seal]:
        for seal in self._sealer.seal_due(live_only=False):
            self._seals.append(seal)
            yield seal


@pytest.fixture
def world(fresh_settings: Settings) -> Iterator[World]:
    make_topics(fresh_settings)
    settings = fresh_settings.model_copy(update={"seal_wait": timedelta(seconds=2)})
    first = date.today() - timedelta(days=DAYS + 3)
    calendar = Calendar(settings.timezone)
    events = history(
        Shop(seed=5), first, DAYS, rooms_a_day=ROOMS_A_DAY, until=calendar.midnight(first + timedelta(days=DAYS + 1))
    )
    made = World(settings, first, list(events))
    yield made
    with suppress(OSError):
        made.end_worker(killed=True)


def test_each_day_is_sealed_once_in_order_and_none_is_missed(world: World) -> None:
    rng = random.Random(os.environ.get("TURNPATH_TEST_SEED", "b"))  # in which it ends twice
    first, seals, starts, ends = world.day, list[Seal](), 0, 0
    while len(seals) < DAYS:
        until = world.time + rng.randrange(DAY, 3 * DAY)
        if rng.random() < 0.5:
            world.start_worker()  # else it is there a while after the scheduler
        Scheduler(world.settings, world, EveryDay(world.settings, world.now, seals)).run(
            lambda until=until: world.time < until and len(seals) < DAYS  # type: ignore[misc]
        )
        starts += 1
        world.pass_time(rng.choice((0, 4 * DAY, 8 * DAY)))  # down for days
        if rng.random() < DEAD and ends < ENDS:
            world.end_worker(killed=not ends % 3)
            ends += 1
    assert starts > 2
    assert [seal.day for seal in seals] == [first + timedelta(days=n) for n in range(len(seals))]
    assert {(seal.revision, seal.is_new) for seal in seals} == {(1, True)}
    lines = [orjson.dumps(event) for _, event in world._events]
    days = oracle.days_of(oracle.rooms_of(lines), world.settings.timezone, IDLE)
    with Client(world.settings.clickhouse) as client:
        compare_edges(client, {day: figures for day, figures in days.items() if day <= seals[-1].day})
        assert client.rows("SELECT count() FROM daily WHERE kind = 'seal'") == [(len(seals),)]
        assert not left_behind(client)
