"""The real parts, for tests that ask for them: each started once a session, at the first use, on a free port.

They are children of this process, which the kernel kills with it: none is left behind, however a session ends.

- `kafka`: one broker for the session. Its topics are shared, so a test that uses it names its own (`topic_name`).
- `fresh_kafka`: a broker of the test's own (2 s), for tests on the fixed topics and the worker's group.
- `database_url`: a fresh database; `migrated_url`: one with tables and views, all empty.
- `settings`: all of it, the shared broker; `fresh_settings`: the same with a broker of the test's own.
"""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from settings import Settings
from settings import load as load_settings
from sql.client import Client
from stack.jars import fetch
from stack.parts import Part, clickhouse_part, kafka_part, redis_part
from stack.ports import free_port
from tests.databases import Databases

# Small, and compiled lightly: a test's broker has little to do and shall be up soon.
_SMALL_JAVA = ("-Xmx256m", "-XX:TieredStopAtLevel=1")

_FOR_TESTS = ("TURNPATH_CACHE", "TURNPATH_TEST_")


def pytest_configure() -> None:
    """Whoever runs the tests may have settings for a stack of their own: none of them reaches a test."""
    for name in [n for n in os.environ if n.startswith("TURNPATH_") and not n.startswith(_FOR_TESTS)]:
        del os.environ[name]


@contextmanager
def running(part: Part, folder: Path) -> Iterator[None]:
    """The part, up and answering; gone afterwards, its log in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    process = part.start(folder)
    try:
        part.await_answer(process)
        yield
    finally:
        process.stop(5)


def address() -> str:
    return f"127.0.0.1:{free_port()}"


def somewhere(data: Path, **given: str) -> Settings:
    """Settings of a stack on free ports with its files in `data`; jars from the user's cache."""
    places: dict[str, Any] = {
        "kafka": address(),
        "clickhouse": f"clickhouse://{address()}/turnpath",
        "clickhouse_http": address(),
        "redis": f"redis://{address()}/0",
        "http": address(),
        "worker_http": address(),
        "scheduler_http": address(),
    }
    return Settings(data=data, cache=load_settings().cache, **{**places, **given})


@pytest.fixture(scope="session")
def kafka_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A formatted folder that brokers of this session start from: saves each a second."""
    data = tmp_path_factory.mktemp("kafka-template")
    settings = somewhere(data)
    fetch(settings.cache)
    kafka_part(settings, _SMALL_JAVA).command()
    return data / "kafka"


@contextmanager
def broker(data: Path, template: Path) -> Iterator[str]:
    shutil.copytree(template, data / "kafka")
    settings = somewhere(data)
    with running(kafka_part(settings, _SMALL_JAVA), data):
        yield settings.kafka


@pytest.fixture(scope="session")
def kafka(kafka_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the session's broker."""
    with broker(tmp_path_factory.mktemp("kafka"), kafka_template) as where:
        yield where


@pytest.fixture
def fresh_kafka(kafka_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker of this test's own, without topics."""
    data = tmp_path_factory.mktemp("fresh-kafka")
    with broker(data, kafka_template) as where:
        yield where
    shutil.rmtree(data, ignore_errors=True)


@pytest.fixture
def topic_name() -> str:
    """The name of a topic that no other test uses; not made yet."""
    return f"test.{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The session's Redis; keys of other tests may be in it."""
    data = tmp_path_factory.mktemp("redis")
    settings = somewhere(data)
    with running(redis_part(settings), data):
        yield settings.redis


@pytest.fixture(scope="session")
def clickhouse_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The settings under which the session's embedded ClickHouse runs (native and HTTP addresses)."""
    data = tmp_path_factory.mktemp("clickhouse")
    settings = somewhere(data)
    with running(clickhouse_part(settings), data):
        yield settings


@pytest.fixture(scope="session")
def clickhouse_address(clickhouse_settings: Settings) -> str:
    """host:port of the session's ClickHouse, native protocol."""
    return clickhouse_settings.clickhouse.removeprefix("clickhouse://").partition("/")[0]


@pytest.fixture(scope="session")
def clickhouse_url(clickhouse_address: str) -> str:
    """The session's ClickHouse, in its database `default`."""
    return f"clickhouse://{clickhouse_address}/default"


@pytest.fixture
def database_url(clickhouse_address: str) -> Iterator[str]:
    """A fresh, empty database; dropped afterwards."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with Client(f"clickhouse://{clickhouse_address}") as client:
        client.run(f"CREATE DATABASE {name}")
        yield f"clickhouse://{clickhouse_address}/{name}"
        client.run(f"DROP DATABASE IF EXISTS {name}")


@pytest.fixture(scope="session")
def databases(clickhouse_address: str) -> Databases:
    """The migrated databases of the session's ClickHouse."""
    return Databases(clickhouse_address)


@contextmanager
def lent(databases: Databases, redis_url: str, settings: Settings) -> Iterator[str]:
    """The address of an empty database, migrated by these settings; what Redis knows of it is forgotten afterwards."""
    database = databases.lend(settings)
    yield databases.url(database)
    databases.take_back(database)
    with Redis.from_url(redis_url) as server:
        server.flushdb()


@pytest.fixture
def migrated_url(databases: Databases, redis_url: str, tmp_path: Path) -> Iterator[str]:
    """An empty database with tables and views."""
    with lent(databases, redis_url, somewhere(tmp_path)) as url:
        yield url


@pytest.fixture
def settings(kafka: str, redis_url: str, migrated_url: str, clickhouse_settings: Settings, tmp_path: Path) -> Settings:
    """All parts, a fresh migrated database, a fresh data folder, a free port for the page; the shared broker."""
    http = clickhouse_settings.clickhouse_http
    return somewhere(tmp_path, kafka=kafka, redis=redis_url, clickhouse=migrated_url, clickhouse_http=http)


@pytest.fixture
def fresh_settings(
    fresh_kafka: str, redis_url: str, migrated_url: str, clickhouse_settings: Settings, tmp_path: Path
) -> Settings:
    """Like `settings`, with a broker of this test's own: for the fixed topics and the worker's group."""
    http = clickhouse_settings.clickhouse_http
    return somewhere(tmp_path, kafka=fresh_kafka, redis=redis_url, clickhouse=migrated_url, clickhouse_http=http)
