"""`turnpath replay`: a file of events through Kafka."""

import asyncio
import sys
import time

import click

from broker.produce import Producer
from cli.output import say
from cli.progress import Progress
from feed.replay import Sent, doubts, end_import, replay, tick_time
from journey.errors import NoData
from journey.events import TOPIC_IMPORT, TOPIC_LIVE
from settings import Settings, load


@click.command()
@click.argument("file")
@click.option("--history", is_flag=True, help="Import: each record's time is its event's own, and days can be sealed.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Events a second; without it, all at once.")
def command(file: str, history: bool, rate: float | None) -> None:
    """Send the events of FILE, one JSON object a line, plain or gzipped; `-` is standard input.

    Every line is sent as it is, in the file's order, with its room_id as the key: `turnpath check FILE` says beforehand
    which of them are valid. Sent twice, an event counts once. Days that are over are sent with --history, before
    anything of them is sealed; `turnpath seal` then seals them.
    """
    settings, sent, progress = load(), Sent(), Progress("events sent")
    try:
        asyncio.run(_replay(settings, file, sent, progress, history, rate))
    except KeyboardInterrupt:
        progress.end()
        say(f"stopped after {sent.lines:,} events; send the file again from its start, what is there counts once")
        sys.exit(130)
    if not sent.lines:
        raise NoData(f"{file} has no events: nothing was sent")
    _report(history, sent, progress)


async def _replay(
    settings: Settings, file: str, sent: Sent, progress: Progress, history: bool, rate: float | None
) -> None:
    async with Producer(settings.kafka, TOPIC_IMPORT if history else TOPIC_LIVE) as producer:
        await replay(file, producer, sent, history=history, rate=rate, progress=lambda: progress(sent.lines))
        if history and sent.latest:
            await end_import(producer, tick_time_of(settings, sent.latest))


def tick_time_of(settings: Settings, latest: int) -> int:
    """When an import of events up to `latest` (ms) ends, by the settings' waits and the clock."""
    idle_ms = round(settings.room_idle.total_seconds() * 1000)
    wait_ms = round(settings.reorder_wait.total_seconds() * 1000)
    return tick_time(latest, round(time.time() * 1000), idle_ms=idle_ms, wait_ms=wait_ms)


def _report(history: bool, sent: Sent, progress: Progress) -> None:
    seconds = progress.end()
    say(f"{sent.lines - sent.too_large:,} events sent in {seconds:,.1f} s")
    for doubt in doubts(sent, history=history, now=round(time.time() * 1000)):
        say(doubt)
    if history:
        say("next: `turnpath seal` seals the days of this import that are over")
