"""Days of a zone: where they begin, when they are cut off, on the days of 23 and 25 hours, too."""

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest

from journey.calendar import Calendar

HOUR = 3_600_000
ZONES = ["Asia/Seoul", "America/New_York", "UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo"]


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize("zone", ZONES)
def test_a_day_is_what_lies_between_two_midnights(zone: str) -> None:
    calendar = Calendar(zone)
    day = date(2018, 1, 1)  # Sao Paulo left midnight out in 2018
    while day < date(2019, 3, 1):
        begin, end = calendar.midnight(day), calendar.midnight(day + timedelta(days=1))
        assert [calendar.day(at) for at in (begin - 1, begin, end - 1, end)] == [
            day - timedelta(days=1), day, day, day + timedelta(days=1)
        ]  # fmt: skip
        local = datetime.fromtimestamp(begin / 1000, UTC).astimezone(ZoneInfo(zone))
        assert (local.date(), (local - timedelta(milliseconds=1)).astimezone(UTC).year) >= (day, 2017)
        day += timedelta(days=1)


def test_days_of_23_and_25_hours() -> None:
    calendar = Calendar("America/New_York")
    for day, hours in ((date(2026, 3, 8), 23), (date(2026, 11, 1), 25), (date(2026, 7, 1), 24)):
        assert calendar.midnight(day + timedelta(days=1)) - calendar.midnight(day) == hours * HOUR


@pytest.mark.parametrize(
    ("zone", "day", "at", "cut_off"),
    [
        ("Asia/Seoul", date(2026, 11, 22), time(0, 40), "2026-11-23T00:40+09:00"),
        ("America/New_York", date(2026, 3, 7), time(0, 40), "2026-03-08T00:40-05:00"),
        ("America/New_York", date(2026, 3, 8), time(0, 40), "2026-03-09T00:40-04:00"),
        # 02:30 does not exist on 8 March: as late as the gap is long
        ("America/New_York", date(2026, 3, 7), time(2, 30), "2026-03-08T03:30-04:00"),
        # 01:30 exists twice on 1 November: the first
        ("America/New_York", date(2026, 10, 31), time(1, 30), "2026-11-01T01:30-04:00"),
        # midnight to 01:00 does not exist on 8 March: the day begins at 01:00, its seal is 40 minutes later as ever
        ("America/Havana", date(2026, 3, 7), time(0, 40), "2026-03-08T01:40-04:00"),
        # midnight to 01:00 exists twice on 1 November: the day begins at the first, its seal is 40 minutes later
        ("America/Havana", date(2026, 10, 31), time(0, 40), "2026-11-01T00:40-04:00"),
    ],
)
def test_the_cut_off(zone: str, day: date, at: time, cut_off: str) -> None:
    assert Calendar(zone).cut_off(day, at) == ms(cut_off)


@cache
def changed() -> list[tuple[str, date]]:
    """Every zone with each day of 2026 on which its clocks are changed; of zones that are the same, one."""
    same: dict[tuple[Any, ...], tuple[str, list[date]]] = {}
    for zone in sorted(available_timezones()):
        noons = [datetime(2026, 1, 1, 12, tzinfo=ZoneInfo(zone)) + timedelta(days=n) for n in range(366)]
        if any(noon.utcoffset() != noons[0].utcoffset() for noon in noons[::30]):
            offsets = tuple(noon.utcoffset() for noon in noons)
            days = [there.date() for before, there in pairwise(noons) if before.utcoffset() != there.utcoffset()]
            same[offsets] = zone, days
    return [(zone, day) for zone, days in same.values() for day in days]


@pytest.mark.parametrize("at", [time(0), time(0, 40), time(1, 30), time(2, 30), time(23, 59)])
def test_in_no_zone_is_a_day_cut_off_before_its_end_or_before_another(at: time) -> None:
    """About every change of 2026 in every zone: the end comes first; two hours are the most that clocks are changed."""
    assert len(changed()) > 30
    for zone, change in changed():
        calendar = Calendar(zone)
        days = [change + timedelta(days=n) for n in range(-2, 3)]
        ends = [calendar.midnight(day + timedelta(days=1)) for day in days]
        cut_offs = [calendar.cut_off(day, at) for day in days]
        assert all(end <= cut_off <= end + 26 * HOUR for end, cut_off in zip(ends, cut_offs, strict=True)), (
            zone,
            change,
        )
        assert cut_offs == sorted(set(cut_offs)), (zone, change)
