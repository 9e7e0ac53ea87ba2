"""The official clients of four makers run the same cases against the endpoint: `make test-clients`.

TURNPATH_TEST_GO and TURNPATH_TEST_JAVA are the commands of the built programs (scripts/clients.sh sets them).
"""

import json
import os
import shlex
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_driver import Client

from settings import Settings
from sql.migrate import migrate
from tests.integration.clickhouse.conftest import Endpoint

from .cases import CASES, EXPECTED, FOREVER, SEED, Case
from .python_clients import Connect, Driver, Speaks, got


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """An endpoint with tables, views and a few rooms in its database `turnpath`."""
    running = Endpoint(tmp_path_factory.mktemp("clients") / "data")
    running.ready()
    migrate(Settings(clickhouse=f"clickhouse://127.0.0.1:{running.port}/turnpath"))
    with Client("127.0.0.1", port=running.port, database="turnpath") as client:
        for sql in SEED:
            client.execute(sql)
    yield running
    assert running.stop() == 0


def prefix() -> str:
    return f"t{uuid.uuid4().hex[:8]}_"


def until(holds: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def check(told: dict[str, Any], endpoint: Endpoint, cases: list[Case] = CASES) -> None:
    """Everything as expected, and nothing left running."""
    wrong = {name: (value, EXPECTED[name]) for name, value in told.items() if value != EXPECTED[name]}
    assert not wrong
    assert set(told) == {case["name"] for case in cases}
    with Client("127.0.0.1", port=endpoint.port) as client:
        sql = f"SELECT count() FROM system.processes WHERE startsWith(query, '{FOREVER}')"
        assert until(lambda: client.execute(sql) == [(0,)])


@pytest.mark.parametrize("user", ["default", "reader"])
@pytest.mark.parametrize("name", ["driver", "driver-lz4", "connect", "connect-lz4", "connect-zstd", "connect-gzip"])
def test_python(endpoint: Endpoint, name: str, user: str) -> None:
    library, _, compression = name.partition("-")
    host, database = "127.0.0.1", "turnpath"
    client: Speaks = (
        Driver(host, endpoint.port, database, bool(compression), user)
        if library == "driver"
        else Connect(host, endpoint.http_port, database, compression, user)
    )
    cases = [case for case in CASES if user == "default" or case["kind"] != "types"]  # those make tables
    check(got(client, prefix(), cases), endpoint, cases)


def told_by(program: str, endpoint: Endpoint, protocol: str, compression: str) -> dict[str, Any]:
    """What a program of another language got."""
    command = os.environ.get(program)
    assert command, f"{program} is not set: run `make test-clients`"
    port = endpoint.port if protocol == "native" else endpoint.http_port
    job = {"address": f"127.0.0.1:{port}", "protocol": protocol, "compression": compression}
    done = subprocess.run(
        shlex.split(command),
        input=json.dumps({**job, "database": "turnpath", "prefix": prefix(), "cases": CASES}),
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parent,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return {each["name"]: each["got"] for each in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("compression", ["none", "lz4"])
@pytest.mark.parametrize("protocol", ["native", "http"])
def test_go(endpoint: Endpoint, protocol: str, compression: str) -> None:
    check(told_by("TURNPATH_TEST_GO", endpoint, protocol, compression), endpoint)


@pytest.mark.parametrize("compression", ["none", "lz4"])
def test_jdbc(endpoint: Endpoint, compression: str) -> None:
    check(told_by("TURNPATH_TEST_JAVA", endpoint, "http", compression), endpoint)
