"""`turnpath up`: the whole stack on this machine, from the settings."""

import fcntl
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from journey.errors import BadSetting, Busy, OutputFailed
from settings import Settings
from stack import jars
from stack.demo import Demo
from stack.parts import (
    clickhouse_part,
    command_part,
    kafka_part,
    redis_part,
    scheduler_part,
    web_part,
    worker_part,
)
from stack.supervisor import Stopped, Supervisor

_LEAST_FREE = 500_000_000

Say = Callable[[str], None]


def up(settings: Settings, workers: int, say: Say, ready: Say, *, demo: bool = False) -> None:
    """Start everything, call `ready` with a line, keep it running until SIGTERM or SIGINT, stop everything.

    `say` gets a line for each part. Raises what a part's start raises, Busy where another stack has the data folder.
    """
    logs = folder(settings.data)
    with only_one(settings.data):
        jars.fetch(settings.cache, say)
        supervisor = Supervisor(logs, say)
        with _signals(supervisor.ask_to_stop):
            try:
                _start(supervisor, settings, workers)
                if demo:
                    Demo(settings).start(supervisor)
                ready(f"ready: http://{settings.http}/")
                supervisor.watch()
            except Stopped:
                pass
            finally:
                say("stopping")
                supervisor.stop()


def _start(supervisor: Supervisor, settings: Settings, workers: int) -> None:
    servers = [kafka_part(settings).giving_way(), redis_part(settings), clickhouse_part(settings)]
    clients = [worker_part(settings, number).giving_way() for number in range(1, workers + 1)]
    clients += [scheduler_part(settings), web_part(settings)]
    for part in [*servers, *clients]:
        part.answers_already()  # a port that somebody else has is said before anything starts
    supervisor.start(servers)
    supervisor.run(command_part(settings, "migrate"), "making topics and tables where they are missing")
    supervisor.start(clients)


def folder(data: Path) -> Path:
    """The folder of logs in `data`, made; BadSetting or OutputFailed where nothing can be written there."""
    logs = data.absolute() / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        probe = logs / ".probe"
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except PermissionError as error:
        raise BadSetting(f"TURNPATH_DATA is {data}, and it cannot be written: name a folder of yours") from error
    except OSError as error:
        raise OutputFailed(
            f"{data} cannot be written ({error.strerror}): make room, or set TURNPATH_DATA to a folder that can be"
        ) from error
    free = shutil.disk_usage(logs).free
    if free < _LEAST_FREE:
        raise OutputFailed(
            f"only {free // 1_000_000} MB are free where {data} lies, and the stack needs "
            f"{_LEAST_FREE // 1_000_000} to begin with: make room, or set TURNPATH_DATA to a folder elsewhere"
        )
    return logs


@contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Hold the data folder; Busy where another stack does. The kernel gives it back however this process ends."""
    with (data / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Busy(
                f"another stack (process {lock.read().strip() or 'unknown'}) runs on {data}: stop it first, "
                "or set TURNPATH_DATA and the ports to others, to run two side by side"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def _signals(act: Callable[[], None]) -> Iterator[None]:
    """SIGTERM, SIGINT (Ctrl-C) and SIGHUP (the terminal was closed) call `act` instead of ending the process."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: act()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
