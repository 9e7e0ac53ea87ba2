"""Topics, producer and consumed offsets on a real broker."""

import asyncio
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from broker import connect
from broker.consumed import Reach, Record, behind, needed, reaches, read_whole
from broker.produce import Producer, TooLarge, partition_of
from broker.topics import MAX_RECORD_BYTES, made_topics
from journey.errors import Crash, Unreachable
from journey.events import TOPIC_BOTS, TOPIC_IMPORT, TOPIC_LIVE

NOBODY = "127.0.0.1:1"


async def make(kafka: str, name: str, partitions: int = 3, **settings: str) -> None:
    configs = {key.replace("_", "."): value for key, value in settings.items()}
    client = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await client.start()
    try:
        answer = await client.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
        assert [error[1] for error in answer.topic_errors] == [0]
        for _ in range(1000):
            if name in await client.list_topics():
                break
            await asyncio.sleep(0.01)
    finally:
        await client.close()


async def whole(kafka: str, topic: str) -> list[Record]:
    return [record async for record in read_whole(kafka, topic)]


async def commit(kafka: str, topic: str, group: str, offsets: dict[int, int]) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in offsets])
        await consumer.commit({TopicPartition(topic, partition): at for partition, at in offsets.items()})
    finally:
        await consumer.stop()


# topics
async def test_topics_are_made_once_also_by_two(fresh_kafka: str) -> None:
    first, second = await asyncio.gather(made_topics(fresh_kafka), made_topics(fresh_kafka))
    said = first + second
    made = [sentence.split()[1] for sentence in said]
    assert sorted(made) == [TOPIC_BOTS, TOPIC_LIVE, TOPIC_IMPORT]
    assert all(" made: " in sentence for sentence in said)
    assert await made_topics(fresh_kafka) == []
    async with Producer(fresh_kafka, TOPIC_LIVE) as live, Producer(fresh_kafka, TOPIC_BOTS) as bots:
        assert (live.partitions, bots.partitions) == (12, 1)
    await check_times(fresh_kafka)
    await check_compaction(fresh_kafka)


async def check_times(kafka: str) -> None:
    """Live: the broker's clock. Import: what the sender says, however old, or ahead."""
    old, ahead, now = 946_684_800_000, 4_102_444_800_000, time.time() * 1000
    for topic in (TOPIC_LIVE, TOPIC_IMPORT):
        async with Producer(kafka, topic) as producer:
            for at in (old, ahead):
                await producer.send_to(0, b"{}", b"r", at)
    live = [record.received_at for record in await whole(kafka, TOPIC_LIVE)]
    assert len(live) == 2
    assert all(abs(at - now) < 60_000 for at in live)
    assert [record.received_at for record in await whole(kafka, TOPIC_IMPORT)] == [old, ahead]


async def check_compaction(kafka: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await client.start()
    (answer,) = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, TOPIC_BOTS)])
    await client.close()
    settings = {entry[0]: entry[1] for entry in answer.resources[0][4]}
    assert settings["cleanup.policy"] == "compact"
    assert int(settings["min.compaction.lag.ms"]) == 7 * 86_400_000


async def test_a_topic_that_differs_is_told_and_left(fresh_kafka: str) -> None:
    await make(fresh_kafka, TOPIC_LIVE, partitions=4)
    await make(fresh_kafka, TOPIC_IMPORT, partitions=12, retention_ms="1000", max_message_bytes="9000000")
    made, *differ = await made_topics(fresh_kafka)
    assert TOPIC_BOTS in made
    assert differ == await made_topics(fresh_kafka)
    told = "\n".join(differ)
    assert "chatbot.turns has 4 partitions instead of 12" in told
    assert "chatbot.turns has message.timestamp.type=CreateTime instead of LogAppendTime" in told
    assert "chatbot.turns.import has retention.ms=1000 instead of -1" in told
    assert "--add-config retention.ms=-1" in told
    assert "max.message.bytes" not in told
    async with Producer(fresh_kafka, TOPIC_LIVE) as producer:
        assert producer.partitions == 4


# produce
@pytest.mark.parametrize(
    "key, hashed",  # the vectors of Kafka's own UtilsTest
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"abc", 479470107),
    ],
)
def test_partition_is_that_of_kafkas_clients(key: bytes, hashed: int) -> None:
    assert partition_of(key, 12) == (hashed & 0x7FFFFFFF) % 12


