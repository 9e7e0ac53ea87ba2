"""`turnpath scheduler`: what happens by the clock."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click

from cli import wiring
from exporter.run import Exporter
from metrics.serve import Server
from scheduler.clock import SystemClock
from scheduler.exports import ExportLoop, JobFile, locks
from scheduler.loop import Scheduler
from scheduler.watch import Watch
from settings import Settings, load

#: How long an export that is being sent may take to end when the scheduler is told to.
_EXPORT_ENDS_S = 6.0


@click.command()
def command() -> None:
    """Seal yesterday at TURNPATH_SEAL_AT, local time, and every earlier day that is not sealed yet; make the exports.

    It starts with what was missed while it was away, since the first live record; imported days of before are
    sealed by `turnpath seal` alone. A seal that fails is tried again. Two schedulers do no harm. SIGTERM ends it at
    once, also in the middle of a seal: that publishes nothing, and is done again.

    TURNPATH_EXPORT_JOBS names the file of export jobs (docs/export-jobs.md); it is read again when it changes.
    """
    wiring.log_as_json()
    settings, clock = load(), SystemClock()
    # Out of whatever it waits for; a seal drops what it built on its way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    scheduler = Scheduler(settings, clock)
    watch = Watch(settings, clock.now)
    threading.Thread(target=watch.run, args=(threading.Event().wait,), name="watch", daemon=True).start()
    with _exports(settings, clock) as exports:
        parts = [part for part in (scheduler, exports) if part]
        server = Server(
            settings.scheduler_http,
            lambda: [reason for part in parts for reason in part.reasons()],
            part="scheduler",
            setting="TURNPATH_SCHEDULER_HTTP",
        )
        try:
            scheduler.run()
        finally:
            server.close()


@contextmanager
def _exports(settings: Settings, clock: SystemClock) -> Iterator[ExportLoop | None]:
    """The loop of the export jobs in a thread of its own; None where there is no file of jobs."""
    if settings.export_jobs is None:
        yield None
        return
    stop = threading.Event()
    exporter = Exporter(settings, clock.now, locks(settings, clock.now), stop.wait)
    loop = ExportLoop(JobFile(settings.export_jobs), exporter, stop.wait)
    thread = threading.Thread(target=loop.run, name="exports", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        stop.set()
        thread.join(_EXPORT_ENDS_S)
