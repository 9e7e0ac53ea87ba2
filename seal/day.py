"""What is to be sealed: a local day, and the cut-off as of which its rooms are looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from datetime import time as clock_time

from journey.calendar import Calendar
from journey.decode import DAY as MAX_AHEAD
from seal.turns import Known
from sql.client import Value


@dataclass(frozen=True, slots=True)
class Day:
    """A day to be sealed. Times in ms since the epoch; `idle`: ROOM_IDLE in ms.

    `begin` <= what ended on it < `end` <= `in_use_at` <= `cut_off`. What was received after `cut_off` is not known to
    this seal, and of imports what lies at or behind the offsets `imported` (see `Known`); which bots are in it is as of
    `in_use_at`. `cut_off` and `in_use_at` are SEAL_AT on the day after; of a reseal, `cut_off` is the moment when it
    began.
    """

    day: date
    begin: int
    end: int
    in_use_at: int
    cut_off: int
    idle: int
    zone: str
    first_moves_day: date
    first_received_day: date
    imported: Mapping[int, int] | None = None

    @property
    def known(self) -> Known:
        """What this seal knows of the log."""
        return Known(self.cut_off, self.imported)

    @property
    def first_received(self) -> int:
        """A room that ended on the day has received something since then.

        Its end is an event's occurred_at, or that of its last event + idle; and occurred_at lies at most a day
        after received_at.
        """
        return self.begin - self.idle - MAX_AHEAD

    def parameters(self) -> dict[str, Value | Sequence[Value]]:
        """For `{name:Type}` in SQL; `imported`: the offsets by partition, none where all is known."""
        upto = self.imported or {}
        return {
            "day": self.day,
            "zone": self.zone,
            "begin": self.begin,
            "end": self.end,
            "in_use_at": self.in_use_at,
            "cut_off": self.cut_off,
            "idle": self.idle,
            "first_received": self.first_received,
            "first_received_day": self.first_received_day,
            "first_moves_day": self.first_moves_day,
            "imported": [upto.get(partition, 0) for partition in range(max(upto, default=-1) + 1)],
        }


def day_to_seal(day: date, calendar: Calendar, seal_at: clock_time, idle: timedelta) -> Day:
    """The day with its times, in the calendar's zone."""
    begin, idle_ms = calendar.midnight(day), idle // timedelta(milliseconds=1)
    cut_off = calendar.cut_off(day, seal_at)
    return Day(
        day,
        begin,
        calendar.midnight(day + timedelta(days=1)),
        cut_off,
        cut_off,
        idle_ms,
        calendar.zone,
        # Rows of a room that timed out on the day are as old as its silence; older ones are few, and folded anew.
        calendar.day(begin - idle_ms),
        calendar.day(begin - idle_ms - MAX_AHEAD),
    )
