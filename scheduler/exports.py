"""The loop of the export jobs: beside the seal's, so that neither waits for the other."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from exporter import metrics
from exporter.jobs import Job, load
from exporter.run import Lock
from journey.errors import BadSetting, Retry
from scheduler.metrics import LAST_LOOP, TURNS
from seal.lock import lock
from settings import Settings

log = structlog.get_logger()

#: How often it looks what is due, and how long it waits at most after trouble; seconds.
LOOKS_S, LONGEST_PAUSE_S = 15.0, 600.0


def locks(settings: Settings, now: Callable[[], int]) -> Lock:
    """The lock of each job, in Redis; without Redis none, and what that costs stands in docs/export-jobs.md."""
    return lambda name: lock(settings, now, lambda words: log.warning("export", said=words), f"export {name}")


class Exports(Protocol):
    """What the loop needs of exporter.run.Exporter."""

    def turn(self, jobs: Sequence[Job]) -> None: ...


class JobFile:
    """The jobs of a file, read again when it changes. A bad file is BadSetting at first; later the jobs stay."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._now_there()
        self.jobs = load(path)
        self.wrong = ""
        self._show()

    def read_again(self) -> None:
        """Take over what has changed; `wrong` says what is wrong with it."""
        stamp = self._now_there()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.jobs, self.wrong = load(self._path), ""
            log.info("export_jobs", jobs=[job.name for job in self.jobs])
        except BadSetting as error:
            self.wrong = str(error)
            log.error("export_jobs_wrong", said=self.wrong, kept=[job.name for job in self.jobs])
        self._show()

    def _now_there(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return 0, 0
        return found.st_mtime_ns, found.st_size

    def _show(self) -> None:
        metrics.expect(job.name for job in self.jobs)
        metrics.JOBS.set(len(self.jobs))
        metrics.FILE_OK.set(not self.wrong)


class ExportLoop:
    """Looks again and again what is due, for years. No trouble ends it: it is logged, and it goes on after a pause."""

    def __init__(self, file: JobFile, exports: Exports, wait: Callable[[float], bool]) -> None:
        """`wait`: sleep so many seconds, and say whether to stop."""
        self._file, self._exports, self._wait = file, exports, wait
        self._pause_s = LOOKS_S
        self.trouble = ""

    def run(self) -> None:
        """Until `wait` says stop."""
        while not self._wait(0):
            self.turn()
            if self._wait(self._pause_s):
                return

    def turn(self) -> None:
        """Make what is due."""
        self._file.read_again()
        LAST_LOOP.labels("exports").set_to_current_time()
        try:
            self._exports.turn(self._file.jobs)
        except Exception as error:
            self._pause_s, self.trouble = min(2 * self._pause_s, LONGEST_PAUSE_S), f"exports: {error}"
            TURNS.labels("exports", "failed").inc()
            expected = isinstance(error, Retry)
            log.error("exports_failed", said=str(error), again_in_s=self._pause_s, exc_info=not expected)
            return
        TURNS.labels("exports", "done").inc()
        self._pause_s, self.trouble = LOOKS_S, ""

    def reasons(self) -> list[str]:
        """Why it is not well, a sentence each."""
        return [why for why in (self.trouble, self._file.wrong) if why]
