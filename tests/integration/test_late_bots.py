"""Changes of bots that are heard of after the seals that they are about: which rooms are late, what a reseal makes."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest

from journey.events import RoomKey
from settings import Settings
from sql import read
from sql.client import Client
from sql.sink import Sink
from tests.conftest import lent
from tests.databases import Databases
from tests.integration.seal.late import Scene, played
from tests.integration.seal.scene import CUSTOMERS, FAR, same, sealer
from tests.integration.seal.truth import SEAL_AT, published, received, rooms_of
from tests.unit.histories import BOTS


@pytest.fixture
def settings(redis_url: str, databases: Databases) -> Iterator[Settings]:
    """All parts but the broker; times to live longer than these days are old."""
    settings = Settings(kafka="127.0.0.1:1", redis=redis_url, keep_events=timedelta(days=18_000))
    with lent(databases, redis_url, settings) as url:
        yield settings.model_copy(update={"clickhouse": url})


def seal_the_rest(scene: Scene) -> None:
    """All days on which a room has ended: one that has left for a day that is not sealed cannot be resealed."""
    ended = scene.client.rows("SELECT DISTINCT toDate(assumeNotNull(ended_at), 'Asia/Seoul') FROM rooms FINAL")
    for day in sorted({day for (day,) in ended} - scene.rooms.keys()):
        elsewhere = {key for rooms in scene.rooms.values() for key in rooms}
        cut_off = scene.log.calendar.cut_off(day, SEAL_AT)
        scene.rooms[day] = rooms_of(scene.log, day, scene.out_on(day), elsewhere, cut_off)
        sealer(scene.settings).seal(day)


def turn(scene: Scene, day: date, in_use: bool, bots: set[tuple[str, str]]) -> None:
    """In the last moment before the day's cut-off they were turned on or off; it is heard of only now."""
    at = scene.log.calendar.cut_off(day, SEAL_AT)
    rows: list[tuple[Any, ...]] = [
        (*bot, "name", in_use, "", "", at, FAR, 1, len(scene.bots) + n) for n, bot in enumerate(sorted(bots))
    ]
    scene.bots += rows
    Sink(scene.client).bots(rows)


def heard_of_nothing_later(scene: Scene, day: date, site: str, room: str) -> bool:
    """Was all of the room known at the day's cut-off? (Imports, `r2-`, have the times that they are given.)"""
    entries = received(scene.log, FAR)[RoomKey(site, room)]
    return not room.startswith("r2-") and max(e.received_at for e in entries) <= scene.log.calendar.cut_off(
        day, SEAL_AT
    )


def late(client: Client) -> dict[tuple[date, str, str], str]:
    return {(row["day"], row["site_id"], row["room_id"]): row["reason"] for row in read.late_rooms(client).dicts()}


@pytest.mark.long
@pytest.mark.parametrize("seed", ["12", "44"])
def test_rooms_of_bots_whose_change_came_late_are_late(
    seed: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(settings.clickhouse) as client:
        scene = played(settings, client, seed, monkeypatch)
        seal_the_rest(scene)
        before = late(client)
        assert before.keys() == scene.late()
        first, second = scene.days[:2]
        turn(scene, first, True, scene.out_on(first))
        turn(scene, second, False, {(site, bot) for site in scene.log.sites for bot in BOTS[:1]} - scene.out_on(second))
        now = late(client)
        assert now.keys() == scene.late()
        alone = {room for room in now.keys() - before.keys() if heard_of_nothing_later(scene, *room)}
        assert {day for day, _, _ in alone} >= {first, second}
        assert len(alone) > 5
        assert {now[room] for room in alone} == {"changed_late"}
        while rest := late(client):
            assert scene.reseal(min(rest)[0])
        for day in scene.rooms:
            same(published(client, day, CUSTOMERS), scene.truth(day))
        assert late(client) == {}
