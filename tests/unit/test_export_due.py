"""Which runs of a job are due: after seals, by cron times in any zone, after an outage, after failures."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from exporter.due import NOTHING, SENDING_MS, Days, Past, Run, due, fires, pause, runs
from exporter.jobs import Job
from journey.calendar import Calendar

SEOUL = Calendar("Asia/Seoul")
SEAL_AT = time(0, 40)
ONE = timedelta(days=1)
FIRST = date(2026, 10, 20)
HOUR = 3_600_000


def job(**given: Any) -> Job:
    return Job.model_validate({"name": "a", "site": "shop", "to": "/reports", **given})


def sealed(*days: date) -> Days:
    return Days(SEOUL, SEAL_AT, dict.fromkeys(days, 1))


def cut_off(day: date) -> int:
    return SEOUL.cut_off(day, SEAL_AT)


def at(text: str, zone: str = "Asia/Seoul") -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def slots(found: list[Run]) -> list[str]:
    return [run.slot for run in found]


def test_each_sealed_day_since_then_the_oldest_first() -> None:
    days = sealed(FIRST + ONE, FIRST + 2 * ONE, FIRST - ONE, FIRST)
    found = runs(job(), days, {}, cut_off(FIRST), cut_off(FIRST + 9 * ONE))
    assert slots(found) == ["2026-10-20", "2026-10-21", "2026-10-22"]
    assert (found[0].first, found[0].last) == (FIRST, FIRST)


@pytest.mark.parametrize(
    "named, first", [("yesterday", "2026-10-31"), ("last 7 days", "2026-10-25"), ("last 31 days", "2026-10-01")]
)
def test_where_a_range_begins(named: str, first: str) -> None:
    (run,) = runs(job(range=named), sealed(date(2026, 10, 31)), {}, 0, cut_off(date(2026, 11, 1)))
    assert (str(run.first), str(run.last)) == (first, "2026-10-31")


def test_last_month_is_due_when_its_last_day_is_sealed() -> None:
    days = sealed(*(date(2028, 2, 1) + n * ONE for n in range(40)))
    (run,) = runs(job(range="last month"), days, {}, 0, at("2028-03-15T00:00"))
    assert (str(run.first), str(run.last), run.slot) == ("2028-02-01", "2028-02-29", "2028-02-29")


def test_a_cron_time_waits_for_the_seal_of_its_last_day() -> None:
    weekly = job(range="last 7 days", when="0 8 * * 1")
    now = at("2026-10-26T08:00")
    assert runs(weekly, sealed(date(2026, 10, 24)), {}, 0, now) == []
    (run,) = runs(weekly, sealed(date(2026, 10, 24), date(2026, 10, 25)), {}, 0, now)
    assert (run.slot, str(run.first), str(run.last)) == ("2026-10-25T23:00Z", "2026-10-19", "2026-10-25")
    assert runs(weekly, sealed(date(2026, 10, 25)), {}, 0, now - 1) == []


def test_last_month_by_cron_is_the_month_before() -> None:
    (run,) = runs(job(range="last month", when="0 8 3 * *"), sealed(date(2026, 9, 30)), {}, 0, at("2026-10-03T09:00"))
    assert (str(run.first), str(run.last)) == ("2026-09-01", "2026-09-30")


def test_a_range_is_of_the_stacks_days_wherever_the_cron_time_is() -> None:
    days = sealed(*(date(2026, 10, 20) + n * ONE for n in range(5)))
    late = job(when="0 20 * * *", zone="America/New_York")
    (run, *_) = runs(late, days, {}, at("2026-10-20T19:00", "America/New_York"), at("2026-10-21T12:00"))
    assert (run.slot, str(run.last)) == ("2026-10-21T00:00Z", "2026-10-20")  # in Seoul it is the 21st, nine o'clock


def test_of_missed_times_with_the_same_range_only_the_last_is_made() -> None:
    days = sealed(date(2026, 10, 24), date(2026, 10, 25))
    hourly = job(when="0 * * * *")
    found = runs(hourly, days, {}, at("2026-10-25T03:00"), at("2026-10-26T05:30"))
    assert slots(found) == ["2026-10-25T14:00Z", "2026-10-25T20:00Z"]
    tried = {("a", "2026-10-25T18:00Z"): Past("failed", 1, 0, "me")}
    assert "2026-10-25T18:00Z" in slots(runs(hourly, days, tried, at("2026-10-25T03:00"), at("2026-10-26T05:30")))


def test_a_time_that_the_clock_leaves_out_comes_as_much_later() -> None:
    begin, end = at("2026-03-28T00:00", "Europe/Berlin"), at("2026-03-31T00:00", "Europe/Berlin")
    local = [_berlin(fired) for fired in fires("30 2 * * *", "Europe/Berlin", begin, end)]
    assert local == ["2026-03-28 02:30", "2026-03-29 03:30", "2026-03-30 02:30"]
    hours = fires("0 * * * *", "Europe/Berlin", begin + 24 * HOUR, begin + 28 * HOUR)
    assert [_berlin(fired)[11:] for fired in hours] == ["00:00", "01:00", "03:00", "04:00", "05:00"]


def test_a_time_that_the_clock_brings_twice_counts_once() -> None:
    begin, end = at("2026-10-25T00:00", "Europe/Berlin"), at("2026-10-26T00:00", "Europe/Berlin")
    (fired,) = fires("30 2 * * *", "Europe/Berlin", begin, end)
    assert fired == at("2026-10-25T00:30", "UTC")


def test_a_day_that_a_month_has_not_is_left_out() -> None:
    found = fires("0 8 31 * *", "Asia/Seoul", at("2026-01-01T00:00"), at("2026-12-31T23:00"))
    assert [datetime.fromtimestamp(fired / 1000, UTC).month for fired in found] == [1, 3, 5, 7, 8, 10, 12]


def _berlin(fired: int) -> str:
    return f"{datetime.fromtimestamp(fired / 1000, ZoneInfo('Europe/Berlin')):%Y-%m-%d %H:%M}"


@hypothesis_settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 59), st.integers(0, 23), st.sampled_from(["Europe/Berlin", "Asia/Seoul", "Australia/Lord_Howe"]),
    st.integers(0, 800),
)  # fmt: skip
def test_a_daily_time_comes_once_a_day_however_the_span_is_cut(minute: int, hour: int, zone: str, cut: int) -> None:
    begin, end = at("2026-03-20T12:00:30", zone), at("2026-04-24T12:00:30", zone)
    middle = begin + (end - begin) * cut // 800
    when = f"{minute} {hour} * * *"
    whole = fires(when, zone, begin, end)
    assert fires(when, zone, begin, middle - 1) + fires(when, zone, middle, end) == whole
    assert len(whole) == 35


RUN = Run(job(), "2026-10-20", FIRST, FIRST, 0, 1)


@pytest.mark.parametrize(
    "past, after_ms",
    [
        (NOTHING, 0),
        (Past("failed", 1, 1000, "me"), 60_000),
        (Past("failed", 3, 1000, "other"), 240_000),
        (Past("failed", 99, 1000, "other"), 4 * HOUR),
        (Past("started", 1, 1000, "other"), 60_000),
        (Past("sending", 1, 1000, "other"), SENDING_MS),
        (Past("sending", 1, 1000, "me"), 60_000),
        (Past("done", 1, 1000, "me"), None),
        (Past("gave_up", 1, 1000, "me"), None),
    ],
)
def test_when_a_run_is_tried_again(past: Past, after_ms: int | None) -> None:
    pasts = {("a", "2026-10-20"): past}
    if after_ms is None:
        assert due([RUN], pasts, "me", 10**15) == []
        return
    assert due([RUN], pasts, "me", past.at + after_ms) == [RUN]
    assert after_ms == 0 or due([RUN], pasts, "me", past.at + after_ms - 1) == []


def test_fourteen_tries_take_about_a_day() -> None:
    assert 20 * HOUR < sum(pause(attempt) for attempt in range(1, 14)) < 26 * HOUR


def test_a_reseal_is_a_run_of_its_own_where_the_job_says_so() -> None:
    again = Days(SEOUL, SEAL_AT, {FIRST: 2})
    done, open_ = ({("a", str(FIRST)): Past(state, 1, 0, "me", revision=1)} for state in ("done", "failed"))
    now = cut_off(FIRST + ONE)
    assert slots(runs(job(resend=True), again, done, 0, now)) == [f"{FIRST} r2"]
    assert slots(runs(job(resend=True), again, open_, 0, now)) == [str(FIRST)]
    assert slots(runs(job(), again, done, 0, now)) == [str(FIRST)]
    newest = {("a", str(FIRST)): Past("done", 1, 0, "me", revision=2)}
    assert slots(runs(job(resend=True), again, newest, 0, now)) == [str(FIRST)]
