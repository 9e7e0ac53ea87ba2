"""A part that is away: the step is done again until it is done, and what is said of it meanwhile."""

from threading import Event as Flag
from threading import Thread
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY

from journey.errors import Crash, Unreachable
from stream import outages
from stream.health import ROUND_S, Health
from stream.outages import SLOW_S, Outages, Stopped
from tests.waiting import until


class Clock:
    """Seconds that pass when the test says so; waiting lets them pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def waits(clock: Clock) -> Outages:
    stopping: Any = clock
    return Outages(stopping, clock)


def failing(times: int) -> Any:
    """A call that fails so often, then answers 7."""
    left = [Unreachable("ClickHouse does not answer")] * times

    def call() -> int:
        if left:
            raise left.pop()
        return 7

    return call


def counted(name: str, step: str) -> float:
    return REGISTRY.get_sample_value(f"turnpath_worker_{name}_total", {"step": step}) or 0.0


def test_a_step_is_done_again_until_it_is_done(waits: Outages, clock: Clock) -> None:
    retries, waited = counted("retries", "again"), counted("waiting_seconds", "again")
    assert waits.insist("again", failing(5)) == 7
    assert counted("retries", "again") - retries == 5
    assert counted("waiting_seconds", "again") - waited == pytest.approx(clock.now) == pytest.approx(3.1)
    assert waits.reasons() == []


def test_pauses_grow_to_a_limit(waits: Outages, clock: Clock) -> None:
    waits.insist("long", failing(100))
    assert 900 < clock.now < 100 * outages.LONGEST_PAUSE_S


def test_it_is_said_when_it_begins_then_seldom_and_when_it_is_over(waits: Outages, clock: Clock) -> None:
    with structlog.testing.capture_logs() as said:
        waits.insist("moves", failing(100))
    words = [line["event"] for line in said]
    assert words == ["part away", *["part still away"] * (len(words) - 2), "part back"]
    assert len(words) < 12
    assert said[0]["error"] == "ClickHouse does not answer"
    assert said[-1]["seconds"] == pytest.approx(clock.now, abs=0.1)


def test_a_step_that_goes_well_says_nothing(waits: Outages) -> None:
    with structlog.testing.capture_logs() as said:
        assert waits.insist("turns", failing(0)) == 7
    assert said == []


def test_health_names_the_step_the_part_and_since_when(waits: Outages, clock: Clock) -> None:
    waits.failed("moves", "ClickHouse does not answer")
    clock.now += 12
    assert waits.reasons() == ["moves: for 12 s: ClickHouse does not answer"]
    waits.over("moves")
    assert waits.reasons() == []


def test_a_call_that_never_comes_back_is_named_before_it_fails(waits: Outages, clock: Clock) -> None:
    with waits.under_way("turns"):
        assert waits.reasons() == []
        clock.now += SLOW_S + 1
        assert waits.reasons() == ["turns: no answer for 11 s"]
    assert waits.reasons() == []


def test_a_stop_ends_the_wait() -> None:
    stopping = Flag()
    ended: list[str] = []

    def work() -> None:
        try:
            Outages(stopping).insist("turns", failing(10**9))
        except Stopped as stopped:
            ended.append(str(stopped))

    Thread(target=work, daemon=True).start()
    stopping.set()
    until(lambda: ended == ["turns"])


def test_what_a_retry_cannot_mend_goes_through(waits: Outages) -> None:
    def call() -> None:
        raise Crash("no such table")

    with pytest.raises(Crash):
        waits.insist("turns", call)


def test_a_worker_is_well_once_it_has_its_partitions_and_comes_round(waits: Outages, clock: Clock) -> None:
    health = Health(clock)
    health.attend(waits)
    assert health.reasons() == ["starting: the group has not dealt the partitions yet"]
    health.assigned()
    assert health.reasons() == []
    clock.now += ROUND_S + 1
    (hangs,) = health.reasons()
    assert "has not come round for 61 s" in hangs
    waits.failed("commit", "Kafka is away")
    assert health.reasons() == ["commit: for 0 s: Kafka is away"]
    waits.over("commit")
    health.turned()
    assert health.reasons() == []
