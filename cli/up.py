"""`turnpath up`: the whole stack on this machine."""

import contextlib

import click

from settings import load
from stack.local import up


@click.command()
@click.option("--workers", type=click.IntRange(1, 12), default=1, show_default=True, help="How many workers to run.")
@click.option("--demo", is_flag=True, help="Also import seven made-up days, seal them, and send live traffic.")
def command(workers: int, demo: bool) -> None:
    """Run Kafka, Redis, ClickHouse, the workers, the scheduler and the page, until SIGTERM or Ctrl-C.

    Prints a line with `ready` and the page's address once everything answers. What answers at its address already
    is used, not started. Each part's log is TURNPATH_DATA/logs/<part>.log. Two stacks run side by side on
    other ports and another TURNPATH_DATA.
    """
    up(load(), workers, _say, click.echo, demo=demo)


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may be gone, and the parts are still to be stopped
        click.echo(line, err=True)
