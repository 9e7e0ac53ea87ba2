"""`turnpath worker`: one worker."""

import asyncio
from threading import Event as Flag

import click
import structlog

import settings as configuration
from broker.consumed import needed
from cli import wiring
from metrics.serve import Server
from sql import installation
from sql.client import Client

#: Each of the topic's 12 partitions may have a worker of its own on this machine, with an address of its own.
_WORKERS = 12

#: A statement that ClickHouse has not answered for so long is given up, and done again: it may never answer.
_ANSWERS_WITHIN_S = 60.0


@click.command()
def command() -> None:
    """Run one worker: events in from Kafka, moves and rooms out to ClickHouse.

    Start as many as there are cores to spare; they share the topic's 12 partitions. SIGTERM ends it within 10 s,
    and nothing is lost however it ends. `turnpath migrate` must have run once before.
    /metrics and /health are at TURNPATH_WORKER_HTTP, or where another worker has it, at the next port that is free.
    """
    from stream import agents, app, health, outages  # Faust takes a while to import: not for --help

    wiring.log_as_json()
    wiring.seldom("aiokafka")  # of a broker that is away it has 50 lines a second to say; we say it once
    settings = configuration.load()
    state = health.Health()
    setting = "TURNPATH_WORKER_HTTP"
    server = Server(settings.worker_http, state.reasons, part="worker", setting=setting, tries=_WORKERS)
    # Faust says what is missing in a traceback, and waits for ever where a topic is not there
    asyncio.run(needed(settings.kafka, dict.fromkeys(agents.TOPICS)))
    structlog.get_logger().info("worker starts", metrics=f"http://{server.address}/metrics")
    reading, writing = (Client(settings.clickhouse, timeout_s=_ANSWERS_WITHIN_S) for _ in range(2))
    # before anything is read: by the days of two zones a room would have two rows, and its seal would fail for ever;
    # by another idle time its rows of before would stand beside the new ones
    waiting = outages.Outages(Flag())  # nothing is in hand yet: a signal ends the process at once
    state.attend(waiting)
    waiting.insist("settings", lambda: installation.check(reading, settings))
    app.run(app.make_app(settings, reading, writing, state))
