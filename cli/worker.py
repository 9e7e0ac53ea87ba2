"""`turnpath worker`: one worker."""

import asyncio

import click

import settings as configuration
from broker.consumed import needed
from cli import wiring


@click.command()
def command() -> None:
    """Run one worker: events in from Kafka, moves and rooms out to ClickHouse.

    Start as many as there are cores to spare; they share the topic's 12 partitions. SIGTERM ends it within 10 s,
    and nothing is lost however it ends. `turnpath migrate` must have run once before.
    """
    from stream import agents, app  # Faust takes a while to import: not for --help

    wiring.log_as_json()
    settings = configuration.load()
    # Faust says what is missing in a traceback, and waits for ever where a topic is not there
    asyncio.run(needed(settings.kafka, dict.fromkeys(agents.TOPICS)))
    app.run(app.make_app(settings, wiring.client(settings), wiring.client(settings)))
