"""The real parts that the faults are for: a broker, ClickHouse behind a proxy, Redis, workers; each can be killed."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from broker.consumed import GROUP, reaches
from journey.errors import TurnpathError
from journey.events import TOPIC_BOTS, TOPIC_IMPORT, TOPIC_LIVE
from settings import Settings
from sql.client import Client
from stack.health import group_members
from stack.parts import Part, clickhouse_part, environment, kafka_part, redis_part
from stack.ports import free_port
from stack.process import Process
from tests.conftest import somewhere
from tests.faults import faulty
from tests.faults.forked import Forked
from tests.faults.points import Plan
from tests.faults.proxy import Proxy
from tests.waiting import until

#: So that rooms fall silent, and gaps are given up, while a test looks on.
WAIT_S, IDLE_S = 1.0, 8.0

#: So many workers that end by themselves are no outage any more.
_TOO_OFTEN = 60

SMALL_JAVA = ("-Xmx256m", "-XX:TieredStopAtLevel=1")


@dataclass(eq=False)
class Worker:
    """A worker process; `meant_to_end`: whether it was told to, or killed."""

    number: int
    process: Forked
    meant_to_end: bool = False


@dataclass(frozen=True)
class Ended:
    """A worker that ended by itself."""

    number: int
    code: int
    words: str


@dataclass
class Parts:
    """A stack in a folder of its own; with `clickhouse` (host:port) or `redis` (url), those are used, not started."""

    folder: Path
    clickhouse: str | None = None
    redis: str | None = None
    template: Path | None = None
    java: Sequence[str] = SMALL_JAVA
    plan: Plan = field(default_factory=Plan)
    workers: list[Worker] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    started: int = 0
    _running: dict[str, tuple[Part, Process]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        given: dict[str, Any] = {"room_idle": f"{IDLE_S}s", "reorder_wait": f"{WAIT_S}s", "batch_bytes": "65536"}
        if self.redis:
            given["redis"] = self.redis
        if self.clickhouse:
            given["clickhouse"] = f"clickhouse://{self.clickhouse}/faults_{os.getpid()}_{self.folder.name}"
        #: the settings of whoever verifies: past the proxy
        self.settings = somewhere(self.folder, **given)
        where, _, self.database = self.settings.clickhouse.removeprefix("clickhouse://").partition("/")
        self.database = self.database.replace("-", "_")
        self.settings = self.settings.model_copy(update={"clickhouse": f"clickhouse://{where}/{self.database}"})
        self.proxy = Proxy(where)
        through = f"clickhouse://{self.proxy.address}/{self.database}"
        self.through: Settings = self.settings.model_copy(update={"clickhouse": through})
        try:
            self._start_parts()
            self.run("migrate")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start_parts(self) -> None:
        if self.template is not None:
            shutil.copytree(self.template, self.folder / "kafka")
        self._start("kafka", _impatient(kafka_part(self.settings, self.java), self.folder))
        if self.clickhouse is None:
            self._start("clickhouse", clickhouse_part(self.settings))
        if self.redis is None:
            self._start("redis", redis_part(self.settings))

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.end(5)
        if self.clickhouse is not None:  # others go on using it
            with Client(f"clickhouse://{self.clickhouse}") as client:
                for name in {self.database, self.database.removesuffix("_again")}:
                    client.run(f"DROP DATABASE IF EXISTS {name}")
        for _part, process in reversed(self._running.values()):
            process.stop(5)
        self.proxy.__exit__()
        shutil.rmtree(self.folder / "kafka", ignore_errors=True)

    # -- the broker, ClickHouse, Redis ---------------------------------------------------------------------------------
    def _start(self, name: str, part: Part) -> None:
        part = replace(part, start_limit=300)  # a busy machine is no fault
        process = part.start(self.folder)
        self._running[name] = part, process
        part.await_answer(process)

    def restart(self, name: str) -> None:
        """kill -9, and a new start on the same files."""
        part, process = self._running[name]
        process.kill()
        process.end(5)
        self._start(name, part)

    def run(self, *arguments: str) -> str:
        """A command of turnpath, to its end; its standard output."""
        done = self.command(Plan(), *arguments)
        if done.returncode:
            raise AssertionError(f"turnpath {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
        return done.stdout

    def command(self, plan: Plan, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same with the faults of a plan, whatever comes of it."""
        env = {**os.environ, **environment(self.settings), **plan.environment()}
        return subprocess.run(_faulty(*arguments), env=env, capture_output=True, text=True, timeout=300)

    async def _forget_commits(self) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka, group_id=GROUP, enable_auto_commit=False)
        await consumer.start()
        try:
            found = await reaches(self.settings.kafka, TOPIC_LIVE, TOPIC_IMPORT, TOPIC_BOTS)
            places = {TopicPartition(reach.topic, reach.partition): reach.first for reach in found}
            consumer.assign(list(places))
            await consumer.commit(places)
        finally:
            await consumer.stop()

    def begin_again(self) -> None:
        """An empty database, and a group that has read nothing: the same log once more. No worker may run."""
        for worker in list(self.workers):
            self.stop(worker)
        until(lambda: group_members(self.settings.kafka, GROUP) == 0)
        asyncio.run(self._forget_commits())
        self.database += "_again"
        where = self.settings.clickhouse.rpartition("/")[0]
        self.settings = self.settings.model_copy(update={"clickhouse": f"{where}/{self.database}"})
        through = f"clickhouse://{self.proxy.address}/{self.database}"
        self.through = self.settings.model_copy(update={"clickhouse": through})
        self.run("migrate")

    def client(self) -> Client:
        return Client(self.settings.clickhouse)

    # -- workers -------------------------------------------------------------------------------------------------------
    def start_worker(self, plan: Plan | None = None) -> Worker:
        self.started += 1
        number = self.started
        env = {**os.environ, **environment(self.through), **(plan or self.plan).environment()}
        env["TURNPATH_WORKER_HTTP"] = f"127.0.0.1:{free_port()}"
        log = self.folder / f"worker-{number}.log"
        worker = Worker(number, Forked(faulty.worker, log, env, self.folder))
        self.workers.append(worker)
        return worker

    def kill(self, worker: Worker) -> None:
        worker.meant_to_end = True
        worker.process.kill()
        worker.process.end(5)
        self.workers.remove(worker)

    def stop(self, worker: Worker) -> bool:
        """SIGTERM; False if it had to be killed."""
        worker.meant_to_end = True
        in_time = worker.process.stop(15)
        self.workers.remove(worker)
        return in_time

    def tend(self) -> None:
        """As the supervisor does: who ended by himself is noted, and another started."""
        for worker in list(self.workers):
            code = worker.process.code
            if code is not None and not worker.meant_to_end:
                self.workers.remove(worker)
                self.ended.append(Ended(worker.number, code, worker.process.last_words(8)))
                if len(self.ended) > _TOO_OFTEN:
                    raise AssertionError(f"the workers end by themselves, lastly: {self.ended[-1].words}")
                self.start_worker()

    # -- how far they are ----------------------------------------------------------------------------------------------
    def behind(self) -> int:
        """How many records of the events' topics are not committed yet."""
        found = asyncio.run(reaches(self.settings.kafka, TOPIC_LIVE, TOPIC_IMPORT))
        return sum(reach.behind for reach in found)

    def is_at_rest(self) -> bool:
        """All is committed, every room has ended: nothing is due, and nothing waits."""
        try:
            if self.behind():
                return False
            with self.client() as client:
                if client.rows("SELECT count() FROM rooms FINAL WHERE phase != 'closed'")[0][0]:
                    return False
            return self.behind() == 0
        except TurnpathError:
            return False


def _impatient(part: Part, folder: Path) -> Part:
    """A broker that lets sessions be as short as a test wants them."""
    make = part.command

    def command() -> Sequence[str]:
        line = make()
        with (folder / "kafka.properties").open("a") as properties:
            properties.write("group.min.session.timeout.ms=500\n")
        return line

    return replace(part, command=command)


def _faulty(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "tests.faults.faulty", *arguments]
