"""`turnpath web`: the page and its API."""

import click
import structlog

from cli import wiring
from journey.errors import TurnpathError
from settings import load
from sql.client import Client
from stack import jars
from web.server import run


@click.command()
def command() -> None:
    """Run the page at TURNPATH_HTTP: today's journeys live, sealed days, and the API behind them.

    It reads ClickHouse; Redis only shares answers among several of these, and may be absent. SIGTERM or Ctrl-C
    ends it.
    """
    settings = load()
    wiring.log_as_json()
    chart = jars.echarts(settings.cache)
    if not chart.is_file():
        try:
            jars.fetch(settings.cache, lambda said: click.echo(said, err=True))
        except TurnpathError as error:
            structlog.get_logger().warning("no_chart", reason=str(error), so="the page shows its table only")
    # a page waits no longer than this for an answer, whatever ClickHouse is doing
    run(settings, lambda: Client(settings.clickhouse, connect_timeout_s=2, timeout_s=30), chart)
