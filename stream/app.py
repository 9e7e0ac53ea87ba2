"""The worker: a Faust app with the batch transport, and how it ends."""

import gc
import os
import time
from datetime import timedelta
from pathlib import Path
from threading import Event as Flag
from threading import Timer

import faust
import structlog

from journey.calendar import Calendar
from journey.errors import BadSetting
from settings import Settings
from sql.client import Client
from sql.readback import Readback
from sql.sink import Sink
from stream import agents
from stream.batch import Batches
from stream.health import Health
from stream.ticks import TickSender
from stream.transport import use_batches

log = structlog.get_logger()

GROUP = "turnpath"

#: SIGTERM drains or abandons within 10 s; what is abandoned is read again.
STOP_WITHIN_S = 8.0


def make_app(settings: Settings, reading: Client, writing: Client, health: Health | None = None) -> faust.App:
    """The worker's app, ready to run; it reads and writes ClickHouse in two threads, each by its own connection.

    `health` is told how it is.
    """
    app = faust.App(
        GROUP,
        broker=f"kafka://{settings.kafka}",
        datadir=str(_folder(settings.data / "faust")),
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        agent_supervisor="mode.CrashingSupervisor",  # else Faust goes on with the next poll after an exception
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=settings.batch_bytes,
        broker_max_poll_records=None,
        broker_max_poll_interval=604800.0,  # past it the consumer leaves and never comes back, alive and idle
        broker_request_timeout=20.0,  # a broker that accepts and never answers is tried anew
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.0,
        broker_rebalance_timeout=15.0,  # for as long the others wait for a member that was killed while it joined
        # A broker that has just started may not know its topics yet: the leader then deals out nothing, and deals anew
        # only when it has looked again.
        consumer_metadata_max_age_ms=5_000,
        broker_commit_interval=1.0,
        stream_buffer_maxsize=4,
        stream_wait_empty=False,  # with True and a sink that is away, SIGTERM never ends the worker
        stream_recovery_delay=0.0,  # above 0 a fresh partition's first poll is lost
    )
    use_batches(app, frozenset(agents.TOPICS))
    stopping = Flag()
    batches = _batches(settings, reading, writing, stopping)
    health = health or Health()
    health.attend(batches.outages)
    ticks = TickSender(settings.kafka, batches.outages, agents.end)
    writer = agents.Writer(app, batches, _now, ticks.begin, stopping, health)
    agents.add_agents(app, writer, settings.kafka)
    app.on_before_shutdown.connect(_end_in_time(stopping, ticks), weak=False)
    return app


def run(app: faust.App) -> None:
    """Run the worker in this process until it is told to stop; never returns."""
    # Rooms in memory are many and make no cycles: walking through them again and again was a fifth of the CPU.
    gc.set_threshold(100_000, 50, 100)
    worker = faust.Worker(app, quiet=True, redirect_stdouts=False, override_logging=False)
    worker.spinner = None  # it would write a terminal's signs between the lines of the log
    worker.execute_from_commandline()


def _folder(path: Path) -> Path:
    """Faust wants a folder of its own, though nothing is kept in it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadSetting(f"{path} cannot be made ({error.strerror}): set TURNPATH_DATA to a folder of yours") from error
    return path


def _batches(settings: Settings, reading: Client, writing: Client, stopping: Flag) -> Batches:
    return Batches(
        Readback(reading),
        Sink(writing),
        Calendar(settings.timezone),
        wait=_ms(settings.reorder_wait),
        idle=_ms(settings.room_idle),
        rooms_in_memory=settings.rooms_in_memory,
        stopping=stopping,
    )


def _now() -> int:
    return time.time_ns() // 1_000_000


def _end_in_time(stopping: Flag, ticks: TickSender):  # type: ignore[no-untyped-def]
    async def before_shutdown(app: faust.App, **_: object) -> None:
        """Stop waiting for parts that are away; and end even where a thread hangs in one that never answers."""
        log.info("worker stops")
        stopping.set()
        last = Timer(STOP_WITHIN_S, lambda: os._exit(1 if app.crashed else 0))
        last.daemon = True
        last.start()
        await ticks.close()

    return before_shutdown


def _ms(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)
