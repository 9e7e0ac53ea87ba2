"""The parts that seal tests run on."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from broker.topics import make_topics
from journey.events import TOPIC_LIVE
from settings import Settings
from tests.conftest import broker, lent
from tests.databases import Databases


@pytest.fixture(scope="session")
def quiet_kafka(kafka_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker with the topics and no records: no gate has anything to wait for."""
    with broker(tmp_path_factory.mktemp("quiet-kafka"), kafka_template) as where:
        make_topics(Settings(kafka=where))
        yield where


@pytest.fixture
def zone() -> str:
    """TURNPATH_TIMEZONE; a test may have it otherwise by its parameters."""
    return "Asia/Seoul"


@pytest.fixture
def quiet(quiet_kafka: str, redis_url: str, databases: Databases, zone: str) -> Iterator[Settings]:
    """All parts; times to live longer than these days are old."""
    settings = Settings(kafka=quiet_kafka, redis=redis_url, timezone=zone, keep_events=timedelta(days=18_000))
    with lent(databases, redis_url, settings) as url:
        yield settings.model_copy(update={"clickhouse": url})


@pytest.fixture
def consumed(redis_url: str, databases: Databases, zone: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """All parts but the broker: for tests that consume by themselves, and wait for nobody."""
    monkeypatch.setattr("seal.run.await_consumed", lambda *_: [(TOPIC_LIVE, 0, 0)])
    settings = Settings(kafka="127.0.0.1:1", redis=redis_url, timezone=zone, keep_events=timedelta(days=18_000))
    with lent(databases, redis_url, settings) as url:
        yield settings.model_copy(update={"clickhouse": url})
