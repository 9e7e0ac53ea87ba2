"""A random driver: sends traffic, does what a scenario names at random moments, waits for rest, and has it verified."""

import asyncio
import math
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import structlog

from journey.calendar import Calendar
from journey.errors import TurnpathError
from journey.events import TOPIC_BOTS
from tests.faults.crashing import crash_workers
from tests.faults.model import Bot, Model, model_of
from tests.faults.parts import IDLE_S, WAIT_S, Parts, Worker
from tests.faults.points import Plan
from tests.faults.sending import Sending, end_imports
from tests.faults.traffic import Sent, Traffic, history_clock
from tests.faults.verifier import Report, verify, verify_seals

log = structlog.get_logger()

ZONE = "Asia/Seoul"
_REST_S = 300


@dataclass(frozen=True)
class Scenario:
    """`actions`: how often each is done, in a random order; `refused`, `lost`: shares of inserts that fail.

    `crashes`: the points at which, after that, worker after worker dies.
    """

    name: str
    actions: Mapping[str, int]
    refused: float = 0.0
    lost: float = 0.0
    workers: int = 2
    crashes: Sequence[str] = ()


@dataclass
class Outcome:
    """What was seen; `differences` is empty where all held."""

    scenario: str
    seed: str
    events: int
    done: dict[str, int] = field(default_factory=dict)
    differences: list[str] = field(default_factory=list)
    ended: list[Any] = field(default_factory=list)
    facts: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


#: Records consumed; not rows of `turns`, which merges make fewer.
#: What an assignment may need but once.
_ONCE = ("partition_time", "counts")

#: So many records, and then nothing: what waits for others waits for the time to pass.
_BURST, _BURST_S = 200, 6.0

_CONSUMED = "SELECT sum(upto) FROM (SELECT max(offset) AS upto FROM progress GROUP BY topic, partition)"


