"""Local days of the time zone in the settings: which day a time falls on, when a day begins, when it is cut off."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

#: Every zone's offset since the year 2000 is a multiple of a quarter of an hour, so a day never changes within one.
_QUARTER = 900_000


class Calendar:
    """Days of one zone of the tz database; times are ms since the epoch."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self._zone = ZoneInfo(zone)
        self._days: dict[int, date] = {}

    def day(self, at: int) -> date:
        """The local day of a time."""
        quarter = at // _QUARTER
        day = self._days.get(quarter)
        if day is None:
            if len(self._days) > 100_000:
                self._days.clear()
            day = datetime.fromtimestamp(quarter * 900, UTC).astimezone(self._zone).date()
            self._days[quarter] = day
        return day

    def midnight(self, day: date) -> int:
        """When the day begins: 00:00, or the first moment after it where 00:00 does not exist."""
        return self._at(day, time(0))

    def cut_off(self, day: date, at: time) -> int:
        """`at` on the day after. If it exists twice: the first; if not: as late as the gap is long."""
        return self._at(day + timedelta(days=1), at)

    def _at(self, day: date, at: time) -> int:
        return round(datetime.combine(day, at, self._zone).timestamp() * 1000)
