"""A real worker, and its ClickHouse and its broker killed under it: it waits, says so, and goes on by itself."""

import http.client
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
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
from tests.waiting import until

EVENTS = 3000


@dataclass
class Stack:
    """A broker, a ClickHouse and a worker of this test's own, that it may kill."""

    settings: Settings
    parts: dict[str, Part]
    running: dict[str, Process]

    def start(self, name: str) -> None:
        self.running[name] = self.parts[name].start(self.settings.data)
        self.parts[name].await_answer(self.running[name])

    def kill(self, name: str) -> None:
        self.running[name].kill()
        self.running[name].end(10)

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

    def counted(self, name: str) -> float:
        found = re.findall(
            rf"^turnpath_worker_{name}(?:{{.*}})? (\S+)$", self.get("/metrics")[1].decode(), re.MULTILINE
        )
        return sum(map(float, found))

    def turns(self) -> int:
        with Client(self.settings.clickhouse) as client:
            count: int = client.rows("SELECT count() FROM turns FINAL")[0][0]
        return count

    def log(self) -> list[str]:
        return (self.settings.data / "worker-1.log").read_text().splitlines()


@pytest.fixture
def stack(kafka_template: Path, tmp_path: Path) -> Iterator[Stack]:
    settings = somewhere(tmp_path)
    shutil.copytree(kafka_template, tmp_path / "kafka")
    parts = {
        "kafka": kafka_part(settings, ("-Xmx256m", "-XX:TieredStopAtLevel=1")),
        "clickhouse": clickhouse_part(settings),
        "worker": worker_part(settings, 1),
    }
    made = Stack(settings, parts, {})
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


async def send(settings: Settings, events: range) -> None:
    async with Producer(settings.kafka, TOPIC_LIVE) as producer:
        for number, (key, event) in enumerate(stream(events.stop)):
            if number >= events.start:
                await producer.send(stamped(event), key)


async def test_it_goes_on_by_itself_after_clickhouse_and_after_the_broker(stack: Stack) -> None:
    until(lambda: stack.reasons() == [])
    await send(stack.settings, range(EVENTS))
    until(lambda: stack.turns() == EVENTS)

    stack.kill("clickhouse")
    await send(stack.settings, range(EVENTS, 2 * EVENTS))
    until(lambda: any("ClickHouse" in reason for reason in stack.reasons()))
    assert stack.counted("retries_total") > 0
    stack.start("clickhouse")
    until(lambda: stack.turns() == 2 * EVENTS)
    until(lambda: stack.reasons() == [])

    stack.kill("kafka")
    until(lambda: any("Kafka" in reason and "goes on by itself" in reason for reason in stack.reasons()))
    stack.start("kafka")
    await send(stack.settings, range(2 * EVENTS, 3 * EVENTS))
    until(lambda: stack.turns() == 3 * EVENTS)
    until(lambda: stack.reasons() == [])

    until(lambda: stack.counted("records_total") >= 3 * EVENTS)  # the last batch may still be under way
    assert stack.running["worker"].code is None
    assert stack.counted("records_total") == stack.counted("events_total") == 3 * EVENTS
    assert stack.counted("duplicates_total") == 0
    check_log(stack.log())
    assert stack.running["worker"].stop(15)
    assert stack.running["worker"].code == 0


def check_log(lines: list[str]) -> None:
    """Each outage is said when it begins and when it is over, and little besides."""
    said = [orjson.loads(line) for line in lines if line.startswith("{")]
    away = [line["step"] for line in said if line["event"] == "part away"]
    back = [line["step"] for line in said if line["event"] == "part back"]
    assert sorted(away) == sorted(back)
    assert "kafka" in away
    assert len(set(away)) > 1
    assert all(line["seconds"] > 0 for line in said if line["event"] == "part back")
    assert len(lines) < 100
