"""`turnpath scheduler`: what happens by the clock."""

import signal
import sys

import click

from cli import wiring
from scheduler.clock import SystemClock
from scheduler.loop import Scheduler
from settings import load


@click.command()
def command() -> None:
    """Seal yesterday at TURNPATH_SEAL_AT, local time, and every earlier day that is not sealed yet.

    It starts with what was missed while it was away, since the first live record; imported days of before are
    sealed by `turnpath seal` alone. A seal that fails is tried again. Two schedulers do no harm. SIGTERM ends it at
    once, also in the middle of a seal: that publishes nothing, and is done again.
    """
    wiring.log_as_json()
    # Out of whatever it waits for; a seal drops what it built on its way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Scheduler(load(), SystemClock()).run()
