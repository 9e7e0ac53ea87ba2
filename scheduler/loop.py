"""The scheduler's loop: seal what is due, sleep until the next cut-off, for years."""

from collections.abc import Callable, Iterator
from typing import Protocol

import structlog

from journey.calendar import Calendar
from journey.errors import Busy, Retry, SealFailed
from scheduler.clock import Clock
from scheduler.metrics import LAST_LOOP, TURNS
from seal import metrics
from seal.due import next_cut_off
from seal.publish import Seal
from seal.run import Sealer
from settings import Settings

log = structlog.get_logger()

FIRST_PAUSE_S, LONGEST_PAUSE_S = 15.0, 600.0

#: No sleep is longer: a machine that was suspended, or whose clock was set, is noticed soon.
NAP_S = 60.0


class Seals(Protocol):
    """What the loop needs of seal.run.Sealer."""

    def seal_due(self, *, live_only: bool) -> Iterator[Seal]: ...


class Scheduler:
    """Seals at each cut-off, and at once what was missed while it was away.

    A seal that fails is tried again, after longer and longer pauses; what a retry cannot mend ends the loop.
    `sealer`: who seals (for tests); by default the real one.
    """

    def __init__(self, settings: Settings, clock: Clock, sealer: Seals | None = None) -> None:
        self._seal_at, self._calendar = settings.seal_at, Calendar(settings.timezone)
        self._clock = clock
        self._sealer: Seals = sealer or Sealer(settings, clock.now, _said)
        self._pause_s = FIRST_PAUSE_S
        self._trouble = ""

    def reasons(self) -> list[str]:
        """Why it is not well: the seal that failed last and is not done yet."""
        return [self._trouble] if self._trouble else []

    def run(self, go_on: Callable[[], bool] = lambda: True) -> None:
        """Until `go_on` says no, asked before each seal and each nap."""
        log.info("scheduler_started", seal_at=f"{self._seal_at:%H:%M}", timezone=self._calendar.zone)
        until = self._clock.now()
        while go_on():
            now = self._clock.now()
            LAST_LOOP.labels("seal").set(now / 1000)
            if now >= until:
                until = self.turn()
            else:
                self._clock.sleep(min(NAP_S, (until - now) / 1000))

    def turn(self) -> int:
        """Seal what is due; until when to sleep then (ms)."""
        now = self._clock.now()
        try:
            for seal in self._sealer.seal_due(live_only=True):
                _log(seal)
        except Busy as busy:
            TURNS.labels("seal", "busy").inc()
            log.info("seal_busy", said=str(busy), again_in_s=FIRST_PAUSE_S)
            return now + round(FIRST_PAUSE_S * 1000)
        except (SealFailed, Retry) as failure:
            self._trouble = f"seal: {failure}"
            TURNS.labels("seal", "failed").inc()
            metrics.failed(failure)
            return now + self._back_off(failure)
        self._pause_s, self._trouble = FIRST_PAUSE_S, ""
        TURNS.labels("seal", "done").inc()
        # From before the seals: a cut-off that passed while they went on is due at once.
        return next_cut_off(self._calendar, self._seal_at, now)

    def _back_off(self, failure: Exception) -> int:
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
        log.error("seal_failed", error=type(failure).__name__, said=str(failure), again_in_s=pause_s)
        return round(pause_s * 1000)


def _log(seal: Seal) -> None:
    if seal.is_new:
        metrics.SEALS.labels("sealed").inc()
    log.info(
        "sealed" if seal.is_new else "sealed_already",
        day=str(seal.day),
        revision=seal.revision,
        rooms=seal.rooms,
        moves=seal.moves,
        checksum=seal.checksum,
    )


def _said(words: str) -> None:
    log.info("seal", said=words)
