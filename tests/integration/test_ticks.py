"""Ticks on a real broker: side by side, by one producer; and what a broker that refuses or is away does."""

import asyncio
from collections.abc import Callable
from threading import Event as Flag

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from journey.errors import Crash
from stack.ports import free_port
from stream.outages import Outages
from stream.ticks import TICK, TickSender
from tests.counted import Since
from tests.integration.test_broker import make, whole

AT = 1_793_404_800_000


class Ends:
    """What the worker would have ended with."""

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    def __call__(self, error: Exception) -> None:
        self.errors.append(error)


async def so(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.02)


async def sent(sender: TickSender) -> None:
    await so(lambda: sender._sending is not None and sender._sending.done())


async def limit(kafka: str, topic: str, most: int) -> None:
    """Records of the topic may be so large from now on."""
    client = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await client.start()
    try:
        given = {"max.message.bytes": str(most), "message.timestamp.type": "CreateTime"}
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, given)])
    finally:
        await client.close()


async def test_each_partition_gets_its_tick_with_its_time(kafka: str, topic_name: str) -> None:
    await make(kafka, topic_name, 5)
    ends, waits = Ends(), Outages(Flag())
    sender, ticks = TickSender(kafka, waits, ends), Since("turnpath_worker_ticks_sent_total")
    for second in range(2):
        sender.begin({(topic_name, partition): AT + partition + 1000 * second for partition in range(5)})
        await sent(sender)
    await sender.close()
    found = [
        (record.partition, record.received_at, record.key, record.value) for record in await whole(kafka, topic_name)
    ]
    assert sorted(found) == [(p, AT + p + 1000 * s, None, TICK) for p in range(5) for s in range(2)]
    assert (ends.errors, waits.reasons(), ticks.grown) == ([], [], 10)


async def test_a_broker_that_is_away_ends_nothing_and_is_said(topic_name: str) -> None:
    ends, waits = Ends(), Outages(Flag())
    sender = TickSender(f"127.0.0.1:{free_port()}", waits, ends)
    sender.begin({(topic_name, 0): AT})
    await sent(sender)
    (reason,) = waits.reasons()
    assert reason.startswith("tick: ")
    assert "does not answer" in reason
    assert ends.errors == []
    await sender.close()


async def test_ticks_under_way_are_waited_for(topic_name: str) -> None:
    """A broker that accepts and never answers: no heap of ticks behind it."""
    held: list[asyncio.StreamWriter] = []

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sender = TickSender(f"127.0.0.1:{port}", Outages(Flag()), Ends())
    sender.begin({(topic_name, 0): AT})
    first = sender._sending
    await so(lambda: bool(held))
    sender.begin({(topic_name, 0): AT})
    assert sender._sending is first
    await sender.close()
    for writer in held:
        writer.close()
    server.close()


async def test_an_old_producer_that_is_refused_is_made_anew_and_a_new_one_ends_the_worker(
    kafka: str, topic_name: str
) -> None:
    await make(kafka, topic_name, 1, max_message_bytes="1000")
    ends, waits = Ends(), Outages(Flag())
    sender = TickSender(kafka, waits, ends)
    sender.begin({(topic_name, 0): AT})
    await sent(sender)
    assert waits.reasons() == []
    await limit(kafka, topic_name, 10)
    sender.begin({(topic_name, 0): AT})
    await sent(sender)
    assert ends.errors == []
    assert "by a producer that is old" in waits.reasons()[0]
    sender.begin({(topic_name, 0): AT})
    await sent(sender)
    (error,) = ends.errors
    assert isinstance(error, Crash)
    await limit(kafka, topic_name, 1000)
    sender.begin({(topic_name, 0): AT})
    await sent(sender)
    assert waits.reasons() == []
    await sender.close()
