"""What a stack on one machine is made of: each part's command, address and question, from the settings."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from datetime import time as clock_time
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from broker.consumed import GROUP
from journey.errors import Crash, Unreachable
from settings import Settings
from stack import health, kafka, redis
from stack.ports import is_free
from stack.process import Process

#: On a machine that all share: whoever asks is answered first, and what arrives is taken in a moment later. At 10 a
#: worker that was started again where others took all there is came too late for its group.
GIVES_WAY = 5

_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Part:
    """One part of the stack.

    `command` gives the command line anew before each start (it may write files first); `answers` asks the part by
    its own protocol; `addresses` are where it listens, none for a part that only calls others. `start_limit` and
    `stop_limit` in seconds: how long it may take to answer, and to end before it is killed. `nice`: how far it
    leaves the processor to others, 0 to 19.
    """

    name: str
    command: Callable[[], Sequence[str]]
    answers: Callable[[], bool]
    addresses: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    start_limit: float = 60
    stop_limit: float = 3
    setting: str = ""
    nice: int = 0

    def answers_already(self) -> bool:
        """Whether it answers at its address; Unreachable where something else is in its place."""
        if not self.addresses:
            return False
        if self.answers():
            return True
        for address in self.addresses:
            if not is_free(address):
                raise Unreachable(
                    f"{self.name} cannot start: something else listens at {address} and does not answer as "
                    f"{self.name} does. End it, or set {self.setting} to a free port"
                )
        return False

    def giving_way(self) -> Self:
        """The same part, which leaves the processor to those that answer people."""
        return replace(self, nice=GIVES_WAY)

    def start(self, logs: Path) -> Process:
        """Start it, its output in `logs`/<name>.log."""
        env = {**os.environ, **self.env}
        return Process(self.command(), logs / f"{self.name}.log", env=env, cwd=logs, nice=self.nice)

    def await_answer(self, process: Process, go_on: Callable[[], bool] = lambda: True) -> None:
        """Wait until it answers, or until `go_on` says no; Crash if it ends before, or takes too long."""
        until = time.monotonic() + self.start_limit
        while go_on() and not self.answers():
            if process.code is not None:
                raise Crash(f"{self.name} ended with {process.code}; its last words:\n{process.last_words()}")
            if time.monotonic() > until:
                raise Crash(
                    f"{self.name} does not answer after {self.start_limit:.0f} s; "
                    f"the end of {process.log}:\n{process.last_words()}"
                )
            time.sleep(0.1)


def kafka_part(settings: Settings, options: Sequence[str] = ("-Xmx512m",)) -> Part:
    """The broker; `options` are its Java machine's."""
    return Part(
        "kafka",
        lambda: kafka.command(settings.kafka, settings.data, settings.cache, options),
        lambda: health.kafka(settings.kafka),
        (settings.kafka,),
        setting="TURNPATH_KAFKA",
    )


def redis_part(settings: Settings) -> Part:
    """The Redis server."""
    return Part(
        "redis",
        lambda: redis.command(settings.redis),
        lambda: health.redis(settings.redis),
        (urlsplit(settings.redis).netloc.rpartition("@")[2],),
        stop_limit=1,
        setting="TURNPATH_REDIS",
    )


def clickhouse_part(settings: Settings) -> Part:
    """The embedded ClickHouse."""
    return Part(
        "clickhouse",
        lambda: turnpath("clickhouse"),
        lambda: health.clickhouse(settings.clickhouse),
        (urlsplit(settings.clickhouse).netloc.rpartition("@")[2], settings.clickhouse_http),
        env=environment(settings),
        setting="TURNPATH_CLICKHOUSE or TURNPATH_CLICKHOUSE_HTTP",
    )


def worker_part(settings: Settings, number: int) -> Part:
    """The worker of that number, from 1: it answers when the consumer group has so many members.

    Its metrics are `number` - 1 ports after the first one's.
    """
    host, port = settings.worker_http.rsplit(":", 1)
    own = settings.model_copy(update={"worker_http": f"{host}:{int(port) + number - 1}"})
    return Part(
        f"worker-{number}",
        lambda: turnpath("worker"),
        health.group(settings.kafka, GROUP, number),
        env=environment(own),
        stop_limit=9,
    )


def scheduler_part(settings: Settings) -> Part:
    """The scheduler: nobody calls it, so it is up when it runs."""
    return Part("scheduler", lambda: turnpath("scheduler"), lambda: True, env=environment(settings), stop_limit=9)


def web_part(settings: Settings) -> Part:
    """The page."""
    return Part(
        "web",
        lambda: turnpath("web"),
        lambda: health.http_page(settings.http),
        (settings.http,),
        env=environment(settings),
        setting="TURNPATH_HTTP",
    )


def command_part(settings: Settings, *arguments: str) -> Part:
    """Any other command of turnpath, for as long as it runs; named by its first word."""
    return Part(arguments[0], lambda: turnpath(*arguments), lambda: True, env=environment(settings), stop_limit=2)


def turnpath(*arguments: str) -> list[str]:
    """The command line of a `turnpath` command; -P: the data folder's kafka/ and redis/ are no packages."""
    return [sys.executable, "-P", "-m", "cli.main", *arguments]


def environment(settings: Settings) -> dict[str, str]:
    """The environment in which a child reads these same settings, wherever it runs."""
    named = {f"TURNPATH_{name.upper()}": _written(value) for name, value in settings if value is not None}
    path = os.pathsep.join(p for p in (str(_ROOT), os.environ.get("PYTHONPATH")) if p)
    return {**named, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _written(value: Any) -> str:
    match value:
        case timedelta():
            return f"{value / timedelta(milliseconds=1):.0f}ms"
        case clock_time():
            return value.strftime("%H:%M")
        case date():
            return value.isoformat()
        case Path():
            return str(value.absolute())
    return str(value)
