"""The real parts for a measurement: a broker, an embedded ClickHouse, a worker's process; on free ports, then gone."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from broker.consumed import reaches
from broker.topics import make_topics
from journey.events import TOPIC_LIVE
from settings import Settings, load
from sql.migrate import migrate
from stack.jars import fetch
from stack.parts import GIVES_WAY, Part, clickhouse_part, kafka_part, turnpath
from stack.ports import free_port
from stack.process import Process


@contextmanager
def stack(*, broker: bool = True) -> Iterator[Settings]:
    """A broker, unless it is not needed, and a ClickHouse, with topics and tables made."""
    with TemporaryDirectory(prefix="turnpath-bench-") as folder, ExitStack() as parts:
        settings = settings_in(Path(folder))
        parts.enter_context(running(clickhouse_part(settings), Path(folder)))
        if broker:
            fetch(settings.cache)
            parts.enter_context(running(kafka_part(settings).giving_way(), Path(folder)))
            make_topics(settings)
        migrate(settings)
        yield settings


@contextmanager
def process(settings: Settings, name: str, command: list[str], nice: int = 0) -> Iterator[Process]:
    """A process with these settings in its environment, killed at the end."""
    given = {
        f"TURNPATH_{n.upper()}": str(v)
        for n, v in settings
        if n in ("kafka", "clickhouse", "redis", "data", "worker_http")
    }
    started = Process(command, settings.data / f"{name}.log", env={**os.environ, **given}, cwd=Path.cwd(), nice=nice)
    try:
        yield started
    finally:
        started.stop(10)


def consuming(settings: Settings) -> AbstractContextManager[Process]:
    """A worker, as `turnpath up` starts it."""
    return process(settings, "worker", turnpath("worker"), GIVES_WAY)


def committed(settings: Settings, group: str) -> int:
    """How many records of chatbot.turns the group has committed."""
    return sum(reach.committed - reach.first for reach in asyncio.run(reaches(settings.kafka, TOPIC_LIVE, group=group)))


def rate(consumed: Callable[[], int], total: int, limit_s: float = 300) -> tuple[float, list[tuple[float, int]]]:
    """Events a second from the first commit that was seen to the last, and the samples (second, count).

    What came before the first commit is left out on both ends: how long it took is not known."""
    samples: list[tuple[float, int]] = []
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        samples.append((time.monotonic(), consumed()))
        if samples[-1][1] >= total:
            break
        time.sleep(0.1)
    (t0, c0), (t1, c1) = next((sample for sample in samples if sample[1]), samples[-1]), samples[-1]
    return (c1 - c0) / max(t1 - t0, 1e-9), samples


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def peak_mb() -> float:
    """The most memory that this process has had, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(part: Part, folder: Path) -> Iterator[Process]:
    """The part, answering; stopped at the end, its log in the folder."""
    started = part.start(folder)
    try:
        part.await_answer(started)
        yield started
    finally:
        started.stop(5)


def settings_in(data: Path) -> Settings:
    """Settings of a stack on free ports, with its files in `data`."""

    def address() -> str:
        return f"127.0.0.1:{free_port()}"

    return Settings(
        kafka=address(),
        clickhouse=f"clickhouse://{address()}/turnpath",
        clickhouse_http=address(),
        redis=f"redis://{address()}/0",
        http=address(),
        worker_http=address(),
        data=data,
        cache=load().cache,
    )
