"""Sends the made-up shop's events: a past that is over, or a present that goes on."""

import asyncio
import time
from collections.abc import Callable, Iterable

import orjson

from broker.produce import Producer
from feed.simulate import Shop, Timed, bot_changes
from journey.events import TOPIC_BOTS

#: A wait shorter than this is not worth the sleep.
_SHORT_S = 0.002
#: How many events may go before others in the event loop get their turn.
_TURN = 200


async def send_bots(kafka: str, shop: Shop) -> None:
    """Tell `chatbot.bots` the names of the shop's bots. Sent again they change nothing."""
    async with Producer(kafka, TOPIC_BOTS) as producer:
        for change in bot_changes(shop):
            key = f"{change['site_id']}:{change['bot_id']}".encode()
            await producer.send(orjson.dumps(change), key)


async def send_past(producer: Producer, events: Iterable[Timed], progress: Callable[[], None]) -> int:
    """Send events with the times at which they were sent; the latest of these (ms), 0 where there was none."""
    latest = 0
    for number, (at, event) in enumerate(events, 1):
        await producer.send(orjson.dumps(event), event["room_id"].encode(), at)
        latest = max(latest, at)
        if number % _TURN == 0:
            progress()
            await asyncio.sleep(0)
    await producer.flush()
    return latest


async def send_live(
    producer: Producer, events: Iterable[Timed], most: int | None, progress: Callable[[], None]
) -> None:
    """Send each event when its time comes; at most so many. A sender that is too slow goes on as fast as it can."""
    for number, (at, event) in enumerate(events, 1):
        wait = at / 1000 - time.time()
        if wait > _SHORT_S or number % _TURN == 0:
            progress()
            await asyncio.sleep(max(0.0, wait))
        await producer.send(orjson.dumps(event), event["room_id"].encode())
        if number == most:
            break
    await producer.flush()
