"""The next revision of a sealed day, with what came too late for the one before.

A room is in one day's published seal at most. So where a room leaves a day for another one, or joins it from there,
that other day is resealed as well, and whatever days are drawn in by its rooms: each whole, as of one moment. All are
built and checked before the first is published.

They are published one after the other, each after those that its rooms drew in, the day that was asked for last. So
if a reseal is killed in the middle, all days that are still to be published are found again from the day asked for, by
the same rooms: the same command, given again, ends well. Until then, and for the moment between two publications, a
room that changes its day is in both of them or in neither; each day by itself is whole, old or new.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date

from journey.calendar import Calendar
from journey.errors import BadUsage, NotSealed
from seal.check import check
from seal.day import Day, day_to_seal
from seal.gate import Reached, await_consumed
from seal.history import keep
from seal.kept import see_that_turns_are_there, see_that_what_changed_came_late
from seal.lock import lock
from seal.membership import elsewhere
from seal.publish import Seal, bots_left_out, publish, published, summarize, summary
from seal.run import Now, Said, fill, say_stale
from seal.stage import Stage, connection, stage
from seal.turns import Known, fold_turns, imported_below
from settings import Settings
from sql.client import Client
from sql.timezone import check_timezone


@dataclass(frozen=True, slots=True)
class Built:
    """A day built anew beside its published revision `before`; `seal`: what it will be, `differs`: if it is other."""

    day: Day
    stage: Stage
    left_out: list[str]
    before: Seal
    seal: Seal
    differs: bool


class Resealer:
    """Reseals days, under the seal's lock. `now`: the clock, in ms; `said`: told what is being done, in a few words."""

    def __init__(self, settings: Settings, now: Now, said: Said) -> None:
        self._settings, self._now, self._said = settings, now, said
        self._calendar = Calendar(settings.timezone)

    def reseal(self, day: date, reason: str) -> list[Seal]:
        """Publish the next revision of the day, and of those that its rooms leave or join; the seals that are new.

        None is new where nothing came late. Raises NotSealed where the day has no seal, or its rooms leave for one that
        is due; NoData where the events of its rooms have expired; BadUsage, SealFailed (nothing was published), Busy,
        and what seal.run.Sealer raises.
        """
        if not reason.strip():
            raise BadUsage("say why the day is resealed: --reason '…' is kept with the new revision")
        settings = self._settings
        with connection(settings) as client, connection(settings) as second:
            check_timezone(client, settings.timezone)
            with lock(settings, self._now, self._said):
                return self._reseal(client, second, day, reason.strip())

    def _reseal(self, client: Client, second: Client, day: date, reason: str) -> list[Seal]:
        as_of = self._now()
        self._before(client, day, Known(as_of))
        said = self._said
        reached = await_consumed(self._settings.kafka, as_of, self._settings.seal_wait, lambda w: said(f"{day}: {w}"))
        client.close()  # it may have been lost in the wait, when nothing was built on it yet
        say_stale(client, said)
        known = Known(as_of, imported_below(reached))
        with ExitStack() as stages:
            built = self._build_all(client, second, day, known, reason, stages)
            self._see_that_they_are_sound(client, built)
            return self._publish_all(client, built, reached)

    def _before(self, client: Client, day: date, known: Known) -> Seal:
        """The published seal of a day that can be resealed with what is known now."""
        there = published(client, day)
        if there is None:
            raise NotSealed(f"{day} is not sealed, so there is nothing to reseal: `turnpath seal --day {day}` seals it")
        if there.as_of > known.as_of:
            raise BadUsage(
                f"revision {there.revision} of {day} is as of later than this machine's clock: set the clock"
            )
        see_that_turns_are_there(client, self._meant(day, known), self._settings.keep_events, known.as_of)
        return there

    def _meant(self, day: date, known: Known) -> Day:
        settings = self._settings
        meant = day_to_seal(day, self._calendar, settings.seal_at, settings.room_idle)
        return replace(meant, cut_off=known.as_of, imported=known.imported)

    def _build_all(
        self, client: Client, second: Client, first: date, known: Known, reason: str, stages: ExitStack
    ) -> list[Built]:
        """The day and all that its rooms draw in, each after the one that drew it in."""
        found, built = [first], list[Built]()
        for day in found:  # grows on the way
            because = reason if day == first else f"{reason} (with {first})"
            built.append(self._build(client, second, day, known, because, stages))
            drawn_in = sorted(set(self._drawn_in(client, built[-1])) - set(found))
            if drawn_in:
                self._said(f"{day}: its rooms leave or join {', '.join(map(str, drawn_in))}, resealed with it")
            found += drawn_in
        return built

    def _build(self, client: Client, second: Client, day: date, known: Known, reason: str, stages: ExitStack) -> Built:
        before = self._before(client, day, known)
        meant = replace(self._meant(day, known), in_use_at=before.in_use_at)
        aside = stages.enter_context(stage(client, day, holds=True))
        revision = before.revision + 1
        left_out = fill(client, second, aside, meant, self._said, revision=revision, stay_elsewhere=False)
        seal = summarize(client, aside, meant, revision, reason)
        differs = summary(client, "daily", day)[3] != summary(client, aside.daily, day)[3]
        return Built(meant, aside, left_out, before, seal, differs)

    def _drawn_in(self, client: Client, built: Built) -> Iterator[date]:
        """The published days that have rooms of this day now, and those where rooms that it had are now."""
        came_from = client.rows(f"SELECT DISTINCT day {elsewhere(built.stage)}", built.day.parameters())
        yield from (day for (day,) in came_from)
        gone = (
            "(site_id, room) IN (SELECT site_id, room FROM daily WHERE kind = 'room' AND day = {day:Date} "
            f"AND room NOT IN (SELECT room FROM {built.stage.rooms}))"
        )
        meant = built.day
        went = set[date]()
        for room in fold_turns(client, gone, {"day": meant.day}, meant.known, meant.idle, meant.cut_off):
            if room.folded.room.ended_at is not None:
                went.add(self._calendar.day(room.folded.room.ended_at))
        for day in sorted(went):
            if published(client, day):
                yield day
            else:
                self._see_that_it_is_to_come(day, built.day)

    def _see_that_it_is_to_come(self, day: date, left: Day) -> None:
        """A room that leaves for a day that is due may be in no seal: what it left by may be later than that day's
        cut-off. Days before the first one have no seal, and no reader."""
        settings = self._settings
        is_over = self._calendar.cut_off(day, settings.seal_at) <= left.cut_off
        if is_over and day >= settings.first_day:
            raise NotSealed(
                f"rooms of {left.day} ended on {day} by what is known now, and {day} is not sealed: seal it first "
                f"(`turnpath seal --day {day}`), then reseal {left.day}"
            )

    def _see_that_they_are_sound(self, client: Client, built: list[Built]) -> None:
        """Raises what is wrong with one of them."""
        for one in built:
            check(client, one.stage, one.day)
        for one in built:
            bots_changed = sorted(set(one.left_out) ^ set(bots_left_out(client, one.day.day)))
            see_that_what_changed_came_late(
                client, one.stage, one.day, bots_changed, self._settings.keep_events, one.day.cut_off
            )

    def _publish_all(self, client: Client, built: list[Built], reached: Reached) -> list[Seal]:
        sealed_at = self._now()
        new = [one for one in reversed(built) if one.differs]
        for one in new:
            keep(client, one.day.day, one.before.revision)
            self._said(f"{one.day.day}: publishing revision {one.seal.revision}")
            publish(client, one.stage, one.day, one.seal, reached, one.left_out, sealed_at)
        return sorted((one.seal for one in new), key=lambda seal: seal.day)
