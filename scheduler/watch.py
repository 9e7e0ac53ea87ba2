"""What /metrics says of the sealed days, read from the tables: right after a restart, and whoever sealed them."""

import time
from collections.abc import Callable
from datetime import date, timedelta

import structlog

from journey.calendar import Calendar
from journey.errors import TurnpathError
from scheduler.metrics import DIFFERENCES
from seal import metrics
from seal.due import due_days, first_live_day, sealed_days
from settings import Settings
from sql.client import Client
from sql.counts import differences

log = structlog.get_logger()

#: How often it looks, and how often at most at what takes longer: not more than a hundredth of the time for each.
LOOKS_S, SLOW_LOOKS_S, SLOW_SHARE = 15.0, 600.0, 100

_NEWEST = "SELECT day, revision, rooms, moves FROM daily WHERE kind = 'seal' ORDER BY day DESC LIMIT 1"
_SEALED_AT = "SELECT max(toUnixTimestamp64Milli(sealed_at)) FROM daily WHERE kind = 'seal'"


class Watch:
    """Sets the gauges of seal.metrics again and again. `now`: the clock, ms.

    How many days are due is counted when /metrics is asked, from the last look: it grows also where ClickHouse is away.
    """

    def __init__(self, settings: Settings, now: Callable[[], int]) -> None:
        self._settings, self._now = settings, now
        self._calendar = Calendar(settings.timezone)
        self._first: date | None = None
        self._sealed: set[date] = set()
        self._late_at = self._counts_at = 0.0
        metrics.DUE.set_function(self.due)

    def run(self, wait: Callable[[float], bool]) -> None:
        """Look until `wait` (sleep so many seconds) says stop. No trouble ends it: the seal itself tells of that."""
        while not wait(0):
            try:
                self.look()
            except TurnpathError as error:
                log.debug("watch", said=str(error))
            if wait(LOOKS_S):
                return

    def look(self) -> None:
        """Read the tables. Raises what sql.client.Client raises."""
        with Client(self._settings.clickhouse) as client:
            if self._first is None:  # later it can only be the same, and looking takes long
                self._first = first_live_day(client)
            self._sealed = sealed_days(client)
            self._show_newest(client)
            if time.monotonic() >= self._late_at:
                self._late_at = self._next(lambda: metrics.LATE_ROOMS.set(_late_rooms(client)))
            if time.monotonic() >= self._counts_at:
                self._counts_at = self._next(lambda: DIFFERENCES.set(self._differences(client)))

    def due(self) -> int:
        """How many days are due now, as the scheduler would seal them."""
        first = None if self._first is None else max(self._first, self._settings.first_day)
        return len(due_days(first, self._sealed, self._calendar, self._settings.seal_at, self._now()))

    def _show_newest(self, client: Client) -> None:
        for day, revision, rooms, moves in client.rows(_NEWEST):
            metrics.LAST_DAY.set(self._calendar.midnight(day) / 1000)
            metrics.LAST_SEALED.set(client.rows(_SEALED_AT)[0][0] / 1000)
            metrics.REVISION.set(revision)
            metrics.ROOMS.set(rooms)
            metrics.MOVES.set(moves)

    def _differences(self, client: Client) -> int:
        today = self._calendar.day(self._now())
        return sum(len(differences(client, day, time.sleep)) for day in (today, today - timedelta(days=1)))

    def _next(self, look: Callable[[], None]) -> float:
        """Look now, and say when again, by the monotonic clock."""
        begun = time.monotonic()
        look()
        return begun + max(SLOW_LOOKS_S, SLOW_SHARE * (time.monotonic() - begun))


def _late_rooms(client: Client) -> int:
    number: int = client.rows("SELECT count() FROM late_rooms")[0][0]
    return number
