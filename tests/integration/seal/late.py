"""Three days sealed as of their cut-offs, then all that came too late; and what is true of them now, counted anew."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from msgspec.structs import astuple

from journey.events import RoomKey
from journey.fold import fold
from seal.reseal import Resealer
from settings import Settings
from sql.client import Client
from sql.sink import Sink
from tests.integration.seal.scene import CUSTOMERS, FAR, made, sealer
from tests.integration.seal.truth import (
    IDLE,
    SEAL_AT,
    Consumer,
    RandomLog,
    Truth,
    count,
    out_of_use,
    published,
    random_bots,
    received,
    rooms_of,
)

WHY = "the shop sent its evening again"


@dataclass
class Scene:
    """Three days sealed one after the other as of their cut-offs; then all the rest came."""

    settings: Settings
    client: Client
    log: RandomLog
    consumer: Consumer
    days: list[date]
    bots: list[tuple[Any, ...]]
    sealed: dict[date, Truth]
    rooms: dict[date, dict[RoomKey, Any]]

    def truth(self, day: date) -> Truth:
        """What is true of the day now."""
        return count(self.log, day, self.out_on(day), set(), FAR)

    def out_on(self, day: date) -> set[tuple[str, str]]:
        """The bots out of use when the day was cut off."""
        return out_of_use(self.bots, self.log.calendar.cut_off(day, SEAL_AT))

    def drawn_in(self, day: date) -> set[date]:
        """The sealed days that share rooms with the day, as published and as they are now, and theirs, and so on."""
        now = {
            key: self.log.calendar.day(folded.room.ended_at)
            for key, entries in received(self.log, FAR).items()
            if (folded := fold(entries, IDLE, FAR)) and folded.room.ended_at is not None
        }
        then = {RoomKey(room[0], room[2]): one for one, truth in self.sealed.items() for room in truth.rooms}
        found = {day}
        while more := {
            one
            for key in now
            for pair in [{now[key], then.get(key)}]
            if pair & found and key in then
            for one in pair
            if one in self.sealed and one not in found
        }:
            found |= more
        return found

    def late(self) -> set[tuple[date, str, str]]:
        """Day, site and room wherever a sealed day has not what it would have of the room now."""
        found = set()
        for day, then in self.rooms.items():
            now = rooms_of(self.log, day, self.out_on(day), set(), FAR)
            found |= {(day, *astuple(key)) for key in then.keys() | now.keys() if then.get(key) != now.get(key)}
        return found

    def reseal(self, day: date) -> list[date]:
        return [seal.day for seal in Resealer(self.settings, lambda: FAR, lambda words: None).reseal(day, WHY)]


def played(settings: Settings, client: Client, seed: str, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The scene of a random log. Its records go by no broker: what was reached there is what was consumed here."""
    log, consumer = made(client, seed, rooms=60, late=0.2)
    bots = random_bots(log.rng, log)
    Sink(client).bots(bots)
    days = log.days[:3]
    scene = Scene(settings, client, log, consumer, days, bots, {}, {})
    for name in ("seal.run.await_consumed", "seal.reseal.await_consumed"):
        monkeypatch.setattr(name, lambda *_: [(*place, offset) for place, offset in consumer.position.items()])
    for day in days:
        cut_off = log.calendar.cut_off(day, SEAL_AT)
        consumer.consume(cut_off)
        elsewhere = {key for rooms in scene.rooms.values() for key in rooms}
        scene.rooms[day] = rooms_of(log, day, scene.out_on(day), elsewhere, cut_off)
        sealer(settings, cut_off).seal(day)
        scene.sealed[day] = published(client, day, CUSTOMERS)
    consumer.consume(FAR)
    consumer.fall_silent()
    return scene