class Story:
    """The traffic of both topics, mixed; and all that it was meant to be."""

    def __init__(self, seed: str, events: int, per_s: float) -> None:
        calendar = Calendar(ZONE)
        last_day = datetime.now(UTC).date() - timedelta(days=3)
        seconds = 0.5 * events / (0.5 * per_s)
        told = {"wait_s": WAIT_S, "idle_s": IDLE_S, "per_s": 0.5 * per_s}
        clock = history_clock(calendar, last_day, 3, seconds)
        self.imported = Traffic(seed, "imported", clock, live=False, **told)
        self.live = Traffic(seed, "live", lambda _: time.time_ns() // 1_000_000, live=True, **told)
        self._rng = random.Random(f"{seed}/mix")
        self.bots: dict[bytes, Bot] = {}

    def records(self) -> Iterator[Sent]:
        one, other = self.imported.records(), self.live.records()
        while True:
            yield next(one if self._rng.random() < 0.5 else other)
            if self._rng.random() < 0.005:
                yield self._bot()

    def _bot(self) -> Sent:
        """A bot that no room uses is renamed, or goes in and out of use."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        name, in_use = f"봇 {self._rng.getrandbits(40)}", self._rng.random() < 0.5
        value = orjson.dumps({"site_id": "s", "bot_id": "z", "name": name, "in_use": in_use, "occurred_at": now})
        self.bots[value] = (name, in_use)
        return Sent(TOPIC_BOTS, b"s:z", value, None)

    @property
    def meant(self) -> dict[bytes, Any]:
        return self.imported.meant | self.live.meant | self.bots


class Driver:
    """Plays one scenario on parts that stand."""

    def __init__(
        self, parts: Parts, scenario: Scenario, seed: str, events: int, per_s: float, limit_s: float = math.inf
    ) -> None:
        """`limit_s`: after so long no further fault is begun, and what was done by then is verified."""
        self.parts, self.scenario, self.events = parts, scenario, events
        self.rng = random.Random(f"{seed}/{scenario.name}")
        self.plan = Plan(refused=scenario.refused, lost=scenario.lost, seed=self.rng.getrandbits(32))
        self.story = Story(seed, events, per_s)
        self.sending = Sending(parts.settings.kafka, self.story.records(), per_s)
        self.outcome = Outcome(scenario.name, seed, events)
        self.done: Counter[str] = Counter()
        self.until = time.monotonic() + limit_s
        self._written = 0
        self._burst_at = 0.0

    def play(self) -> Outcome:
        """The whole of it; never raises for a difference."""
        begun = time.monotonic()
        self.parts.plan = self.plan
        for _ in range(self.scenario.workers):
            self.parts.start_worker()
        self._trouble()
        self._note("trouble", begun)
        self._rest()
        self._note("rest", begun)
        self._verify()
        self._note("all", begun)
        self.outcome.done = dict(self.done)
        self.outcome.ended = [asdict(ended) for ended in self.parts.ended]
        self.outcome.facts |= {"sent again": self.sending.again, "workers started": self.parts.started}
        self.outcome.facts["inserts cut"] = self.parts.proxy.cuts
        return self.outcome

    def _note(self, what: str, begun: float) -> None:
        self.outcome.seconds[what] = round(time.monotonic() - begun, 1)

    def _trouble(self) -> None:
        actions = [name for name, times in self.scenario.actions.items() for _ in range(times)]
        self.rng.shuffle(actions)
        self.sending.start()
        share = self.events / (len(actions) or 1)
        for number, name in enumerate(actions):
            if time.monotonic() > self.until:
                self.events = self.outcome.events = self.sending.sent
                break
            self.sending.goal = round(share * (number + 1))
            self._await_sent(round(share * (number + self.rng.random())))
            self._await_work()
            log.info("trouble", number=number + 1, of=len(actions), what=name, sent=self.sending.sent)
            getattr(self, f"_{name}")()
            self.done[name] += 1
            self.parts.tend()
        if self.scenario.crashes:
            self._crash()
        self.sending.goal = max(self.events, self.sending.sent)
        self.sending.end()

    def _crash(self) -> None:
        for worker in list(self.parts.workers):
            self.parts.stop(worker)
        points = [(at, 1 if at.startswith(_ONCE) else self.rng.choice((1, 2, 3))) for at in self.scenario.crashes]
        crash_workers(self.parts, points, self._send_for)
        self.done["crash"] = len(self.scenario.crashes)
        self.parts.start_worker()

    def _send_for(self, point: str) -> None:
        """Send on, for as long as it takes; in bursts where a tick is waited for: it comes in silence."""
        if not point.startswith("tick"):
            self.sending.goal = 1 << 40
        elif time.monotonic() >= self._burst_at:
            self.sending.goal, self._burst_at = self.sending.sent + _BURST, time.monotonic() + _BURST_S

    def _await_sent(self, count: int) -> None:
        while self.sending.sent < count:
            if self.sending.error is not None:
                raise self.sending.error
            time.sleep(0.01)

    def _await_work(self) -> None:
        """A fault is worth its while where something is under way: since the last one, records were consumed."""
        before, limit = self._written, time.monotonic() + 60
        while time.monotonic() < limit:
            try:
                with self.parts.client() as client:
                    self._written = client.rows(_CONSUMED)[0][0]
            except TurnpathError:
                self._written = before
            if self._written > before:
                time.sleep(self.rng.random() * 0.3)
                return
            time.sleep(0.05)
            self.parts.tend()
        self.done["a minute without a record"] += 1

    # -- what can happen -----------------------------------------------------------------------------------------------
    def _victim(self) -> Worker:
        return self.rng.choice(self.parts.workers)

    def _kill(self) -> None:
        self.parts.kill(self._victim())
        self.parts.start_worker()

    def _term(self) -> None:
        if not self.parts.stop(self._victim()):
            self.done["term that took over 15 s"] += 1
        self.parts.start_worker()

    def _pause(self) -> None:
        """SIGSTOP until the group has given it up and gone on without it; then it wakes with a batch in hand."""
        victim = self._victim()
        os.kill(victim.process.pid, signal.SIGSTOP)
        time.sleep(self.plan.session_s * self.rng.uniform(1.3, 2.5))
        os.kill(victim.process.pid, signal.SIGCONT)

    def _join(self) -> None:
        """A third worker, or, where there are three, one fewer."""
        if len(self.parts.workers) > self.scenario.workers:
            self.parts.stop(self._victim())
        else:
            self.parts.start_worker()

    def _broker(self) -> None:
        self.parts.restart("kafka")

    def _clickhouse(self) -> None:
        self.parts.restart("clickhouse")

    def _redis(self) -> None:
        self.parts.restart("redis")

    def _cut(self) -> None:
        self.parts.proxy.cut()

    def _cut_insert(self) -> None:
        """In the head of an insert, in its block, or when all of it is sent and only the answer is to come."""
        before = self.parts.proxy.cuts
        after = self.rng.choice((-1, -1, self.rng.randrange(500), self.rng.randrange(20_000)))
        self.parts.proxy.cut_next_insert(after)
        self._for_a_while(20, lambda: self.parts.proxy.cuts > before)

    def _refuse(self) -> None:
        self.parts.proxy.refuse()
        self._for_a_while(self.rng.uniform(0.5, 4))
        self.parts.proxy.heal()

    def _swallow(self) -> None:
        self.parts.proxy.swallow()
        self._for_a_while(self.rng.uniform(0.5, 4))
        self.parts.proxy.heal()

    def _slow(self) -> None:
        self.parts.proxy.delay(0.1)
        self.parts.proxy.throttle(100_000)
        self._for_a_while(self.rng.uniform(1, 4))
        self.parts.proxy.heal()

    def _for_a_while(self, seconds: float, over: Callable[[], bool] = lambda: False) -> None:
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and not over():
            time.sleep(0.02)

    # -- and in the end ------------------------------------------------------------------------------------------------
    def _rest(self) -> None:
        """Workers without faults finish; time passes until nothing is due."""
        self.parts.proxy.heal()
        self.parts.tend()
        end = self.story.imported.last_at + round(3000 * (IDLE_S + WAIT_S))
        asyncio.run(end_imports(self.parts.settings.kafka, end))
        limit = time.monotonic() + _REST_S
        while not self.parts.is_at_rest():
            self.parts.tend()
            if time.monotonic() > limit:
                self.outcome.differences.append(f"no rest after {_REST_S} s: {self.parts.behind()} records behind")
                return
            time.sleep(0.5)

    def _verify(self) -> None:
        settings = self.parts.settings
        idle = round(IDLE_S * 1000)
        model = asyncio.run(model_of(settings.kafka, self.story.meant, self.sending.values, Calendar(ZONE), idle))
        with self.parts.client() as client:
            self._add(verify(client, model))
            self._seal(model)
            self._add(verify_seals(client, model, settings.seal_at))

    def _seal(self, model: Model) -> None:
        done = self.parts.command(Plan(), "seal")
        if done.returncode:
            self.outcome.differences.append(f"turnpath seal ended with {done.returncode}: {done.stderr[-2000:]}")
        self.outcome.facts["rooms"] = len(model.rooms)

    def _add(self, report: Report) -> None:
        self.outcome.differences += report.differences
        self.outcome.facts |= report.facts
