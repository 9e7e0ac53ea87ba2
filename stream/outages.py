"""Parts that are away: the worker waits for them, says so, and goes on by itself.

Said in the log when it begins, then after 10, 20, 40 … seconds, and once when it is over; in /health all the while; in
the metrics by step. A step here is what the worker waits for: `turns`, `read back rooms`, `commit`, `kafka` …
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Flag
from typing import TypeVar

import structlog
from msgspec import Struct

from journey.errors import Retry
from stream import metrics

log = structlog.get_logger()

T = TypeVar("T")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0

#: A call that has not come back for so long is named, though it has not failed yet: its part may never answer.
SLOW_S = 10.0

_SAY_AGAIN_S, _SAY_AT_LEAST_S = 10.0, 600.0


class Stopped(Exception):
    """The worker stops while a part does not answer: what it did is given up, and done again by whoever comes next."""


class _Outage(Struct):
    said: str
    since: float
    tries: int
    counted_to: float
    say_at: float


class Outages:
    """What does not answer, since when, and why. Several threads may tell and ask at once.

    `stopping`: set when the worker is to end; `clock`: seconds of some clock that only grows.
    """

    def __init__(self, stopping: Flag, clock: Callable[[], float] = time.monotonic) -> None:
        self._stopping, self._clock = stopping, clock
        self._away: dict[str, _Outage] = {}
        self._calls: dict[str, float] = {}

    def insist(self, step: str, call: Callable[[], T]) -> T:
        """Do it until it is done, with longer and longer pauses; raises Stopped, and what a retry cannot mend."""
        pause = FIRST_PAUSE_S
        while True:
            try:
                with self.under_way(step), metrics.STEP_S.labels(step).time():
                    done = call()
            except Retry as error:
                self.failed(step, str(error))
            else:
                self.over(step)
                return done
            if self._stopping.wait(pause):
                raise Stopped(step)
            pause = min(2 * pause, LONGEST_PAUSE_S)

    @contextmanager
    def under_way(self, step: str) -> Iterator[None]:
        """While this lasts, `reasons` names the step if it takes long."""
        self._calls[step] = self._clock()
        try:
            yield
        finally:
            self._calls.pop(step, None)

    def lasts(self, step: str) -> float:
        """For how many seconds this call has not come back; 0 where none is under way."""
        begun = self._calls.get(step)
        return 0.0 if begun is None else self._clock() - begun

    def failed(self, step: str, said: str) -> None:
        """This step could not be done just now."""
        now = self._clock()
        metrics.RETRIES.labels(step).inc()
        metrics.AWAY.labels(step).set(1)
        outage = self._away.get(step)
        if outage is None:
            self._away[step] = _Outage(said, now, 1, now, now + _SAY_AGAIN_S)
            log.warning("part away", step=step, error=said)
            return
        outage.said, outage.tries = said, outage.tries + 1
        self._stood_still(step, outage, now)
        if now >= outage.say_at:
            outage.say_at = now + min(now - outage.since, _SAY_AT_LEAST_S)
            log.warning("part still away", step=step, error=said, seconds=round(now - outage.since), tries=outage.tries)

    def over(self, step: str) -> None:
        """This step is done; if it could not be before, that is over."""
        outage = self._away.pop(step, None)
        if outage is not None:
            now = self._clock()
            metrics.AWAY.labels(step).set(0)
            self._stood_still(step, outage, now)
            log.warning("part back", step=step, seconds=round(now - outage.since, 1), tries=outage.tries)

    def reasons(self) -> list[str]:
        """A sentence for each step that waits for a part."""
        now = self._clock()
        away = [f"{step}: for {now - o.since:.0f} s: {o.said}" for step, o in list(self._away.items())]
        slow = [
            f"{step}: no answer for {now - begun:.0f} s"
            for step, begun in list(self._calls.items())
            if now - begun > SLOW_S and step not in self._away
        ]
        return away + slow

    @staticmethod
    def _stood_still(step: str, outage: _Outage, now: float) -> None:
        metrics.STOOD_STILL.labels(step).inc(now - outage.counted_to)
        outage.counted_to = now
