"""The page on its address, until SIGTERM or Ctrl-C."""

import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import structlog
import uvicorn

from journey.errors import Unreachable
from settings import Settings
from sql.client import Client
from web.app import create
from web.live import Live

_log = structlog.get_logger()


class _Server(uvicorn.Server):
    """Lets open pages' streams end first: an unending answer would hold up the stop."""

    def __init__(self, config: uvicorn.Config, live: Live) -> None:
        super().__init__(config)
        self._live = live

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _log.info("web_ready", address="http://{}:{}".format(*self.servers[0].sockets[0].getsockname()[:2]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._live.close()
        await super().shutdown(sockets)


def run(settings: Settings, client: Callable[[], Client], echarts: Path) -> None:
    """Serve until a signal ends it, within 3 s. Unreachable: the address cannot be listened on."""
    app = create(settings, client, echarts)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=3, lifespan="on"
    )
    with _listening(settings.http) as listener:
        # uvicorn stops in order and then raises the signal once more: being told to end is no failure
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        _Server(config, app.state.site.live).run(sockets=[listener])


def _listening(address: str) -> socket.socket:
    where = urlsplit(f"//{address}")
    host, port = where.hostname or "", where.port or 0
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise Unreachable(
            f"the page cannot listen at {address} ({error.strerror}): end what listens there, "
            "or set TURNPATH_HTTP to a free address of this machine"
        ) from error
    return listener
