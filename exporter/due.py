"""Which runs of a job are due; a pure function of the jobs, the sealed days, the history and now.

A run is one job at one slot. A job follows the seals, not the clock: with `after the seal` each sealed day makes a run,
and a cron time's run waits until the last day of its range is sealed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter

from exporter.jobs import AFTER_SEAL, Job
from journey.calendar import Calendar

_ONE = timedelta(days=1)
_FIRST_PAUSE_MS, _LONGEST_PAUSE_MS = 60_000, 4 * 3_600_000

#: A mail that another process began to send so shortly ago may still be on its way; ms.
SENDING_MS = 300_000

#: The states of an attempt, in order; `version` of the table is its place here.
STATES = ("started", "sending", "done", "failed", "gave_up")


@dataclass(frozen=True, slots=True)
class Run:
    """A job at a slot: from `first` to `last`, due since `due_at` (ms); `revision` of the last day, as known then."""

    job: Job
    slot: str
    first: date
    last: date
    due_at: int
    revision: int


@dataclass(frozen=True, slots=True)
class Past:
    """What history knows of a run: its last attempt, and what all attempts came to.

    `at`: when the attempt came into its state, ms; `by`: which process made it. `sent_to`: who has the mail already.
    `unsure`: an attempt before may have sent it. `times`: how often it was done.
    """

    state: str
    attempt: int
    at: int
    by: str
    revision: int = 0
    sent_to: tuple[str, ...] = ()
    unsure: bool = False
    times: int = 0

    @property
    def is_settled(self) -> bool:
        """Nothing more is to be done."""
        return self.state in ("done", "gave_up")

    @property
    def may_have_arrived(self) -> bool:
        """The mail may be there though nobody noted it: its sender died, or its server never answered."""
        return self.unsure or self.state == "sending"

    def again_at(self, me: str) -> int:
        """When a further attempt is due, ms; `me`: the process that asks."""
        at = self.at + pause(self.attempt)
        return max(at, self.at + SENDING_MS) if self.state == "sending" and self.by != me else at


#: Of a run that was never tried.
NOTHING = Past("", 0, 0, "")

Pasts = Mapping[tuple[str, str], Past]


@dataclass(frozen=True, slots=True)
class Days:
    """The stack's days: its calendar, the time of its seal, and the revision of each day that is sealed."""

    calendar: Calendar
    seal_at: time
    sealed: Mapping[date, int]


def pause(attempt: int) -> int:
    """How long to wait after so many attempts, ms: a minute, then twice as long each time, at most four hours."""
    return int(min(_FIRST_PAUSE_MS * 2 ** min(attempt - 1, 20), _LONGEST_PAUSE_MS))


def first_day(job: Job, last: date) -> date:
    """Where the job's range begins when it ends on `last`."""
    match job.range:
        case "last 7 days":
            return last - 6 * _ONE
        case "last 31 days":
            return last - 30 * _ONE
        case "last month":
            return last.replace(day=1)
    return last


def runs(job: Job, days: Days, pasts: Pasts, earliest: int, now: int) -> list[Run]:
    """The job's runs whose time is from `earliest` up to `now` (ms) and whose last day is sealed, the oldest first."""
    found = (
        _after_seals(job, days, pasts, earliest)
        if job.when == AFTER_SEAL
        else _by_cron(job, days, pasts, earliest, now)
    )
    return sorted(found, key=lambda run: run.due_at)


def due(runs: list[Run], pasts: Pasts, me: str, now: int) -> list[Run]:
    """Those to be made now: never tried, or not settled and their pause over."""
    return [run for run in runs if (past := pasts.get((run.job.name, run.slot))) is None or _is_open(past, me, now)]


def _is_open(past: Past, me: str, now: int) -> bool:
    return past.attempt == 0 or (not past.is_settled and past.again_at(me) <= now)


def _after_seals(job: Job, days: Days, pasts: Pasts, earliest: int) -> Iterator[Run]:
    for day, revision in days.sealed.items():
        at = days.calendar.cut_off(day, days.seal_at)
        if at < earliest or (job.range == "last month" and (day + _ONE).day != 1):
            continue
        past = pasts.get((job.name, str(day)))
        again = job.resend and past is not None and past.is_settled and revision > past.revision
        yield Run(job, f"{day} r{revision}" if again else str(day), first_day(job, day), day, at, revision)


def _by_cron(job: Job, days: Days, pasts: Pasts, earliest: int, now: int) -> Iterator[Run]:
    """Of times with the same range (an outage, a schedule of every hour) that were never tried, the last alone."""
    newest: dict[date, Run] = {}
    for at in fires(job.when, job.zone or days.calendar.zone, earliest, now):
        last = _last_day(job, days.calendar.day(at))
        if last not in days.sealed:
            continue
        slot = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")
        run = Run(job, slot, first_day(job, last), last, at, days.sealed[last])
        if (job.name, slot) in pasts:
            yield run
        else:
            newest[last] = run
    yield from newest.values()


def _last_day(job: Job, today: date) -> date:
    return (today.replace(day=1) if job.range == "last month" else today) - _ONE


def fires(when: str, zone: str, earliest: int, latest: int) -> list[int]:
    """The times (ms) of a cron expression in a zone, from `earliest` to `latest`, both in it.

    A local time that a change of the clock leaves out comes as much later as the gap is long; one that it brings twice
    counts at the first.
    """
    tz = ZoneInfo(zone)
    local = datetime.fromtimestamp(earliest / 1000, tz).replace(tzinfo=None) - _ONE
    until = datetime.fromtimestamp(latest / 1000, tz).replace(tzinfo=None) + _ONE
    times = croniter(when, local)
    found: list[int] = []
    while (local := times.get_next(datetime)) <= until:
        at = round(local.replace(tzinfo=tz).timestamp() * 1000)
        if earliest <= at <= latest and at not in found[-1:]:
            found.append(at)
    return found
