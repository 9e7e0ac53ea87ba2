"""`turnpath simulate`: the customers of a made-up shop."""

import asyncio
import sys
import time
from datetime import timedelta

import click

from broker.produce import Producer
from cli.output import say
from cli.progress import Progress
from cli.replay import tick_time_of
from feed.replay import end_import
from feed.scenario import SHOP
from feed.send import send_bots, send_live, send_past
from feed.simulate import Shop, history, live
from journey.calendar import Calendar
from journey.events import TOPIC_IMPORT, TOPIC_LIVE
from settings import Settings, load

_STOPPED_PAST = "stopped in the middle: run it again, what is there counts once, before `turnpath seal`"
_STOPPED_LIVE = "stopped: rooms that are open close by themselves when they have been idle for long"


@click.command()
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed, the same customers.")
@click.option("--site", default="shop", show_default=True, help="The site_id of the shop.")
@click.option("--bots", type=click.IntRange(1, len(SHOP)), default=len(SHOP), show_default=True, help="How many bots.")
@click.option(
    "--rate", type=click.FloatRange(0.01, 20_000), help="Live: events a second, on the average.  [default: 5]"
)
@click.option("--events", type=click.IntRange(1), help="Live: end after so many events; without it, never.")
@click.option("--history", "past", is_flag=True, help="Import whole past days instead, up to yesterday.")
@click.option("--days", type=click.IntRange(1, 366), help="With --history: how many.  [default: 3]")
@click.option("--rooms", type=click.IntRange(1), help="With --history: rooms a day.  [default: 400]")
def command(
    seed: int,
    site: str,
    bots: int,
    rate: float | None,
    events: int | None,
    past: bool,
    days: int | None,
    rooms: int | None,
) -> None:
    """Send the events of a made-up Korean shop: live until Ctrl-C, or some past days at once.

    Live, rooms open and go on side by side, each for a minute or so. With --history whole days are imported as
    `replay --history` does it, the same again for the same seed and day; `turnpath seal` then seals them.
    """
    if past and (rate or events):
        raise click.UsageError("--rate and --events are for live events: leave them or --history out")
    if not past and (days or rooms):
        raise click.UsageError("--days and --rooms are for past days: add --history")
    settings = load()
    shop = Shop(seed, site, bots, settings.timezone)
    try:
        asyncio.run(
            _past(settings, shop, days or 3, rooms or 400) if past else _live(settings, shop, rate or 5, events)
        )
    except KeyboardInterrupt:
        say(_STOPPED_PAST if past else _STOPPED_LIVE)
        sys.exit(130 if past else 0)


async def _past(settings: Settings, shop: Shop, days: int, rooms: int) -> None:
    calendar, now, progress = Calendar(settings.timezone), round(time.time() * 1000), Progress("events sent")
    today = calendar.day(now)
    say(f"importing {days} days of {rooms:,} rooms, {today - timedelta(days=days)} to {today - timedelta(days=1)}")
    await send_bots(settings.kafka, shop)
    events = history(shop, today - timedelta(days=days), days, rooms_a_day=rooms, until=now)
    async with Producer(settings.kafka, TOPIC_IMPORT) as producer:
        latest = await send_past(producer, events, lambda: progress(producer.acknowledged))
        sent = producer.acknowledged
        await end_import(producer, tick_time_of(settings, latest))
    say(f"{sent:,} events sent in {progress.end():,.1f} s")
    say("next: `turnpath seal` seals the days of this import that are over")


async def _live(settings: Settings, shop: Shop, rate: float, most: int | None) -> None:
    say(f"sending about {rate:g} events a second to {TOPIC_LIVE} as site {shop.site_id}; Ctrl-C ends it")
    progress = Progress("events sent")
    await send_bots(settings.kafka, shop)
    async with Producer(settings.kafka, TOPIC_LIVE) as producer:
        events = live(shop, round(time.time() * 1000), rate)
        await send_live(producer, events, most, lambda: progress(producer.acknowledged))
    say(f"{producer.acknowledged:,} events sent in {progress.end():,.1f} s")
