"""How far a group has consumed, seen from outside: what a seal waits for, and what `doctor` and freshness say.

Only commits are seen from outside; a worker may have read further.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from msgspec import Struct

from broker.connect import PATIENCE_S, admin, answered, partitions_of, reader

#: The workers' consumer group.
GROUP = "turnpath"

#: (topic, partition) -> offset
Offsets = dict[tuple[str, int], int]


class Reach(Struct, frozen=True):
    """How far a group has come in a partition. Offsets; `first` is the oldest record there is, `end` the next to come.

    `committed` is the next to be read: `first` where the group has committed nothing yet."""

    topic: str
    partition: int
    first: int
    committed: int
    end: int

    @property
    def behind(self) -> int:
        """How many records are not yet consumed (offsets left out by compaction counted, too)."""
        return max(0, self.end - self.committed)


class Record(Struct, frozen=True):
    """A record as it lies in the log; `received_at`: its time there, ms since the epoch."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    received_at: int


async def needed(kafka: str, until: Mapping[str, int | None]) -> Offsets:
    """The offset that a group must have reached in each partition, so that all received before then is consumed.

    `until`: topic -> ms since the epoch, of a time that the broker's clock has passed; None: the topic's end as it
    is now. Asked once, when a seal begins; what comes later does not move it. Raises Unreachable, also for a topic
    that is not there."""
    async with reader(kafka) as consumer:
        out: Offsets = {}
        for topic, before in until.items():
            partitions = await _partitions(kafka, consumer, topic)
            later = await _later(kafka, consumer, partitions, before)
            # Asked after `later`: where nothing is later, all that is there now is needed.
            end = await answered(kafka, consumer.end_offsets(partitions))
            out |= {(topic, tp.partition): later.get(tp, end[tp]) for tp in partitions}
        return out


async def behind(kafka: str, needed: Offsets, group: str = GROUP) -> dict[tuple[str, int], tuple[int, int]]:
    """The partitions that have not reached what is needed: (topic, partition) -> (committed, needed).

    Empty: everything needed is consumed."""
    topics = {topic for topic, _ in needed}
    reached = {(r.topic, r.partition): r.committed for r in await reaches(kafka, *topics, group=group)}
    return {at: (reached[at], offset) for at, offset in needed.items() if reached[at] < offset}


async def reaches(kafka: str, *topics: str, group: str = GROUP) -> list[Reach]:
    """How far the group has come in every partition of these topics, in their order."""
    async with reader(kafka) as consumer, admin(kafka) as client:
        partitions = [tp for topic in topics for tp in await _partitions(kafka, consumer, topic)]
        done = await answered(kafka, _commits(client, group), patience_s=4 * PATIENCE_S)
        first = await answered(kafka, consumer.beginning_offsets(partitions))
        end = await answered(kafka, consumer.end_offsets(partitions))
        return [
            # A commit below the first record there is: those between have expired unread, none is waiting there.
            Reach(tp.topic, tp.partition, first[tp], max(first[tp], _offset(done.get(tp))), end[tp])
            for tp in partitions
        ]


async def read_whole(kafka: str, topic: str) -> AsyncIterator[Record]:
    """Every record of the topic that is there now, each partition's in its order, without a group."""
    async with reader(kafka) as consumer:
        partitions = await _partitions(kafka, consumer, topic)
        end = await answered(kafka, consumer.end_offsets(partitions))
        consumer.assign(partitions)
        await answered(kafka, consumer.seek_to_beginning(*partitions))
        # By position, not by the records seen: compaction and transactions leave offsets without a record.
        while await _short_of(kafka, consumer, end):
            found = await answered(kafka, consumer.getmany(timeout_ms=500), patience_s=2 * PATIENCE_S)
            for tp, records in found.items():
                for r in records:
                    if r.offset < end[tp]:
                        yield Record(tp.topic, tp.partition, r.offset, r.key, r.value, r.timestamp)


async def _short_of(kafka: str, consumer: Any, end: dict[TopicPartition, int]) -> bool:
    for tp, offset in end.items():
        if await answered(kafka, consumer.position(tp)) < offset:
            return True
    return False


async def _partitions(kafka: str, consumer: Any, topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in await partitions_of(kafka, consumer._client, topic)]


async def _later(
    kafka: str, consumer: Any, partitions: list[TopicPartition], before: int | None
) -> dict[TopicPartition, int]:
    if before is None:
        return {}
    found = await answered(kafka, consumer.offsets_for_times(dict.fromkeys(partitions, before)))
    return {tp: at.offset for tp, at in found.items() if at is not None}


async def _commits(client: Any, group: str) -> dict[TopicPartition, Any]:
    """What the group has committed. A broker that nobody asked for a group yet makes its topic for them first."""
    while True:
        try:
            found: dict[TopicPartition, Any] = await client.list_consumer_group_offsets(group)
            return found
        except KafkaError as error:
            if not error.retriable:
                raise
            await asyncio.sleep(0.1)


def _offset(commit: Any) -> int:
    return -1 if commit is None else int(commit.offset)
