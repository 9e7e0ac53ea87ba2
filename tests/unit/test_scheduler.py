"""The scheduler's loop with a clock of its own: when it seals, what it does after a failure, how it ends."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise

import pytest

from journey.calendar import Calendar
from journey.errors import Busy, Crash, Retry, SealFailed
from scheduler.loop import FIRST_PAUSE_S, LONGEST_PAUSE_S, Scheduler
from seal.due import due_days
from seal.publish import Seal
from settings import Settings

SETTINGS = Settings()
SEOUL = Calendar(SETTINGS.timezone)
FIRST = date(2026, 11, 1)
DAY = timedelta(days=1)


@dataclass
class Hand:
    """A clock that stands until somebody sleeps."""

    at: int
    slept: list[float] = field(default_factory=list)

    def now(self) -> int:
        return self.at

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.slept.append(seconds)
        self.at += max(1, round(seconds * 1000))


@dataclass
class Days:
    """Seals what is due by that clock; `trouble`: what the next calls raise, after that many days."""

    clock: Hand
    sealed: dict[date, int] = field(default_factory=dict)
    trouble: list[tuple[int, Exception | None]] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    def seal_due(self, *, live_only: bool) -> Iterator[Seal]:
        assert live_only
        self.calls.append(self.clock.at)
        left, error = self.trouble.pop(0) if self.trouble else (10_000, None)
        for day in due_days(FIRST, self.sealed, SEOUL, SETTINGS.seal_at, self.clock.at):
            if left == 0:
                break
            left -= 1
            self.clock.at += 20_000  # a seal takes a while
            self.sealed[day] = self.clock.at
            yield Seal(day, 1, 0, 0, "", 0, is_new=True)
        if error is not None:
            raise error


def run(clock: Hand, days: Days, until: int) -> None:
    Scheduler(SETTINGS, clock, days).run(lambda: clock.at < until)


def cut_off(day: date) -> int:
    return SEOUL.cut_off(day, SETTINGS.seal_at)


def test_it_seals_at_each_cut_off() -> None:
    clock = Hand(SEOUL.midnight(FIRST))
    days = Days(clock)
    run(clock, days, cut_off(FIRST + 9 * DAY) + 60_000)
    assert list(days.sealed) == [FIRST + n * DAY for n in range(10)]
    assert days.calls[1:] == [cut_off(FIRST + n * DAY) for n in range(-1, 10)]
    assert max(clock.slept) <= 60


def test_it_catches_up_at_once_and_in_order() -> None:
    clock = Hand(cut_off(FIRST + 4 * DAY) + 5 * 3_600_000)
    days = Days(clock)
    run(clock, days, clock.at + 1)
    assert list(days.sealed) == [FIRST + n * DAY for n in range(5)]
    assert clock.slept == []


def test_a_cut_off_that_passes_while_it_catches_up_is_not_missed() -> None:
    clock = Hand(cut_off(FIRST + 4 * DAY) - 30_000)
    days = Days(clock)
    run(clock, days, clock.at + 4 * 20_000 + 20_000)
    assert list(days.sealed) == [FIRST + n * DAY for n in range(5)]


@pytest.mark.parametrize("error", [SealFailed("behind"), Retry("away"), Busy("another")])
def test_a_seal_that_fails_is_done_again_later(error: Exception) -> None:
    clock = Hand(cut_off(FIRST + 2 * DAY))
    days = Days(clock, trouble=[(1, error), (0, error)])
    run(clock, days, clock.at + 3_600_000)
    assert list(days.sealed) == [FIRST, FIRST + DAY, FIRST + 2 * DAY]
    assert len(days.calls) == 3


def test_the_pauses_grow_and_shrink_again() -> None:
    clock, away = Hand(cut_off(FIRST)), (0, Retry("away"))
    days = Days(clock, trouble=[*[away] * 12, (1, None), away])
    run(clock, days, cut_off(FIRST + DAY) + 60_000)
    pauses = [(after - before) / 1000 for before, after in pairwise(days.calls)][:12]
    assert pauses[:3] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert list(days.sealed) == [FIRST, FIRST + DAY]
    assert days.calls[-1] - days.calls[-2] == FIRST_PAUSE_S * 1000


def test_what_no_retry_mends_ends_it() -> None:
    clock = Hand(cut_off(FIRST))
    with pytest.raises(Crash, match="code 60"):
        run(clock, Days(clock, trouble=[(0, Crash("code 60"))]), clock.at + 1000)


def test_a_clock_that_was_set_back_makes_no_day_twice() -> None:
    clock = Hand(cut_off(FIRST + 2 * DAY))
    days = Days(clock)
    run(clock, days, clock.at + 1000)
    clock.at -= 3 * 3_600_000
    sealed = dict(days.sealed)
    run(clock, days, clock.at + 1000)
    assert days.sealed == sealed
