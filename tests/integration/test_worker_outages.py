"""A real worker whose parts die, or are worse than dead: half-open, slow, full. It waits, says so, goes on by itself.

The parts are killed (then they refuse), or stand behind proxies that do to connections what networks do; the disk is a
small one, filled up.
"""

import contextlib
import http.client
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
import pytest

from bench.events import stamped, stream
from broker.produce import Producer
from broker.topics import make_topics
from journey.events import TOPIC_LIVE
from settings import Settings
from sql.client import Client
from sql.migrate import migrate
from stack.parts import Part, clickhouse_part, kafka_part, worker_part
from stack.ports import split
from stack.process import Process
from tests.conftest import somewhere
from tests.faults.proxy import Proxy
from tests.waiting import until

EVENTS, SOME = 3000, 1000

#: In front of the worker's ClickHouse: a statement is given up after 2 s, not after a minute.
PATIENCE = "?send_receive_timeout=2"

#: Records of this size (bytes), so many: more than a worker may hold.
LARGE, MANY = 40_000, 3_000

#: What a worker may hold of them, in bytes: what it queues (ENOUGH_BYTES), what it folds, what was fetched ahead.
HELD = 90_000_000


@dataclass
class Stack:
    """A broker, a ClickHouse and a worker of this test's own, that it may kill."""

    settings: Settings
    parts: dict[str, Part]
    running: dict[str, Process] = field(default_factory=dict)
    sent: int = 0

    def start(self, name: str) -> None:
        self.running[name] = self.parts[name].start(self.settings.data)
        self.parts[name].await_answer(self.running[name])

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].end(10)

    async def send(self, count: int, size: int = 0) -> None:
        """The next so many events, each once; padded to `size` bytes by a field that nobody reads."""
        async with Producer(self.settings.kafka, TOPIC_LIVE) as producer:
            events = list(stream(self.sent + count))[self.sent :]
            for key, event in events:
                await producer.send(stamped({**event, "padding": "x" * size} if size else event), key)
        self.sent += count

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*split(self.settings.worker_http), timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def reasons(self) -> list[str]:
        status, body = self.get("/health")
        reasons: list[str] = orjson.loads(body)["reasons"]
        assert status == (503 if reasons else 200)
        return reasons

    def says(self, *words: str) -> bool:
        """Is a reason given that has all of these words?"""
        return any(all(word in reason for word in words) for reason in self.reasons())

    def counted(self, name: str) -> float:
        found = re.findall(
            rf"^turnpath_worker_{name}(?:{{.*}})? (\S+)$", self.get("/metrics")[1].decode(), re.MULTILINE
        )
        return sum(map(float, found))

    def stands_still(self, name: str) -> bool:
        """Has this figure not changed for a second?"""
        before = self.counted(name)
        time.sleep(1)
        return before == self.counted(name) > 0

    def memory(self, name: str = "VmRSS") -> int:
        """Bytes that the worker holds; VmHWM: has held at most."""
        status = Path(f"/proc/{self.running['worker'].pid}/status").read_text()
        (kilobytes,) = re.findall(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
        return int(kilobytes) * 1024

    def turns(self) -> int:
        with Client(self.settings.clickhouse) as client:
            count: int = client.rows("SELECT count() FROM turns FINAL")[0][0]
        return count

    def is_well(self) -> bool:
        """All that was sent is counted, and nothing is said to be away."""
        return self.turns() == self.sent and self.reasons() == []

    def log(self) -> list[str]:
        return (self.settings.data / "worker-1.log").read_text().splitlines()


@contextmanager
def running(settings: Settings, template: Path, worker: Settings, advertised: str = "") -> Iterator[Stack]:
    """All of it, on these settings; the worker on its own. `advertised`: where the broker says that it is."""
    shutil.copytree(template, settings.data / "kafka")
    broker = kafka_part(settings, ("-Xmx256m", "-XX:TieredStopAtLevel=1"))
    parts = {
        "kafka": replace(broker, command=_known_as(broker.command, settings.data, advertised)),
        "clickhouse": clickhouse_part(settings),
        "worker": worker_part(worker, 1),
    }
    made = Stack(settings, parts)
    try:
        made.start("kafka")
        made.start("clickhouse")
        make_topics(settings)
        migrate(settings)
        made.start("worker")
        yield made
    finally:
        for process in reversed(made.running.values()):
            process.stop(5)


def _known_as(command: Callable[[], Sequence[str]], folder: Path, advertised: str) -> Callable[[], Sequence[str]]:
    """A broker that sends its clients to another address."""

    def made() -> Sequence[str]:
        line = command()
        if advertised:
            with (folder / "kafka.properties").open("a") as properties:
                properties.write(f"advertised.listeners=BROKER://{advertised}\n")
        return line

    return made


@pytest.fixture
def stack(kafka_template: Path, tmp_path: Path) -> Iterator[Stack]:
    settings = somewhere(tmp_path)
    with running(settings, kafka_template, settings) as made:
        yield made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path | None]:
    """ClickHouse's folder on a disk of its own, of 64 MB; None where none can be mounted: that takes root."""
    folder = tmp_path / "clickhouse"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@dataclass
