"""Days of a zone: where they begin, when they are cut off, on the days of 23 and 25 hours, too."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

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
    ],
)
def test_the_cut_off(zone: str, day: date, at: time, cut_off: str) -> None:
    assert Calendar(zone).cut_off(day, at) == ms(cut_off)
