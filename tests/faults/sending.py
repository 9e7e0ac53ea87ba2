"""Sends records at a pace, in a thread, until the broker has confirmed each; a broker that is away is waited for."""

import asyncio
import time
from collections.abc import Iterator
from itertools import islice
from threading import Thread

import structlog

from broker.produce import Producer
from journey.errors import TurnpathError
from journey.events import TOPIC_IMPORT
from tests.faults.model import TICK
from tests.faults.traffic import Sent

log = structlog.get_logger()

_STEP_S = 0.05
PARTITIONS = 12


class Sending(Thread):
    """Sends `records` to the topics that they name, about `per_s` a second, up to `goal` of them and no further.

    `sent`: how many were confirmed; `values`: all that were. What fails is sent again whole: a repeat in the log.
    """

    def __init__(self, kafka: str, records: Iterator[Sent], per_s: float) -> None:
        super().__init__(name="sending", daemon=True)
        self.goal = self.sent = self.again = 0
        self.per_s = per_s
        self.values: set[bytes] = set()
        self.error: BaseException | None = None
        self._kafka, self._records = kafka, records
        self._ends = False
        self._producers: dict[str, Producer] = {}

    def end(self) -> None:
        """Send what is still up to the goal; raises what stopped the thread."""
        self._ends = True
        self.join()
        if self.error is not None:
            raise self.error

    def run(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self.error = error

    async def _run(self) -> None:
        while self.sent < self.goal or not self._ends:
            begun = time.monotonic()
            some = list(islice(self._records, min(self.goal - self.sent, max(1, round(self.per_s * _STEP_S)))))
            if some:
                await self._send_until_confirmed(some)
                self.values.update(record.value for record in some)
                self.sent += len(some)
            await asyncio.sleep(max(0.001, begun + _STEP_S - time.monotonic()))
        await self._close()

    async def _send_until_confirmed(self, some: list[Sent]) -> None:
        while True:
            try:
                await self._send(some)
                return
            except (TurnpathError, TimeoutError) as error:
                log.warning("sent again", records=len(some), error=str(error))
                self.again += len(some)
                await self._close()
                await asyncio.sleep(0.3)

    async def _send(self, some: list[Sent]) -> None:
        for topic in {record.topic for record in some}:
            if topic not in self._producers:
                self._producers[topic] = await Producer(self._kafka, topic, timeout_s=10).__aenter__()
        for record in some:
            await self._producers[record.topic].send(record.value, record.key, record.at)
        for producer in self._producers.values():
            await producer.flush()

    async def _close(self) -> None:
        for topic in list(self._producers):
            await self._producers.pop(topic).__aexit__(TurnpathError, None, None)


async def end_imports(kafka: str, at: int) -> None:
    """A tick at `at` (ms) at the end of each partition of the imports, as `turnpath replay --history` sends it."""
    async with Producer(kafka, TOPIC_IMPORT) as producer:
        for partition in range(PARTITIONS):
            await producer.send_to(partition, TICK, at=at)
        await producer.flush()