async def test_records_arrive_once_in_order_on_the_partition_of_their_key(kafka: str, topic_name: str) -> None:
    await make(kafka, topic_name)
    async with Producer(kafka, topic_name) as producer:
        for number in range(20_000):
            await producer.send(b"%d" % number, b"room-%d" % (number % 50))
        await producer.flush()
        assert producer.acknowledged == 20_000
    records = await whole(kafka, topic_name)
    assert sorted(int(r.value or b"") for r in records) == list(range(20_000))
    by_key: dict[bytes | None, list[int]] = {}
    for record in records:
        assert record.key is not None
        assert record.partition == partition_of(record.key, 3)
        by_key.setdefault(record.key, []).append(int(record.value or b""))
    assert all(numbers == sorted(numbers) for numbers in by_key.values())


async def test_other_clients_choose_the_same_partition(kafka: str, topic_name: str) -> None:
    await make(kafka, topic_name, 7)
    async with AIOKafkaProducer(bootstrap_servers=kafka) as other:
        for number in range(100):
            key = f"방-{number}".encode()
            assert (await other.send_and_wait(topic_name, b"x", key)).partition == partition_of(key, 7)


async def test_a_lone_record_goes_without_a_flush(kafka: str, topic_name: str) -> None:
    await make(kafka, topic_name)
    async with Producer(kafka, topic_name) as producer:
        await producer.send(b"alone", b"k")
        for _ in range(1000):
            if producer.acknowledged:
                break
            await asyncio.sleep(0.01)
        assert len(await whole(kafka, topic_name)) == 1


async def test_flush_waits_for_what_lingered_too(kafka: str, topic_name: str) -> None:
    """A batch that is just being handed over lies nowhere: flush must not miss it."""
    await make(kafka, topic_name, 1)
    async with Producer(kafka, topic_name, linger_s=0) as producer:
        hands_over, may_go = asyncio.Event(), asyncio.Event()
        send_batch = producer._client.send_batch

        async def held(*arguments: Any, **named: Any) -> Any:
            hands_over.set()
            await may_go.wait()
            return await send_batch(*arguments, **named)

        producer._client.send_batch = held
        await producer.send(b"x", b"k")
        await hands_over.wait()
        flushing = asyncio.create_task(producer.flush())
        asyncio.get_running_loop().call_later(0.05, may_go.set)
        await flushing
        assert producer.acknowledged == 1


async def test_records_without_a_key_are_spread(kafka: str, topic_name: str) -> None:
    await make(kafka, topic_name)
    async with Producer(kafka, topic_name) as producer:
        for _ in range(30):
            await producer.send(b"x")
    partitions = [record.partition for record in await whole(kafka, topic_name)]
    assert [partitions.count(p) for p in range(3)] == [10, 10, 10]


async def test_large_records_arrive_and_larger_ones_are_refused(kafka: str, topic_name: str) -> None:
    await make(kafka, topic_name, 1, max_message_bytes=str(MAX_RECORD_BYTES))
    async with Producer(kafka, topic_name) as producer:
        await producer.send(b"before", b"k")
        await producer.send(b"x" * (MAX_RECORD_BYTES - 200), b"k")
        with pytest.raises(TooLarge, match="more than Kafka takes"):
            await producer.send(b"x" * MAX_RECORD_BYTES, b"k")
        await producer.send(b"after", b"k")
    sizes = [len(record.value or b"") for record in await whole(kafka, topic_name)]
    assert sizes == [6, MAX_RECORD_BYTES - 200, 5]


async def test_what_the_broker_refuses_is_said(kafka: str, topic_name: str) -> None:
    await make(kafka, topic_name, 1, max_message_bytes="1000")
    with pytest.raises(Crash, match=topic_name):
        async with Producer(kafka, topic_name) as producer:
            await producer.send(b"x" * 5000)


