"""How the seal fares, for Prometheus; docs/monitoring.md says what each is good for.

What is counted begins with the process. What is said of days is read from the tables (`scheduler/watch.py`), so it is
right after a restart, and whoever sealed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

from journey.errors import SealFailed

#: `outcome`: sealed, or failed (it will be tried again).
SEALS = Counter("turnpath_seal_days_total", "Seals by the scheduler, by how they ended", ["outcome"])
#: `reason`: the step that failed, `changed` where rooms would not hold still, `unreachable` where a part was away.
FAILURES = Counter("turnpath_seal_failures", "Seals by the scheduler that failed, by why", ["reason"])
STEP_S = Histogram(
    "turnpath_seal_step_seconds",
    "How long each step of a seal took",
    ["step"],
    buckets=(0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800),
)
LAST_SEALED = Gauge("turnpath_seal_last_success_timestamp_seconds", "When a day was last sealed or resealed")
LAST_DAY = Gauge("turnpath_seal_last_day_timestamp_seconds", "The newest sealed day: when it began, local time")
REVISION = Gauge("turnpath_seal_revision", "The revision of the newest sealed day")
ROOMS = Gauge("turnpath_seal_rooms", "Rooms of the newest sealed day")
MOVES = Gauge("turnpath_seal_moves", "Moves of the newest sealed day")
LATE_ROOMS = Gauge("turnpath_seal_late_rooms", "Rooms that sealed days have not, or not so: what reseals would change")
DUE = Gauge("turnpath_seal_days_due", "Days whose cut-off has passed and that are not sealed")

STEPS = ("wait", "mark", "refold", "settle", "leave_out", "build", "check", "summarize", "publish")

# A counter that appears with its first failure shows no increase by it: it must have been 0 before.
for _outcome in ("sealed", "failed"):
    SEALS.labels(_outcome)
for _reason in (*STEPS, "changed", "unreachable"):
    FAILURES.labels(_reason)


@contextmanager
def step(name: str) -> Iterator[None]:
    """A step of the seal, of `STEPS`: how long it takes, and that it was this one which failed."""
    assert name in STEPS
    with STEP_S.labels(name).time():
        try:
            yield
        except SealFailed as failure:
            failure.step = failure.step or name
            raise


def failed(error: Exception) -> None:
    """A seal by the scheduler has failed, and will be tried again."""
    SEALS.labels("failed").inc()
    FAILURES.labels((error.step or "changed") if isinstance(error, SealFailed) else "unreachable").inc()
