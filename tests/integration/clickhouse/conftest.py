"""These tests are for any ClickHouse: TURNPATH_TEST_CLICKHOUSE=host:port names one, else the embedded one is started.

Each has a database of its own.
"""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clickhouse_driver import Client

Connect = Callable[..., Client]


class Endpoint:
    """The embedded endpoint as a process, on a free port."""

    def __init__(self, data: Path, port: int = 0) -> None:
        command = [sys.executable, "-P", "-m", "sql.embedded", "--data", str(data), "--port", str(port)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=data.parent
        )

    def ready(self) -> int:
        """Its port, once it answers."""
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        assert words, self.said()
        return int(words[1])

    def said(self) -> str:
        """What it wrote to standard error until it ended."""
        return self.process.communicate(timeout=20)[1]

    def stop(self) -> int:
        self.process.terminate()
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.fixture(scope="session")
def clickhouse_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a ClickHouse, native protocol."""
    if given := os.environ.get("TURNPATH_TEST_CLICKHOUSE"):
        yield given
        return
    endpoint = Endpoint(tmp_path_factory.mktemp("embedded") / "data")
    try:
        yield f"127.0.0.1:{endpoint.ready()}"
    finally:
        assert endpoint.stop() == 0


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
