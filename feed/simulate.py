"""The events of a made-up shop, the same for the same seed: whole past days, or live ones without end.

No clock is read here: times come in, and go out with the events. Sending is `feed.send`'s.
"""

import heapq
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from itertools import count
from random import Random
from statistics import mean
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from feed.scenario import SHOP, Bot
from feed.walk import Customer, Step, walk
from journey.calendar import Calendar

#: When it is to be sent (ms), and the event as it is on the wire.
Timed = tuple[int, dict[str, Any]]

#: How many of a day's rooms open in each hour: people sleep, and shop in the evening.
_RHYTHM = (8, 4, 2, 1, 1, 2, 6, 14, 26, 40, 48, 50, 46, 48, 50, 48, 46, 44, 46, 52, 60, 62, 48, 22)
_HOUR = 3_600_000
_REGULARS = 300
_LIVE_PACE = 0.35


class Faults(Struct, frozen=True):
    """What goes wrong on the way, as shares of the events: sent twice, overtaken (by up to 25 s), never sent."""

    duplicates: float = 0
    disorder: float = 0
    gaps: float = 0


class Shop(Struct, frozen=True):
    """Whose customers come: its site id, its bots (the first so many of five), the seed of all that is random."""

    seed: int = 1
    site_id: str = "shop"
    bots: int = len(SHOP)
    zone: str = "Asia/Seoul"

    @property
    def scenario(self) -> tuple[Bot, ...]:
        return SHOP[: self.bots]


class _Room(Struct, frozen=True):
    room_id: str
    customer: Customer
    bot: Bot
    opened_at: int
    steps: list[Step]


def bot_changes(shop: Shop) -> list[dict[str, Any]]:
    """What to tell `chatbot.bots`: all bots, known since 2021; one of them has been switched out of use since."""
    since = "2021-06-01T00:00:00+09:00"
    known = [(bot, True, since) for bot in shop.scenario]
    gone = [(bot, False, "2026-04-01T00:00:00+09:00") for bot in shop.scenario if not bot.in_use]
    return [
        {
            "site_id": shop.site_id,
            "bot_id": bot.bot_id,
            "name": bot.name,
            "in_use": in_use,
            "category": bot.category,
            "occurred_at": at,
        }
        for bot, in_use, at in known + gone
    ]


def history(
    shop: Shop, first_day: date, days: int, *, rooms_a_day: int, until: int, faults: Faults | None = None
) -> Iterator[Timed]:
    """The events of `days` whole local days, in the order in which they were sent.

    Rooms go on over midnight, also over the last; what would happen at `until` (ms) or later is left out. A day's rooms
    are the same whatever the other days, so that days sent twice bring nothing new.
    """
    calendar = Calendar(shop.zone)
    rooms = (
        room
        for number in range(days)
        for room in _rooms_of(shop, calendar, first_day + timedelta(days=number), rooms_a_day)
    )
    for at, event in _woven(shop, rooms, faults or Faults()):
        if at < until:
            yield at, event


def live(shop: Shop, start: int, rate: float, faults: Faults | None = None) -> Iterator[Timed]:
    """Events without end from `start` (ms), on the average `rate` a second once the first rooms are over.

    People are quicker here than in life: a room is over within a minute or so. Its id holds `start`: two runs never
    meet in a room.
    """
    return _woven(shop, _live_rooms(shop, start, rate), faults or Faults())


def _rooms_of(shop: Shop, calendar: Calendar, day: date, rooms: int) -> list[_Room]:
    """A day's rooms in the order in which they open."""
    midnight, length = calendar.midnight(day), calendar.midnight(day + timedelta(days=1)) - calendar.midnight(day)
    out = []
    for number in range(rooms):
        rng = Random(f"{shop.seed}/{shop.bots}/{day}/{number}")
        hour = rng.choices(range(24), _RHYTHM)[0]
        opened_at = midnight + (hour * _HOUR + rng.randrange(_HOUR)) * length // (24 * _HOUR)
        out.append(_room(shop, rng, f"{day:%Y%m%d}-{shop.seed}-{shop.bots}-{number:05}", opened_at, pace=1))
    return sorted(out, key=lambda room: room.opened_at)


def _live_rooms(shop: Shop, start: int, rate: float) -> Iterator[_Room]:
    rng = Random(f"{shop.seed}/{shop.bots}/live")
    per_ms = rate / _events_a_room(shop) / 1000
    at = float(start)
    for number in count():
        yield _room(shop, rng, f"live-{start:x}-{shop.seed}-{number:06}", int(at), pace=_LIVE_PACE)
        at += rng.expovariate(per_ms)


def _events_a_room(shop: Shop) -> float:
    rng = Random("how many events has a room?")
    return mean(len(_room(shop, rng, "", 0, pace=_LIVE_PACE).steps) for _ in range(400))


def _room(shop: Shop, rng: Random, room_id: str, opened_at: int, *, pace: float) -> _Room:
    bots = shop.scenario
    bot = rng.choices(bots, [bot.weight for bot in bots])[0]
    regular = rng.random() < 0.5
    customer = Customer(f"c{rng.randrange(_REGULARS):04}" if regular else f"new-{room_id}", pace)
    steps = walk(rng, {b.bot_id: b for b in bots}, bot, customer, opened_at)
    return _Room(room_id, customer, bot, opened_at, steps)


def _woven(shop: Shop, rooms: Iterable[_Room], faults: Faults) -> Iterator[Timed]:
    """The events of all rooms by the time at which they are sent; holds only the rooms that are open at a time."""
    zone, rng = ZoneInfo(shop.zone), Random(f"{shop.seed}/faults")
    waiting: list[tuple[int, int, dict[str, Any]]] = []
    numbers = count()
    for room in rooms:
        while waiting and waiting[0][0] < room.opened_at:
            yield _first(waiting)
        for at, event in _wire(shop, zone, room):
            for sent_at in _sendings(rng, at, faults):
                heapq.heappush(waiting, (sent_at, next(numbers), event))
    while waiting:
        yield _first(waiting)


def _first(waiting: list[tuple[int, int, dict[str, Any]]]) -> Timed:
    at, _, event = heapq.heappop(waiting)
    return at, event


def _wire(shop: Shop, zone: ZoneInfo, room: _Room) -> Iterator[Timed]:
    for at, event in room.steps:
        occurred_at = datetime.fromtimestamp(at / 1000, zone).isoformat(timespec="milliseconds")
        named = {"site_id": shop.site_id, "room_id": room.room_id, "customer_id": room.customer.customer_id}
        yield at, {**named, **event, "occurred_at": occurred_at}


def _sendings(rng: Random, at: int, faults: Faults) -> list[int]:
    """When an event is sent: once, on time, unless something goes wrong."""
    chance = rng.random()
    if chance < faults.gaps:
        return []
    if chance < faults.gaps + faults.disorder:
        return [at + rng.randint(1_000, 25_000)]
    if chance < faults.gaps + faults.disorder + faults.duplicates:
        return [at, at + rng.randint(0, 40_000)]
    return [at]
