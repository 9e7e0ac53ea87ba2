"""Connections to the broker that fail within seconds, and with a sentence that says what to do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, UnsupportedCodecError

from journey.errors import Crash, Unreachable

#: Seconds until a broker that does not answer counts as unreachable.
PATIENCE_S = 5

Answer = TypeVar("Answer")


async def answered(kafka: str, question: Awaitable[Answer], patience_s: float | None = None) -> Answer:
    """The broker's answer; Unreachable where it gives none in time, or an error (all of aiokafka's)."""
    try:
        async with asyncio.timeout(PATIENCE_S if patience_s is None else patience_s):
            return await question
    except UnsupportedCodecError as error:
        raise Crash(f"records of Kafka at {kafka} cannot be unpacked: {error}") from error
    except (KafkaError, TimeoutError, OSError) as error:
        raise unreachable(kafka, error) from error


def unreachable(kafka: str, error: BaseException) -> Unreachable:
    """The sentence for a broker that does not answer."""
    known = isinstance(error, (KafkaConnectionError, KafkaTimeoutError, TimeoutError))
    said = "" if known else f" ({str(error).strip() or type(error).__name__})"
    return Unreachable(
        f"Kafka at {kafka} does not answer{said}: start the stack with `turnpath up`, "
        "or set TURNPATH_KAFKA to a broker that runs"
    )


async def partitions_of(kafka: str, client: Any, topic: str) -> list[int]:
    """The topic's partitions, in order; `client`: aiokafka's, inside a producer or consumer.

    All topics are asked for, since a broker may make the one that is named. Raises Unreachable for a missing topic."""
    cluster = await answered(kafka, client.fetch_all_metadata())
    found = cluster.partitions_for_topic(topic)
    if not found:
        raise Unreachable(f"Kafka at {kafka} has no topic {topic}: run `turnpath migrate` first")
    # or else the first question about it fails, and is asked again 0.1 s later
    await answered(kafka, client.add_topic(topic))
    return sorted(found)


@asynccontextmanager
async def admin(kafka: str) -> AsyncIterator[Any]:
    """A started AIOKafkaAdminClient."""
    client = AIOKafkaAdminClient(bootstrap_servers=kafka, request_timeout_ms=PATIENCE_S * 1000)
    try:
        await answered(kafka, client.start())
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def reader(kafka: str) -> AsyncIterator[Any]:
    """A started AIOKafkaConsumer without a group: it commits nothing and disturbs nobody."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        await answered(kafka, consumer.start())
        yield consumer
    finally:
        await consumer.stop()