class Network:
    """A stack whose worker reaches its parts by proxies, and whose ClickHouse has a small disk."""

    stack: Stack
    kafka: Proxy
    clickhouse: Proxy
    disk: Path | None

    @contextmanager
    def disk_full(self) -> Iterator[None]:
        """No room for another insert; where no disk could be mounted, by a limit of ClickHouse's own."""
        filler = None if self.disk is None else fill(self.disk)
        if filler is None:
            self._ask("ALTER TABLE turns MODIFY SETTING min_free_disk_bytes_to_perform_insert = 1000000000000000000")
        yield
        if filler is None:
            self._ask("ALTER TABLE turns RESET SETTING min_free_disk_bytes_to_perform_insert")
        else:
            filler.unlink()

    def _ask(self, statement: str) -> None:
        with Client(self.stack.settings.clickhouse) as client:
            client.run(statement)


def fill(folder: Path) -> Path:
    """A file that takes all that is free."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(65536)):
            pass
    return filler


@pytest.fixture
def network(kafka_template: Path, small_disk: Path | None, tmp_path: Path) -> Iterator[Network]:
    settings = somewhere(tmp_path, batch_bytes="65536")
    where, _, database = settings.clickhouse.removeprefix("clickhouse://").partition("/")
    with Proxy(settings.kafka) as kafka, Proxy(where) as clickhouse:
        through = f"clickhouse://{clickhouse.address}/{database}{PATIENCE}"
        worker = settings.model_copy(update={"kafka": kafka.address, "clickhouse": through})
        with running(settings, kafka_template, worker, kafka.address) as stack:
            yield Network(stack, kafka, clickhouse, small_disk)


async def test_it_goes_on_by_itself_after_clickhouse_and_after_the_broker(stack: Stack) -> None:
    until(lambda: stack.reasons() == [])
    await stack.send(EVENTS)
    until(lambda: stack.turns() == EVENTS)

    stack.kill("clickhouse")
    await stack.send(EVENTS)
    until(lambda: stack.says("ClickHouse"))
    assert stack.counted("retries_total") > 0
    stack.start("clickhouse")
    until(stack.is_well)

    stack.kill("kafka")
    until(lambda: stack.says("Kafka", "goes on by itself"))
    stack.start("kafka")
    await stack.send(EVENTS)
    until(stack.is_well)

    until(lambda: stack.counted("records_total") >= 3 * EVENTS)  # the last batch may still be under way
    check_end(stack, "kafka")


async def test_it_goes_on_by_itself_where_parts_are_half_open_slow_or_full(network: Network) -> None:
    stack = network.stack
    until(lambda: stack.reasons() == [])
    await stack.send(EVENTS)
    until(stack.is_well)

    at_first = stack.memory()
    network.clickhouse.swallow()
    await stack.send(MANY, LARGE)
    until(lambda: stack.says("ClickHouse"))
    until(lambda: stack.stands_still("queued_records"))  # a worker without a bound would take in all
    assert stack.turns() < stack.sent
    network.clickhouse.heal()
    until(stack.is_well)
    assert stack.memory("VmHWM") - at_first < HELD < LARGE * MANY

    with network.disk_full():
        before = stack.turns()
        await stack.send(SOME)
        until(lambda: stack.says("its disk is full"))
        assert stack.turns() == before
    until(stack.is_well)

    network.clickhouse.delay(0.05)
    await stack.send(SOME)
    until(stack.is_well)
    network.clickhouse.heal()

    network.kafka.swallow()
    until(lambda: stack.says("Kafka", "goes on by itself"))
    network.kafka.heal()
    network.kafka.throttle(300_000)
    await stack.send(SOME)
    until(stack.is_well)
    network.kafka.heal()
    check_end(stack, "kafka")


def check_end(stack: Stack, *steps: str) -> None:
    """Each event was counted once, by one worker that never ended; each outage was said, and little besides."""
    until(lambda: stack.counted("records_total") >= stack.sent)  # the last batch may still be under way
    assert stack.running["worker"].code is None
    assert stack.counted("records_total") == stack.counted("events_total") == stack.sent
    assert stack.counted("duplicates_total") == 0
    check_log(stack.log(), set(steps))
    assert stack.running["worker"].stop(15)
    assert stack.running["worker"].code == 0


def check_log(lines: list[str], steps: set[str]) -> None:
    """Each outage is said when it begins and when it is over, and little besides."""
    said = [orjson.loads(line) for line in lines if line.startswith("{")]
    away = [line["step"] for line in said if line["event"] == "part away"]
    back = [line["step"] for line in said if line["event"] == "part back"]
    assert sorted(away) == sorted(back)
    assert steps < set(away), "beside these, one at least that waits for ClickHouse"
    assert all(line["seconds"] > 0 for line in said if line["event"] == "part back")
    assert len(lines) < 100
