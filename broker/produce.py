"""A producer for bulk: records are gathered into batches by partition, which costs a fifth of one future a record.

Acknowledged by all copies, idempotent: a record is written once and in order, also over retries.
"""

import asyncio
from collections.abc import Iterable
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import BrokerResponseError, KafkaError
from aiokafka.partitioner import murmur2

from broker.connect import answered, partitions_of, unreachable
from broker.topics import MAX_RECORD_BYTES
from journey.errors import BadUsage, Crash

_BATCH_BYTES = 256 * 1024
#: What a batch needs beside the value of its only record (61 bytes of head, the lengths; the key is counted).
_OVERHEAD_BYTES = 128
_STOP_S = 5


@lru_cache(maxsize=65536)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, as Kafka's own clients choose it: 0 … partitions - 1."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


class TooLarge(BadUsage):
    """A record larger than the topic takes; nothing of it was sent."""


class Producer:
    """Sends records to one topic; an async context manager.

    `send` returns once the record lies in a batch, at the latest `linger_s` before that goes out, and waits where
    the broker is slower. Errors come out of a later `send`, of `flush`, or at the end of the context: Unreachable
    where the broker is gone or the topic missing, Crash where it refuses a batch. `acknowledged` counts the records
    that the broker has confirmed.
    """

    def __init__(self, kafka: str, topic: str, *, linger_s: float = 0.005, timeout_s: float = 30) -> None:
        self.kafka, self.topic = kafka, topic
        self.partitions = 0
        self.acknowledged = 0
        self._linger_s, self._timeout_s = linger_s, timeout_s
        self._open: dict[int, Any] = {}
        self._under_way: set[asyncio.Future[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._lingering: asyncio.Task[None] | None = None
        self._order = asyncio.Lock()
        self._error: BaseException | None = None
        self._without_key = 0

    async def __aenter__(self) -> Self:
        self._client = AIOKafkaProducer(
            bootstrap_servers=self.kafka,
            acks="all",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES,
            max_request_size=2 * MAX_RECORD_BYTES,
            request_timeout_ms=int(self._timeout_s * 1000),
        )
        try:
            await answered(self.kafka, self._client.start())
            self.partitions = len(await partitions_of(self.kafka, self._client.client, self.topic))
        except BaseException:
            await self._client.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.flush()
        finally:
            await self._stop()

    async def send(self, value: bytes, key: bytes | None = None, at: int | None = None) -> None:
        """Send a record; `at`: its time in ms since the epoch, by default now. Without a key partitions take turns.

        Raises TooLarge, and what became of earlier records (see the class)."""
        if key is None:
            self._without_key += 1
        partition = self._without_key % self.partitions if key is None else partition_of(key, self.partitions)
        await self.send_to(partition, value, key, at)

    async def send_to(self, partition: int, value: bytes, key: bytes | None = None, at: int | None = None) -> None:
        """Send a record to this partition, whatever its key."""
        if len(value) + len(key or b"") + _OVERHEAD_BYTES > MAX_RECORD_BYTES:
            raise TooLarge(f"a record of {len(value)} bytes is more than Kafka takes ({MAX_RECORD_BYTES} bytes)")
        while True:
            self._raise_error()
            batch = self._open.get(partition)
            if batch is None:
                batch = self._open[partition] = self._client.create_batch()
                self._linger()
            if batch.append(timestamp=at, key=key, value=value) is not None:
                return
            await self._hand_over(partition, batch)

    async def flush(self) -> None:
        """Return when everything sent so far is confirmed, or raise what stopped it."""
        await self._hand_over_all(list(self._open.items()))
        async with self._order:  # the one that lingered may be on its way just now
            pass
        while self._under_way:
            await asyncio.wait(self._under_way)
        self._raise_error()

    def _linger(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._linger_s, self._lingered)

    def _lingered(self) -> None:
        self._timer = None
        if self._lingering is None or self._lingering.done():
            self._lingering = asyncio.create_task(self._hand_over_all(list(self._open.items())))
        else:
            self._linger()

    async def _hand_over_all(self, batches: Iterable[tuple[int, Any]]) -> None:
        for partition, batch in batches:
            await self._hand_over(partition, batch)

    async def _hand_over(self, partition: int, batch: Any) -> None:
        """Give a batch to the client, once, and in the order in which the batches of a partition were begun."""
        async with self._order:
            if partition not in self._open or self._open[partition] is not batch:
                return
            del self._open[partition]
            batch.close()
            try:
                confirmed = await self._client.send_batch(batch, self.topic, partition=partition)
            except KafkaError as error:
                self._error = self._error or error
                return
        self._under_way.add(confirmed)
        confirmed.add_done_callback(lambda done: self._confirmed(done, batch.record_count()))

    def _confirmed(self, done: asyncio.Future[Any], records: int) -> None:
        self._under_way.discard(done)
        if done.cancelled():
            return
        if done.exception() is not None:
            self._error = self._error or done.exception()
        else:
            self.acknowledged += records

    def _raise_error(self) -> None:
        if self._error is None:
            return
        if isinstance(self._error, BrokerResponseError) and not self._error.retriable:
            said = f"Kafka at {self.kafka} refuses records for {self.topic}: {self._error}"
            raise Crash(f"{said}; `turnpath migrate` says whether the topic is as it should be") from self._error
        raise unreachable(self.kafka, self._error) from self._error

    async def _stop(self) -> None:
        """Let go of the client; what it still holds gets a few seconds."""
        if self._timer is not None:
            self._timer.cancel()
        if self._lingering is not None:
            self._lingering.cancel()
        try:
            async with asyncio.timeout(_STOP_S):
                await self._client.stop()
        except (TimeoutError, KafkaError):
            await self._client.client.close()
