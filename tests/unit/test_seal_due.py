"""Which days are due, and when the next one is."""

from datetime import date, time, timedelta
from itertools import pairwise

import pytest

from journey.calendar import Calendar
from journey.errors import BadUsage
from seal.day import day_to_seal
from seal.due import due_days, next_cut_off, see_that_it_is_over
from seal.run import Sealer
from settings import Settings

AT = time(0, 40)
SEOUL = Calendar("Asia/Seoul")
NEW_YORK = Calendar("America/New_York")
DAY = timedelta(days=1)
D = date(2026, 11, 20)


def test_from_the_first_day_to_yesterday_but_for_those_that_are_sealed() -> None:
    now = SEOUL.cut_off(D + 3 * DAY, AT)
    assert due_days(D, {D + DAY}, SEOUL, AT, now) == [D, D + 2 * DAY, D + 3 * DAY]


def test_yesterday_is_due_from_its_cut_off_on() -> None:
    cut_off = SEOUL.cut_off(D, AT)
    assert due_days(D, set(), SEOUL, AT, cut_off - 1) == []
    assert due_days(D, set(), SEOUL, AT, cut_off) == [D]


def test_nothing_is_due_without_data() -> None:
    assert due_days(None, set(), SEOUL, AT, SEOUL.cut_off(D, AT)) == []
    assert due_days(D, set(), SEOUL, AT, SEOUL.midnight(D)) == []


@pytest.mark.parametrize("calendar", [SEOUL, NEW_YORK])
@pytest.mark.parametrize("at", [AT, time(2, 30), time(23, 59), time(0, 0)])
def test_the_next_cut_off_is_the_first_that_is_still_to_come(calendar: Calendar, at: time) -> None:
    cut_offs = [calendar.cut_off(date(2026, 1, 1) + n * DAY, at) for n in range(365)]
    assert cut_offs == sorted(set(cut_offs))
    for before, after in pairwise(cut_offs):
        assert [next_cut_off(calendar, at, now) for now in (before, before + 1, after - 1)] == [after] * 3


def test_a_day_that_is_not_over_is_refused_with_when_it_will_be() -> None:
    cut_off = SEOUL.cut_off(D, AT)
    see_that_it_is_over(D, SEOUL, AT, cut_off)
    with pytest.raises(
        BadUsage, match=r"2026-11-20 cannot be sealed before 00:40 on 2026-11-21 \(Asia/Seoul\), .*15:40 UTC"
    ):
        see_that_it_is_over(D, SEOUL, AT, cut_off - 1)


def test_a_day_that_no_view_shows_is_refused() -> None:
    """Before anything is asked of any part."""
    settings = Settings(clickhouse="clickhouse://127.0.0.1:1/turnpath", redis="redis://127.0.0.1:1/0", first_day=D)
    sealer = Sealer(settings, lambda: SEOUL.cut_off(D, AT), lambda words: None)
    with pytest.raises(BadUsage, match=r"2026-11-19 cannot be sealed: no reader .* before 2026-11-20 are empty"):
        sealer.seal(D - DAY)


def test_a_day_to_seal_reads_as_far_back_as_its_rooms_may_reach() -> None:
    day = day_to_seal(date(2026, 3, 8), NEW_YORK, AT, timedelta(hours=24))
    assert day.end - day.begin == 23 * 3_600_000
    assert day.cut_off == day.end + 40 * 60_000
    # a room that timed out at the day's first moment spoke last 24 hours before, and that may have come 24 hours early
    assert day.first_moves_day == date(2026, 3, 7)
    assert (day.first_received, day.first_received_day) == (day.begin - 48 * 3_600_000, date(2026, 3, 6))
