"""A cut-off that passes while a seal of the days before waits for the workers."""

import pytest

from journey.events import TOPIC_LIVE
from scheduler.loop import Scheduler
from seal.publish import Seal
from settings import Settings
from tests.integration.seal.scene import SEOUL, play
from tests.integration.seal.test_thirty_days import EveryDay
from tests.integration.seal.truth import SEAL_AT

MINUTE = 60_000


class Clock:
    """A clock that only the waits for the workers move: nobody sleeps."""

    def __init__(self, at: int) -> None:
        self.at, self.waited_for = at, list[int]()

    def now(self) -> int:
        return self.at

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a day that is due waits for no sleep")

    def gate(self, kafka: str, cut_off: int, *_: object) -> list[tuple[str, int, int]]:
        self.waited_for.append(cut_off)
        self.at += 3 * MINUTE
        return [(TOPIC_LIVE, 0, 0)]


def test_no_day_is_published_whose_cut_off_was_not_waited_for(
    consumed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduler begins two minutes before the cut-off of the second day; then it comes round for it at once."""
    log, _ = play(consumed, "in the wait", rooms=5)
    first, second = log.days[:2]
    clock, seals, waited_for = Clock(SEOUL.cut_off(second, SEAL_AT) - 2 * MINUTE), list[Seal](), list[int]()
    monkeypatch.setattr("seal.run.await_consumed", clock.gate)

    def go_on() -> bool:
        waited_for.extend(clock.waited_for[-1] for _ in seals[len(waited_for) :])
        return not seals or seals[-1].day < second

    Scheduler(consumed, clock, EveryDay(consumed, clock.now, seals)).run(go_on)
    assert [seal.day for seal in seals][-2:] == [first, second]
    assert waited_for[-2:] == [SEOUL.cut_off(first, SEAL_AT), SEOUL.cut_off(second, SEAL_AT)]