async def test_an_error_within_is_not_covered_up(kafka: str, topic_name: str) -> None:
    await make(kafka, topic_name)

    async def fails() -> None:
        async with Producer(kafka, topic_name) as producer:
            await producer.send(b"x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_records_are_read(kafka: str, topic_name: str, codec: str) -> None:
    await make(kafka, topic_name)
    async with AIOKafkaProducer(bootstrap_servers=kafka, compression_type=codec) as other:
        await other.send_and_wait(topic_name, b"x" * 5000)
    assert [record.value for record in await whole(kafka, topic_name)] == [b"x" * 5000]


# unreachable
async def ask(kind: str, kafka: str, topic: str) -> Any:
    if kind == "topics":
        return await made_topics(kafka)
    if kind == "produce":
        async with Producer(kafka, topic):
            return None
    return await needed(kafka, {topic: None})


@pytest.mark.parametrize("kind", ["topics", "produce", "needed"])
async def test_without_a_broker(kind: str) -> None:
    with pytest.raises(Unreachable, match="turnpath up"):
        await ask(kind, NOBODY, "t")


@pytest.mark.parametrize("kind", ["produce", "needed"])
async def test_without_the_topic(kind: str, kafka: str, topic_name: str) -> None:
    with pytest.raises(Unreachable, match="turnpath migrate"):
        await ask(kind, kafka, topic_name)


async def test_a_broker_that_accepts_and_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "PATIENCE_S", 0.3)
    server = await asyncio.start_server(lambda _reader, _writer: asyncio.sleep(3600), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(Unreachable):
        await ask("produce", f"127.0.0.1:{port}", "t")
    server.close()


# consumed
async def test_needed_is_the_first_record_after_a_time_or_the_end(kafka: str, topic_name: str) -> None:
    await make(kafka, topic_name, message_timestamp_type="CreateTime")
    async with Producer(kafka, topic_name) as producer:
        for at in (1_000_000, 2_000_000, 3_000_000):
            await producer.send_to(0, b"x", at=at)
        await producer.send_to(1, b"x", at=1_000_000)
    wanted = {(topic_name, 0): 2, (topic_name, 1): 1, (topic_name, 2): 0}
    assert await needed(kafka, {topic_name: 2_000_001}) == wanted
    assert await needed(kafka, {topic_name: 2_000_000}) == wanted | {(topic_name, 0): 1}
    assert await needed(kafka, {topic_name: None}) == wanted | {(topic_name, 0): 3}


async def test_behind_until_the_group_has_committed(kafka: str, topic_name: str) -> None:
    await make(kafka, topic_name, 2)
    async with Producer(kafka, topic_name) as producer:
        for partition in (0, 0, 0, 1):
            await producer.send_to(partition, b"x")
    need, group = await needed(kafka, {topic_name: None}), f"group-{topic_name}"
    assert await behind(kafka, need, group) == {(topic_name, 0): (0, 3), (topic_name, 1): (0, 1)}
    await commit(kafka, topic_name, group, {0: 2, 1: 1})
    assert await behind(kafka, need, group) == {(topic_name, 0): (2, 3)}
    assert await reaches(kafka, topic_name, group=group) == [
        Reach(topic_name, 0, first=0, committed=2, end=3),
        Reach(topic_name, 1, first=0, committed=1, end=1),
    ]
    assert [reach.behind for reach in await reaches(kafka, topic_name, group=group)] == [1, 0]
    await commit(kafka, topic_name, group, {0: 3})
    assert await behind(kafka, need, group) == {}


async def test_records_that_expired_unread_are_not_waited_for(kafka: str, topic_name: str) -> None:
    await make(kafka, topic_name, 1)
    async with Producer(kafka, topic_name) as producer:
        for _ in range(4):
            await producer.send(b"x")
    group = f"group-{topic_name}"
    await commit(kafka, topic_name, group, {0: 1})
    client = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await client.start()
    await client.delete_records({TopicPartition(topic_name, 0): RecordsToDelete(before_offset=4)})
    await client.close()
    assert await behind(kafka, await needed(kafka, {topic_name: None}), group) == {}
    assert await whole(kafka, topic_name) == []


async def test_a_whole_topic_ends_also_where_the_last_offset_has_no_record(kafka: str, topic_name: str) -> None:
    """A transaction's marker takes an offset."""
    await make(kafka, topic_name, 2)
    async with AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=topic_name) as other, other.transaction():
        await other.send_and_wait(topic_name, b"x", partition=1)
    assert [(r.partition, r.offset, r.value) for r in await whole(kafka, topic_name)] == [(1, 0, b"x")]
