"""The HTTP server beside a part: /metrics, /health, and an address where nobody can listen."""

import http.client
import socket
from collections.abc import Iterator

import orjson
import pytest
from prometheus_client import Counter

from journey.errors import BadSetting
from metrics.serve import Server
from stack.ports import free_port, split

COUNTED = Counter("turnpath_test_things", "Things that this test counted.")


def get(address: str, path: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection(*split(address), timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


@pytest.fixture
def reasons() -> list[str]:
    return []


@pytest.fixture
def server(reasons: list[str]) -> Iterator[Server]:
    running = Server(f"127.0.0.1:{free_port()}", lambda: reasons, part="x", setting="TURNPATH_X")
    yield running
    running.close()


def test_metrics_are_prometheus_text(server: Server) -> None:
    COUNTED.inc(3)
    status, kind, body = get(server.address, "/metrics")
    assert status == 200
    assert kind.startswith("text/plain")
    assert b"turnpath_test_things_total 3.0" in body
    assert b"process_resident_memory_bytes" in body


def test_health_is_200_while_nothing_is_wrong_and_503_with_the_reason(server: Server, reasons: list[str]) -> None:
    status, kind, body = get(server.address, "/health")
    assert (status, kind, orjson.loads(body)) == (200, "application/json", {"ok": True, "reasons": []})
    reasons.append("ClickHouse is away")
    status, _, body = get(server.address, "/health?x=1")
    assert (status, orjson.loads(body)) == (503, {"ok": False, "reasons": ["ClickHouse is away"]})


def test_any_other_page_says_what_is_here(server: Server) -> None:
    status, _, body = get(server.address, "/")
    assert status == 404
    assert b"/metrics" in body


def test_who_connects_and_says_nothing_holds_nobody_up(server: Server) -> None:
    with socket.create_connection(split(server.address)):
        assert get(server.address, "/health")[0] == 200


def test_a_port_that_somebody_has_is_a_sentence(server: Server) -> None:
    with pytest.raises(BadSetting, match=f"somebody listens at {server.address} already: .*set TURNPATH_X"):
        Server(server.address, lambda: (), part="x", setting="TURNPATH_X")


def test_a_second_worker_takes_the_next_port_that_is_free(server: Server) -> None:
    second = Server(server.address, lambda: (), part="x", setting="TURNPATH_X", tries=12)
    try:
        assert split(server.address)[1] < split(second.address)[1] < split(server.address)[1] + 12
        assert get(second.address, "/health")[0] == 200
    finally:
        second.close()


def test_an_address_of_another_machine_is_a_sentence() -> None:
    with pytest.raises(BadSetting, match=r"TURNPATH_X is 192\.0\.2\.1:8181, and nobody can listen there"):
        Server("192.0.2.1:8181", lambda: (), part="x", setting="TURNPATH_X")


def test_a_closed_server_lets_go_of_its_port() -> None:
    first = Server(f"127.0.0.1:{free_port()}", lambda: (), part="x", setting="TURNPATH_X")
    first.close()
    Server(first.address, lambda: (), part="x", setting="TURNPATH_X").close()
