"""The parts that seal tests run on."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from broker.topics import make_topics
from journey.events import TOPIC_LIVE
from settings import Settings
from sql.migrate import migrate
from tests.conftest import broker


@pytest.fixture(scope="module")
def quiet_kafka(kafka_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker with the topics and no records: no gate has anything to wait for."""
    with broker(tmp_path_factory.mktemp("quiet-kafka"), kafka_template) as where:
        make_topics(Settings(kafka=where))
        yield where


@pytest.fixture
def parts(quiet_kafka: str, redis_url: str, database_url: str) -> Settings:
    """All parts; times to live longer than these days are old."""
    return Settings(kafka=quiet_kafka, redis=redis_url, clickhouse=database_url, keep_events=timedelta(days=18_000))


@pytest.fixture
def quiet(parts: Settings) -> Settings:
    migrate(parts)
    return parts


@pytest.fixture
def consumed(redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """All parts but the broker, not migrated yet: for tests that consume by themselves, and wait for nobody."""
    monkeypatch.setattr("seal.run.await_consumed", lambda *_: [(TOPIC_LIVE, 0, 0)])
    nowhere = "127.0.0.1:1"
    return Settings(kafka=nowhere, redis=redis_url, clickhouse=database_url, keep_events=timedelta(days=18_000))
