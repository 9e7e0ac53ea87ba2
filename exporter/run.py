"""Export jobs from beginning to end: what is due is made, delivered, noted, tried again, given up, told.

The order of an attempt is what keeps it honest: `started` is noted, the workbook made, `sending` noted, delivered,
`done` noted. Killed between the last two, a folder or URL gets the same file under the same name once more. A mail
cannot be taken back: it is sent again under the same Message-ID, and marked as what may be a repeat.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import structlog

from exporter import history, metrics
from exporter.delivery import NotDelivered
from exporter.due import SENDING_MS, Days, Past, Pasts, Run, due, first_day, runs
from exporter.history import ME, Attempt
from exporter.jobs import Job
from exporter.made import Made, make
from exporter.post import Post
from journey.calendar import Calendar
from journey.errors import Busy, NotSealed, Retry, TurnpathError
from settings import Settings
from sql.client import Client

log = structlog.get_logger()

#: Holds the lock of a job by its name; raises Busy where somebody else does.
Lock = Callable[[str], AbstractContextManager[None]]

_NOTICE_AGAIN_MS, _NOTICE_OLDEST_MS = 600_000, 2 * 86_400_000
_LONGEST_RANGE = timedelta(days=32)


class Exporter:
    """Makes the runs of jobs. `now`: the clock, ms; `wait`: sleeps so many seconds, and says whether to stop."""

    def __init__(self, settings: Settings, now: Callable[[], int], lock: Lock, wait: Callable[[float], bool]) -> None:
        self._settings, self._now, self._lock, self._wait = settings, now, lock, wait
        self._calendar = Calendar(settings.timezone)
        self._post = Post(settings, now)
        self._notice_at = 0

    def turn(self, jobs: Sequence[Job]) -> None:
        """Make what is due now, the oldest first; a run's failure is noted. Raises what sql.client.Client raises."""
        with Client(self._settings.clickhouse) as client:
            for run in self._due(client, jobs):
                if self._wait(0):
                    return
                self._in_turn(client, run)
            self._tell(client)

    def by_hand(self, job: Job, last: date | None) -> Attempt:
        """Make the job's run that ends on `last` (None: the last sealed day that a range of it ends on), done or not.

        Raises NotSealed, Busy, and what sql.client.Client raises; a failure of the run is in what is returned.
        """
        with Client(self._settings.clickhouse) as client, self._lock(job.name):
            run = self._asked(client, job, last)
            return self._attempt(client, run, history.past(client, job.name, run.slot), last_try=True)

    def _due(self, client: Client, jobs: Sequence[Job]) -> list[Run]:
        now = self._now()
        earliest = now - self._settings.export_look_back // timedelta(milliseconds=1)
        since = history.known_since(client, jobs, now)
        pasts = history.pasts(client, earliest)
        _show_last_done(pasts)
        sealed = history.sealed(client, self._calendar.day(earliest) - _LONGEST_RANGE)
        days = Days(self._calendar, self._settings.seal_at, sealed)
        waiting = [run for job in jobs for run in runs(job, days, pasts, max(earliest, since[job.name]), now)]
        return sorted(due(waiting, pasts, ME, now), key=lambda run: run.due_at)

    def _asked(self, client: Client, job: Job, last: date | None) -> Run:
        sealed = history.sealed(client, date(1970, 1, 1))
        ends = [day for day in sealed if job.range != "last month" or (day + timedelta(days=1)).day == 1]
        if last is None and ends:
            last = max(ends)
        if last is None or last not in ends:
            what = f"{last} is not sealed" if last else "no day is sealed"
            raise NotSealed(f"{what}, or no range of {job.name!r} ({job.range}) ends on it: `turnpath seal` seals days")
        return Run(job, str(last), first_day(job, last), last, self._now(), sealed[last])

    def _in_turn(self, client: Client, run: Run) -> None:
        """The run, if it is still to be made once its job's lock is held."""
        try:
            with self._lock(run.job.name):
                past = history.past(client, run.job.name, run.slot)
                if due([run], {(run.job.name, run.slot): past}, ME, self._now()):
                    self._attempt(client, run, past)
        except Busy as busy:
            log.info("export_busy", job=run.job.name, run=run.slot, said=str(busy))

    def _attempt(self, client: Client, run: Run, past: Past, last_try: bool = False) -> Attempt:
        tries = self._settings.export_tries
        attempt = history.begun(run, past.attempt + 1, self._now())
        if past.attempt >= tries and not last_try:  # each time the process died before it could say so
            attempt = replace(attempt, state="gave_up", said=f"{tries} attempts were cut off before their end")
        else:
            history.note(client, attempt)
            attempt = self._ended(client, run, attempt, past)
        if attempt.state == "failed" and attempt.attempt >= tries:
            attempt = replace(attempt, state="gave_up")
        self._note_surely(client, attempt)
        _count(attempt)
        return attempt

    def _ended(self, client: Client, run: Run, attempt: Attempt, past: Past) -> Attempt:
        begun = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="turnpath-export-") as there:
                made = make(client, run, Path(there), ZoneInfo(self._settings.timezone))
                attempt = self._sending(client, attempt, made)
                sent_to = self._post.deliver(run, made, past)
            attempt = replace(attempt, state="done", sent_to=sent_to, said="" if made.files else made.words[-1])
        except Exception as error:
            if not isinstance(error, TurnpathError):
                log.exception("export_error", job=run.job.name, run=run.slot)
            attempt = _failed(attempt, error)
        return replace(attempt, at=self._now(), seconds=time.monotonic() - begun)

    def _sending(self, client: Client, attempt: Attempt, made: Made) -> Attempt:
        """Note that it is being sent. Without the lock two may come so far; who sees the other leaves it to that."""
        attempt = replace(
            attempt,
            state="sending",
            at=self._now(),
            files=tuple(file.name for file in made.files),
            rows=made.rows,
            bytes=made.size,
            revision=made.revision,
        )
        history.note(client, attempt)
        if history.rivals(client, attempt, self._now() - SENDING_MS):
            raise NotDelivered("another process began to send the same a moment ago: this one leaves it to that")
        return attempt

    def _note_surely(self, client: Client, attempt: Attempt) -> None:
        """What was sent must be noted, or it would be sent again: wait for ClickHouse as long as this process lives."""
        pause = 1.0
        while True:
            try:
                history.note(client, attempt)
                return
            except Retry as away:
                log.warning("export_not_noted", job=attempt.job, run=attempt.slot, said=str(away), again_in_s=pause)
                if self._wait(pause):
                    raise
            pause = min(2 * pause, 30.0)

    def _tell(self, client: Client) -> None:
        """Mail what was given up to whom it concerns; tried again as long as it is news."""
        now = self._now()
        if not self._post.notify_to or now < self._notice_at:
            return
        news = history.given_up(client, now - _NOTICE_OLDEST_MS)
        if not news:
            return
        try:
            self._post.tell(news)
        except TurnpathError as failure:
            self._notice_at = now + _NOTICE_AGAIN_MS
            log.error("notice_failed", said=str(failure))
            return
        for row in news:
            history.noticed(client, row)


