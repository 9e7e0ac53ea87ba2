"""Ticks: appended beside the stream, so that a broker that is slow or away holds no batch up."""

import asyncio
from collections.abc import Callable

from broker.produce import Producer
from journey.errors import Crash, Retry
from stream import metrics
from stream.outages import Outages
from stream.poll import Place

TICK = b'{"type":"tick"}'


class TickSender:
    """One producer a topic, made at the first tick and kept. `end`: what to do about an error that nothing mends."""

    def __init__(self, kafka: str, outages: Outages, end: Callable[[Exception], None]) -> None:
        self._kafka, self._outages, self._end = kafka, outages, end
        self._producers: dict[str, Producer] = {}
        self._opening = asyncio.Lock()
        self._sending: asyncio.Task[None] | None = None

    def begin(self, ticks: dict[Place, int]) -> None:
        """Append a tick to each of these partitions, with its time (ms).

        None where those before are still under way: what is due stays due.
        """
        if ticks and (self._sending is None or self._sending.done()):
            self._sending = asyncio.create_task(self._send(ticks))

    async def _send(self, ticks: dict[Place, int]) -> None:
        try:
            await asyncio.gather(*(self.append(place, at) for place, at in ticks.items()))
            self._outages.over("tick")
        except Retry as error:
            self._outages.failed("tick", str(error))
        except Exception as error:
            self._end(error)

    async def append(self, place: Place, at: int) -> None:
        """Append a tick. Raises Unreachable, or Crash where the broker refuses it of a new producer, too."""
        is_new = place[0] not in self._producers
        try:
            producer = await self._producer(place[0])
            await producer.send_to(place[1], TICK, at=at)
            await producer.flush()
        except (Retry, Crash) as error:
            await self._drop(place[0], error)
            if is_new or isinstance(error, Retry):
                raise
            raise Retry(f"tick refused, by a producer that is old: {error}") from error
        metrics.TICKS.inc()

    async def _producer(self, topic: str) -> Producer:
        async with self._opening:
            if topic not in self._producers:
                self._producers[topic] = await Producer(self._kafka, topic).__aenter__()
            return self._producers[topic]

    async def _drop(self, topic: str, why: Exception) -> None:
        """A producer that has failed goes on failing: what it still holds is given up."""
        producer = self._producers.pop(topic, None)
        if producer is not None:
            await producer.__aexit__(type(why), why, None)

    async def close(self) -> None:
        """Give up what is under way, and let go of the producers."""
        if self._sending is not None:
            self._sending.cancel()
        why = Retry("the worker stops")
        await asyncio.gather(*(self._drop(topic, why) for topic in list(self._producers)))
