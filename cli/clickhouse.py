"""`turnpath clickhouse`: the embedded ClickHouse on the settings' address."""

import os
import sys
from urllib.parse import urlsplit

import click

from settings import load


@click.command()
def command() -> None:
    """Run the embedded ClickHouse at TURNPATH_CLICKHOUSE.

    It holds its files in TURNPATH_DATA; SIGTERM or Ctrl-C ends it. Clusters of ClickHouse servers need no such
    command: point TURNPATH_CLICKHOUSE at them.
    """
    settings = load()
    where = urlsplit(settings.clickhouse)
    data = (settings.data / "clickhouse").absolute()
    data.mkdir(parents=True, exist_ok=True)
    arguments = ["--data", str(data), "--host", where.hostname or "", "--port", str(where.port)]
    # chDB reads a config.xml where it stands, so it stands where none is.
    os.chdir(data)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "sql.embedded", *arguments])
