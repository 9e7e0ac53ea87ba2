"""These tests are for any ClickHouse: TURNPATH_TEST_CLICKHOUSE=host:port (and TURNPATH_TEST_CLICKHOUSE_HTTP=host:port,
without which those of HTTP are skipped) name one, else the embedded one is started.

Each has a database of its own.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from clickhouse_driver import Client

Connect = Callable[..., Client]


class Endpoint:
    """The embedded endpoint as a process, on a free port."""

    def __init__(
        self, data: Path, port: int = 0, options: Sequence[str] = (), environment: dict[str, str] | None = None
    ) -> None:
        command = [sys.executable, "-P", "-m", "sql.embedded", "--data", str(data), "--port", str(port)]
        self.process = subprocess.Popen(
            [*command, "--http", "127.0.0.1:0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=data.parent,
            env={**os.environ, **(environment or {})},
        )
        self.port = self.http_port = 0

    def ready(self) -> int:
        """Its port, once it answers."""
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        assert words, self.said()
        self.port, self.http_port = int(words[1]), int(words[-1])
        return self.port

    def said(self) -> str:
        """What it wrote to standard error until it ended."""
        return self.process.communicate(timeout=20)[1]

    def stop(self) -> int:
        self.process.terminate()
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.fixture(scope="session")
def clickhouse_addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """host:port of a ClickHouse, of its native protocol and of its HTTP."""
    if given := os.environ.get("TURNPATH_TEST_CLICKHOUSE"):
        yield given, os.environ.get("TURNPATH_TEST_CLICKHOUSE_HTTP", "")
        return
    endpoint = Endpoint(tmp_path_factory.mktemp("embedded") / "data")
    try:
        port = endpoint.ready()
        yield f"127.0.0.1:{port}", f"127.0.0.1:{endpoint.http_port}"
    finally:
        assert endpoint.stop() == 0


@pytest.fixture(scope="session")
def clickhouse_address(clickhouse_addresses: tuple[str, str]) -> str:
    """host:port of a ClickHouse, native protocol."""
    return clickhouse_addresses[0]


@pytest.fixture(scope="session")
def http_address(clickhouse_addresses: tuple[str, str]) -> str:
    """host:port of the same ClickHouse, HTTP."""
    if not clickhouse_addresses[1]:
        pytest.skip("TURNPATH_TEST_CLICKHOUSE_HTTP is not set")
    return clickhouse_addresses[1]


@pytest.fixture
def place(clickhouse_address: str) -> tuple[str, int]:
    """Host and port of the ClickHouse."""
    host, _, port = clickhouse_address.rpartition(":")
    return host, int(port)


@pytest.fixture
def database(place: tuple[str, int]) -> Iterator[str]:
    """The name of an empty database of this test's own."""
    name = f"suite_{uuid.uuid4().hex[:12]}"
    with Client(*place) as client:
        client.execute(f"CREATE DATABASE IF NOT EXISTS {name}")
        yield name
        client.execute(f"DROP DATABASE IF EXISTS {name}")


@pytest.fixture
def connect(place: tuple[str, int], database: str) -> Iterator[Connect]:
    """Make clients in this test's database, with server-side parameters; closed afterwards."""
    made: list[Client] = []

    def client(**options: object) -> Client:
        settings = {"server_side_params": True, **options.pop("settings", {})}  # type: ignore[dict-item]
        made.append(Client(*place, **{"database": database, "settings": settings, **options}))
        return made[-1]

    yield client
    for each in made:
        each.disconnect()


@pytest.fixture
def client(connect: Connect) -> Client:
    """One client in this test's database."""
    return connect()
