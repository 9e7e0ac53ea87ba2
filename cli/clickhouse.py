"""`turnpath clickhouse`: the embedded ClickHouse on the settings' address."""

import os
import sys
from urllib.parse import urlsplit

import click

from settings import load


@click.command()
def command() -> None:
    """Run the embedded ClickHouse at TURNPATH_CLICKHOUSE and TURNPATH_CLICKHOUSE_HTTP.

    The user `default` has all rights and no password, and comes from this machine only; the user `reader` reads the
    views, with TURNPATH_READER_PASSWORD. It holds its files in TURNPATH_DATA; SIGTERM or Ctrl-C ends it. Clusters of
    ClickHouse servers need no such command: point TURNPATH_CLICKHOUSE at them.
    """
    settings = load()
    where = urlsplit(settings.clickhouse)
    data = (settings.data / "clickhouse").absolute()
    data.mkdir(parents=True, exist_ok=True)
    arguments = ["--data", str(data), "--host", where.hostname or "", "--port", str(where.port)]
    arguments += ["--http", settings.clickhouse_http, "--reader-seconds", str(settings.reader_time.total_seconds())]
    arguments += ["--reader-memory", str(settings.reader_memory), "--reader-rows", str(settings.reader_rows)]
    if settings.reader_password:  # by the environment: a command line is for all to see
        os.environ["TURNPATH_READER_PASSWORD"] = settings.reader_password
    # chDB reads a config.xml where it stands, so it stands where none is.
    os.chdir(data)
    os.execv(sys.executable, [sys.executable, "-P", "-m", "sql.embedded", *arguments])
