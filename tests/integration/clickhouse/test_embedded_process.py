"""The embedded endpoint as a process: its folder, its port, its end. (Not for other addresses.)"""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_driver import Client

from .conftest import Endpoint


@pytest.fixture
def start(tmp_path: Path) -> Iterator[type[Endpoint]]:
    """Make endpoints; none is left behind."""
    made: list[Endpoint] = []

    class Noted(Endpoint):
        def __init__(self, data: Path, port: int = 0) -> None:
            super().__init__(data, port)
            made.append(self)

    yield Noted
    for each in made:
        each.process.kill()
        each.process.communicate()


def test_what_was_inserted_outlives_the_process(start: type[Endpoint], tmp_path: Path) -> None:
    """Also a kill -9 in the middle of an insert."""
    (tmp_path / "config.xml").write_text("<not for us>")  # chDB would read it
    for n, end in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGINT)):
        endpoint = start(tmp_path / "data")
        with Client("127.0.0.1", port=endpoint.ready()) as client:
            client.execute("CREATE DATABASE IF NOT EXISTS kept")
            client.execute("CREATE TABLE IF NOT EXISTS kept.t (a UInt32) ENGINE = MergeTree ORDER BY a")
            assert client.execute("SELECT count(), sum(a) FROM kept.t") == [(n * 1000, n * 499_500)]
            client.execute("INSERT INTO kept.t VALUES", [(i,) for i in range(1000)])
            client.connection.send_query("INSERT INTO kept.t VALUES")
            client.connection.send_external_tables(None)
            client.receive_sample_block()
            endpoint.process.send_signal(end)
            assert endpoint.process.wait(20) == (-signal.SIGKILL if end == signal.SIGKILL else 0)


def test_the_folder_is_for_one_process(start: type[Endpoint], tmp_path: Path) -> None:
    first = start(tmp_path / "data")
    first.ready()
    second = start(tmp_path / "data")
    said = second.said()
    assert second.process.returncode == 1
    assert f"process {first.process.pid}" in said
    assert "TURNPATH_DATA" in said


def test_a_port_in_use(start: type[Endpoint], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = start(tmp_path / "data", taken.getsockname()[1])
        said = endpoint.said()
    assert endpoint.process.returncode == 1
    assert "TURNPATH_CLICKHOUSE" in said


def test_it_stops_while_a_query_runs(start: type[Endpoint], tmp_path: Path) -> None:
    endpoint = start(tmp_path / "data")
    port = endpoint.ready()
    with Client("127.0.0.1", port=port) as busy, Client("127.0.0.1", port=port) as other:
        busy.execute("SELECT 1")
        busy.connection.send_query("SELECT sum(cityHash64(number)) FROM numbers(1000000000000)")
        busy.connection.send_external_tables(None)
        while not other.execute("SELECT count() FROM system.processes WHERE query LIKE 'SELECT sum%'")[0][0]:
            pass
        assert endpoint.stop() == 0


def test_serve_ends_when_it_is_told_to(tmp_path: Path) -> None:
    program = """
import sys, threading
from pathlib import Path
from clickhouse_driver import Client
from sql.embedded import serve

stop, found = threading.Event(), []

def ready(port):
    def ask():
        with Client("127.0.0.1", port=port) as client:
            found.extend(client.execute("SELECT 42"))
        stop.set()
    threading.Thread(target=ask).start()

serve(Path(sys.argv[1]), port=0, on_ready=ready, stop=stop)
print(found)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "data")], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[(42,)]", done.stderr
