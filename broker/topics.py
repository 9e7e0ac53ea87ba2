"""The topics, as DESIGN.md wants them: made where they are missing, and never changed where they are there."""

import asyncio
from typing import Any

from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code
from msgspec import Struct

from broker.connect import admin, answered
from journey.errors import Crash
from journey.events import TOPIC_BOTS, TOPIC_IMPORT, TOPIC_LIVE
from settings import Settings

_WEEK_MS = 7 * 24 * 3600 * 1000
_FOR_EVER = str(2**63 - 1)

#: Above 64 KiB a record is a dead letter, `too_large`; up to this it still arrives to become one.
MAX_RECORD_BYTES = 1_048_588


class Topic(Struct, frozen=True):
    """A topic as it should be; `settings` are those of Kafka that something here leans on."""

    name: str
    partitions: int
    settings: dict[str, str]


TOPICS = (
    Topic(
        TOPIC_LIVE,
        12,
        {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(MAX_RECORD_BYTES)},
    ),
    Topic(
        TOPIC_IMPORT,
        12,
        {
            "message.timestamp.type": "CreateTime",
            "message.timestamp.before.max.ms": _FOR_EVER,
            "message.timestamp.after.max.ms": _FOR_EVER,
            "retention.ms": "-1",
            "retention.bytes": "-1",
            "max.message.bytes": str(MAX_RECORD_BYTES),
        },
    ),
    # One partition: the changes of all bots in one order, and one offset that says how far they are known.
    Topic(
        TOPIC_BOTS,
        1,
        {
            "message.timestamp.type": "LogAppendTime",
            "cleanup.policy": "compact",
            "min.compaction.lag.ms": str(_WEEK_MS),
            "max.message.bytes": str(MAX_RECORD_BYTES),
        },
    ),
)


def make_topics(settings: Settings) -> list[str]:
    """Make the topics that are missing; the sentences say what was made, and what is there but not as it should be.

    Raises Unreachable without a broker, Crash where the broker refuses a topic."""
    return asyncio.run(made_topics(settings.kafka))


async def made_topics(kafka: str) -> list[str]:
    """`make_topics` for who runs in an event loop already."""
    async with admin(kafka) as client:
        there = set(await answered(kafka, client.list_topics()))
        copies = await _copies(kafka, client)
        made = {t.name for t in TOPICS if t.name not in there and await _make(kafka, client, t, copies)}
        return [_made(t, copies) for t in TOPICS if t.name in made] + await _differences(
            kafka, client, [t for t in TOPICS if t.name not in made]
        )


async def _copies(kafka: str, client: Any) -> int:
    """Three copies of each record where there are three brokers to hold them, one otherwise."""
    cluster = await answered(kafka, client.describe_cluster())
    return 3 if len(cluster["brokers"]) >= 3 else 1


async def _make(kafka: str, client: Any, topic: Topic, copies: int) -> bool:
    """Make a topic; False where somebody else has just made it."""
    wanted = topic.settings | ({"min.insync.replicas": "2"} if copies == 3 else {})
    new = NewTopic(topic.name, topic.partitions, copies, topic_configs=wanted)
    answer = await answered(kafka, client.create_topics([new]), patience_s=30)
    ((_, code, message),) = answer.topic_errors
    error = for_code(code)
    if code and error is not TopicAlreadyExistsError:
        raise Crash(f"Kafka at {kafka} refuses the topic {topic.name}: {message or error.__name__}")
    await _led(kafka, client, topic.name)
    return not code


def _made(topic: Topic, copies: int) -> str:
    partitions = "1 partition" if topic.partitions == 1 else f"{topic.partitions} partitions"
    return f"topic {topic.name} made: {partitions}, {'3 copies' if copies == 3 else '1 copy'} of each record"


async def _led(kafka: str, client: Any, name: str) -> None:
    """Wait until each partition of a new topic has a leader: until then a producer's first record waits."""

    async def until_led() -> None:
        while True:
            (found,) = await client.describe_topics([name])
            if found["partitions"] and all(p["leader"] >= 0 for p in found["partitions"]):
                return
            await asyncio.sleep(0.05)

    await answered(kafka, until_led(), patience_s=30)


async def _differences(kafka: str, client: Any, topics: list[Topic]) -> list[str]:
    if not topics:
        return []
    counts = {
        found["topic"]: len(found["partitions"])
        for found in await answered(kafka, client.describe_topics([t.name for t in topics]))
    }
    return [
        sentence
        for topic in topics
        for sentence in (
            *_partitions_differ(topic, counts[topic.name]),
            *_settings_differ(topic, await _settings(kafka, client, topic.name)),
        )
    ]


async def _settings(kafka: str, client: Any, name: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResourceType.TOPIC, name)
    (answer,) = await answered(kafka, client.describe_configs([resource]))
    return {entry[0]: entry[1] for entry in answer.resources[0][4]}


def _partitions_differ(topic: Topic, partitions: int) -> list[str]:
    if partitions == topic.partitions:
        return []
    return [
        f"topic {topic.name} has {partitions} partitions instead of {topic.partitions}: it works with them; "
        "never change the number, rooms and counts hang on it"
    ]


def _settings_differ(topic: Topic, there: dict[str, str]) -> list[str]:
    return [
        f"topic {topic.name} has {name}={there.get(name)} instead of {wanted}: set it with "
        f"`kafka-configs.sh --alter --entity-type topics --entity-name {topic.name} --add-config {name}={wanted}`"
        for name, wanted in topic.settings.items()
        if there.get(name) != wanted and not _roomier(name, there.get(name), wanted)
    ]


def _roomier(name: str, there: str | None, wanted: str) -> bool:
    """A topic that lets larger records in does no harm: they are dead letters all the same."""
    return name == "max.message.bytes" and there is not None and int(there) >= int(wanted)
