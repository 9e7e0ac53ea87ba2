"""An HTTP server in a thread, beside whatever the process does: `/metrics` (Prometheus) and `/health` (JSON).

The metrics themselves stand where they are counted (`stream/metrics.py` …), in prometheus-client's default registry.
"""

import errno
import socket
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread

import orjson
from prometheus_client import REGISTRY, Gauge
from prometheus_client.exposition import choose_encoder

from journey.errors import BadSetting

#: Asked at each request to /health: why the part is not well, a sentence each; nothing where it is.
Health = Callable[[], Sequence[str]]

#: What /health says, so that an alarm can wait until it lasts.
REASONS = Gauge("turnpath_health_reasons", "What /health complains of; 0 where all is well.", ["part"])

_SECONDS = 10.0


class Server:
    """Answers from its start until `close`, or the process's end. `address`: where it listens, host:port."""

    def __init__(self, address: str, health: Health, *, part: str, setting: str, tries: int = 1) -> None:
        """Listen at `address`, or where somebody else does, at one of the `tries` - 1 ports after it.

        `part`: worker, scheduler …

        Raises BadSetting, naming `setting`, where none is free or the address is not this machine's.
        """
        self._server = _bound(address, health, setting, tries)
        host, port = self._server.server_address[:2]
        REASONS.labels(part).set_function(lambda: len(health()))
        self.address = f"[{host!s}]:{port}" if ":" in str(host) else f"{host!s}:{port}"
        Thread(target=self._server.serve_forever, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Stop answering, and let go of the port."""
        self._server.shutdown()
        self._server.server_close()


def metrics_page(accept: str | None) -> tuple[bytes, str]:
    """The body of /metrics and its content type, for a request's Accept header."""
    encoder, content_type = choose_encoder(accept or "")
    return encoder(REGISTRY), content_type


def health_page(reasons: Sequence[str]) -> tuple[int, bytes]:
    """The status of /health, 200 or 503, and its body."""
    return (503 if reasons else 200), orjson.dumps({"ok": not reasons, "reasons": list(reasons)}) + b"\n"


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    health: Health

    def handle_error(self, *_: object) -> None:
        """Whoever asked has gone: nothing to say."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SECONDS  # who connects and asks nothing holds a thread no longer

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                body, content_type = metrics_page(self.headers.get("Accept"))
                self._answer(200, body, content_type)
            case "/health":
                status, body = health_page(self.server.health())
                self._answer(status, body, "application/json")
            case _:
                self._answer(404, b"here are /metrics and /health\n", "text/plain; charset=utf-8")

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """A request a few seconds is no news."""


def _bound(address: str, health: Health, setting: str, tries: int) -> _Server:
    host, _, text = address.rpartition(":")
    first = int(text)
    for port in range(first, min(first + tries, 65536)):
        try:
            server = _listening(host.strip("[]"), port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise BadSetting(_refused(address, error, setting)) from error
        server.health = health
        return server
    until = f" and at the {tries - 1} ports after it" if tries > 1 else ""
    raise BadSetting(f"somebody listens at {address}{until} already: end that, or set {setting} to a free port")


def _listening(host: str, port: int) -> _Server:
    family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    server = type("_OneFamily", (_Server,), {"address_family": family})
    listening: _Server = server(where[:2], _Handler)
    return listening


def _refused(address: str, error: OSError, setting: str) -> str:
    if error.errno == errno.EACCES:
        return f"{setting} is {address}, and its port is only root's: choose one above 1023"
    return (
        f"{setting} is {address}, and nobody can listen there ({error.strerror or error}): "
        "write an address of this machine, such as 127.0.0.1:8181, or 0.0.0.0:8181 for all of them"
    )
