"""Sends a file of events through Kafka, as they are: as if they happened now, or as history with their own times."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec

from broker.produce import Producer, TooLarge
from feed.lines import ablocks
from journey.decode import DAY, YEAR_2000, YEAR_2149, milliseconds
from journey.errors import DeadLetter
from journey.events import Time

TICK = b'{"type":"tick"}'
_FOR_EVER = YEAR_2149 - 1


class _Head(msgspec.Struct, gc=False):
    """What sending needs of a line that may break the contract in any way."""

    room_id: Any = None
    occurred_at: Any = None


_head = msgspec.json.Decoder(_Head)
_Time = Annotated[datetime, Time.__metadata__[0]]


class Sent(msgspec.Struct):
    """What a replay has done so far. `earliest`, `latest`: ms, of the events' own times; 0 while there is none."""

    lines: int = 0
    without_room: int = 0
    without_time: int = 0
    too_large: int = 0
    earliest: int = 0
    latest: int = 0

    def saw(self, at: int) -> None:
        self.earliest = min(self.earliest or at, at)
        self.latest = max(self.latest, at)


async def replay(
    path: str,
    producer: Producer,
    sent: Sent,
    *,
    history: bool = False,
    rate: float | None = None,
    progress: Callable[[], None] = lambda: None,
) -> None:
    """Send every line of the file (`-`: standard input) in its order, `rate` a second; `sent` tells how far it came.

    The key is the line's room_id. A line without one goes without a key, and becomes a dead letter like any other
    that breaks the contract: telling which is `check`'s work. With `history` a record's time is the event's own;
    where it has none, the latest before it.
    """
    begun = time.monotonic()
    async for block in ablocks(path):
        for _, line in block:
            await _send(line, producer, sent, history)
            if rate is not None:
                await asyncio.sleep(max(0.0, begun + sent.lines / rate - time.monotonic()))
        progress()
    await producer.flush()


async def _send(line: bytes, producer: Producer, sent: Sent, history: bool) -> None:
    key, at = head(line)
    sent.lines += 1
    sent.without_room += key is None
    sent.without_time += at is None
    if at is not None:
        sent.saw(at)
    try:
        await producer.send(line, key, (at or sent.latest or YEAR_2000) if history else None)
    except TooLarge:
        sent.too_large += 1


def head(line: bytes) -> tuple[bytes | None, int | None]:
    """The key of a line, and its occurred_at in ms; None for what it does not have."""
    try:
        found = _head.decode(line)
    except (ValueError, RecursionError):
        return None, None
    room = found.room_id
    return room.encode() if isinstance(room, str) and room else None, _time(found.occurred_at)


def _time(said: Any) -> int | None:
    try:
        return milliseconds(msgspec.convert(said, _Time), _FOR_EVER)
    except (msgspec.ValidationError, DeadLetter):
        return None


def tick_time(latest: int, now: int, *, idle_ms: int, wait_ms: int) -> int:
    """The time of the tick that ends an import of events up to `latest` (ms).

    It is late enough that no event waits any longer for those before it, and that rooms idle for `idle_ms` are closed;
    but not ahead of now for that: a room that may still go on is not closed by an import.
    """
    return max(latest + wait_ms, min(latest + idle_ms, now))


async def end_import(producer: Producer, at: int) -> None:
    """End each partition with a tick (DESIGN.md, Delivery 1), also those to which nothing was sent."""
    for partition in range(producer.partitions):
        await producer.send_to(partition, TICK, None, at)
    await producer.flush()


def doubts(sent: Sent, *, history: bool, now: int) -> list[str]:
    """What a person should know of what was sent."""
    out = []
    if sent.too_large:
        out.append(f"not sent, since larger than Kafka takes: {_lines(sent.too_large)}")
    if sent.without_room:
        out.append(
            f"without a room_id: {_lines(sent.without_room)}, sent without a key; they become dead letters, "
            "and `turnpath check` says which"
        )
    if sent.latest > now + DAY:
        out.append("some events lie in the future: are their times right?")
    elif not history and 0 < sent.latest < now - DAY:
        out.append("these events are of the past, and their days may be sealed: history is sent with --history")
    return out


def _lines(number: int) -> str:
    return "1 line" if number == 1 else f"{number:,} lines"
