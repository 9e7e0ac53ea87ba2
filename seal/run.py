"""A seal from beginning to end: one day, or all that are due."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date

from journey.calendar import Calendar
from journey.errors import SealFailed
from seal.build import build, leave_bots_out
from seal.check import check
from seal.day import Day, day_to_seal
from seal.due import (
    due_days,
    first_day,
    first_live_day,
    last_cut_off,
    sealed_days,
    see_that_it_is_over,
    see_that_it_is_shown,
)
from seal.gate import Reached, await_consumed
from seal.lock import lock
from seal.membership import disturbed, mark_rooms, settle, taken
from seal.publish import Seal, publish, published, summarize
from seal.refold import refold
from seal.stage import Stage, connection, drop_stale, stage
from seal.turns import imported_below
from settings import Settings
from sql.client import Client
from sql.timezone import check_timezone

#: How often a seal is built anew: where something late came in for one of its rooms meanwhile, once, with their rows
#: held; as often as other days are sealed meanwhile that have rooms of it.
ATTEMPTS = 10

Said = Callable[[str], None]
Now = Callable[[], int]


class Sealer:
    """Seals days, under the lock. `now`: the clock, in ms; `said`: told what is being done, in a few words.

    Its calls raise SealFailed (nothing was published), Busy, BadSetting (another time zone than that of the tables),
    and what sql.client and broker.consumed raise.
    """

    def __init__(self, settings: Settings, now: Now, said: Said) -> None:
        self._settings, self._now, self._said = settings, now, said
        self._calendar = Calendar(settings.timezone)

    def due(self, *, live_only: bool, now: int | None = None) -> list[date]:
        """The days to be sealed at `now` (ms; None: by the clock), in order: since the first live record, or the first
        of all.

        No clock may seal a day that is half imported, so what runs by the clock asks for `live_only`."""
        settings = self._settings
        with Client(settings.clickhouse) as client:
            check_timezone(client, settings.timezone)
            first = first_live_day(client) if live_only else first_day(client, self._calendar, settings.seal_at)
            if first is not None:
                # Days before it are empty for every reader; a record with the time of an age ago makes none.
                first = max(first, settings.first_day)
            at = self._now() if now is None else now
            return due_days(first, sealed_days(client), self._calendar, settings.seal_at, at)

    def seal_due(self, *, live_only: bool) -> Iterator[Seal]:
        """Seal all days that are due, in order; each as soon as it is published."""
        with Client(self._settings.clickhouse) as client:  # before the wait: no wait mends it
            check_timezone(client, self._settings.timezone)
        with lock(self._settings, self._now, self._said):
            # Which days have data is known only when all that was sent is consumed; what has been consumed up to the
            # last cut-off has been up to those before it. A cut-off that passes during the wait was not waited for.
            now = self._now()
            reached = self._await_consumed(last_cut_off(self._calendar, self._settings.seal_at, now), "seal")
            for day in self.due(live_only=live_only, now=now):
                yield self._seal(day, reached)

    def seal(self, day: date) -> Seal:
        """Seal this day; where it is sealed, its seal as it is. Raises BadUsage before its cut-off, and for a day
        that no view shows."""
        see_that_it_is_shown(day, self._settings.first_day)
        see_that_it_is_over(day, self._calendar, self._settings.seal_at, self._now())
        with lock(self._settings, self._now, self._said):
            return self._seal(day)

    def _seal(self, day: date, reached: Reached | None = None) -> Seal:
        settings = self._settings
        meant = day_to_seal(day, self._calendar, settings.seal_at, settings.room_idle)
        with connection(settings) as client, connection(settings) as second:
            check_timezone(client, settings.timezone)
            if there := published(client, day):
                return there
            reached = reached or self._await_consumed(meant.cut_off, str(day))
            client.close()  # it may have been lost in the wait, when nothing was built on it yet
            say_stale(client, self._said)
            meant = replace(meant, imported=imported_below(reached))
            for attempt in range(ATTEMPTS):
                if seal := self._attempt(client, second, meant, reached, holds=attempt > 0):
                    return seal
        raise SealFailed(
            f"rooms of {day} got into other days' seals each of the {ATTEMPTS} times that the day was built. Nothing "
            "was published; seal again when no other seal is under way"
        )

    def _await_consumed(self, cut_off: int, who: str) -> Reached:
        settings = self._settings
        return await_consumed(settings.kafka, cut_off, settings.seal_wait, lambda words: self._said(f"{who}: {words}"))

    def _attempt(self, client: Client, second: Client, day: Day, reached: Reached, *, holds: bool) -> Seal | None:
        """Build the day and publish it; None if what it was built from changed meanwhile."""
        with stage(client, day.day, holds=holds) as aside:
            left_out = fill(client, second, aside, day, self._said, revision=1)
            self._said(f"{day.day}: checking")
            failure = failure_of(client, aside, day)
            late = disturbed(client, aside, day)
            if late:
                self._said(f"{day.day}: {late} of its rooms heard of something late meanwhile; once more")
                return None
            if failure:
                raise failure
            seal = summarize(client, aside, day, revision=1)
            self._said(f"{day.day}: publishing")
            # Somebody who did not see our lock may have been quicker: what is published stays.
            if there := published(client, day.day):
                return there
            if others := taken(client, aside, day):
                self._said(f"{day.day}: another day's seal has {others} of its rooms by now; once more without them")
                return None
            publish(client, aside, day, seal, reached, left_out, self._now())
            return seal


def say_stale(client: Client, said: Said) -> None:
    """Drop what killed seals left behind, and say so."""
    for name in drop_stale(client):
        said(f"{name} was left by a seal that was killed: dropped")


def fill(
    client: Client, second: Client, aside: Stage, day: Day, said: Said, *, revision: int, stay_elsewhere: bool = True
) -> list[str]:
    """Build the day in the stage: which rooms, then their figures; the bots left out, as `site:bot`.

    `stay_elsewhere`: without the rooms that another day's published seal has.
    """
    said(f"{day.day}: looking which rooms are in")
    mark_rooms(client, aside, day, stay_elsewhere=stay_elsewhere)
    refold(client, second, aside, day, lambda done: said(f"{day.day}: {done:,} rooms folded anew"))
    settle(client, aside)
    said(f"{day.day}: building")
    left_out = leave_bots_out(client, aside, day)
    build(client, aside, day, revision=revision)
    return left_out


def failure_of(client: Client, aside: Stage, day: Day) -> SealFailed | None:
    """What is wrong with the stage; said only when nothing late explains it."""
    try:
        check(client, aside, day)
    except SealFailed as failure:
        return failure
    return None