def _failed(attempt: Attempt, error: Exception) -> Attempt:
    said = str(error) if isinstance(error, TurnpathError) else f"{type(error).__name__}: {error}"
    if isinstance(error, NotDelivered):
        return replace(attempt, state="failed", said=said, sent_to=error.sent_to, unsure=error.unsure)
    return replace(attempt, state="failed", said=said)


def _count(attempt: Attempt) -> None:
    metrics.RUNS.labels(attempt.job, attempt.state).inc()
    metrics.SECONDS.labels(attempt.job).observe(attempt.seconds)
    said = {"job": attempt.job, "run": attempt.slot, "attempt": attempt.attempt, "destination": attempt.destination}
    if attempt.state == "done":
        metrics.LAST_DONE.labels(attempt.job).set(attempt.at / 1000)
        metrics.ROWS.labels(attempt.job).inc(attempt.rows)
        metrics.BYTES.labels(attempt.job).inc(attempt.bytes)
        log.info("exported", **said, files=attempt.files, rows=attempt.rows, bytes=attempt.bytes)
    else:
        log.error("export_" + attempt.state, **said, said=attempt.said)


def _show_last_done(pasts: Pasts) -> None:
    done: dict[str, int] = {}
    for (job, _), past in pasts.items():
        if past.state == "done":
            done[job] = max(done.get(job, 0), past.at)
    for job, at in done.items():
        metrics.LAST_DONE.labels(job).set(at / 1000)
