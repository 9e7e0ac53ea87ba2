"""Sealed days beside their events: equal as they were sealed, and whatever was changed is named."""

from collections.abc import Iterator
from datetime import date, timedelta

import pytest

from journey.errors import NoData, NotSealed
from journey.events import TOPIC_IMPORT, Event, RoomKey
from seal.verify import Verified, verify
from settings import Settings
from sql import read
from sql.client import Client
from tests.integration.seal.late import Scene, played
from tests.integration.seal.scene import FAR, SEOUL, rows_of
from tests.integration.seal.truth import record
from tests.unit.histories import HOUR


@pytest.fixture
def scene(consumed: Settings, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with Client(consumed.clickhouse) as client:
        yield played(consumed, client, request.param, monkeypatch)


def verified(scene: Scene, day: date) -> Verified:
    return verify(scene.settings, day, FAR, lambda words: None)


def import_a_room(scene: Scene, day: date, room_id: str) -> None:
    """A room of that day, closed on it; the import gives it the times of the day."""
    place, at = (TOPIC_IMPORT, 7), SEOUL.midnight(day) + HOUR
    records = scene.log.records[place]
    turn = Event("turn", 1, at, "w", "customer 1", dialog="A", input_kind="none")
    close = Event("room_closed", 2, at + 1000, "w", "customer 1", closed_by="customer")
    for event in (turn, close):
        records.append(record(len(records), event.occurred_at, RoomKey("s", room_id), event))
    scene.consumer._poll(place, len(records))


@pytest.mark.parametrize("scene", ["54"], indirect=True)
def test_a_day_is_what_its_events_say_whatever_came_later(scene: Scene) -> None:
    second = scene.days[1]
    import_a_room(scene, second, "imported late")
    assert "imported_late" in {row["reason"] for row in read.late_rooms(scene.client).dicts()}
    for day in scene.days:
        found = verified(scene, day)
        assert not found.differences
        truth = scene.sealed[day]
        assert (found.revision, found.moves) == (1, sum(edge[-2] for edge in truth.edges))
        assert found.rooms == len({(room[0], room[2]) for room in truth.rooms})
    # with all of it: those days resealed, and the rooms that they gave to each other
    assert second in scene.reseal(second)
    assert scene.client.rows("SELECT count() FROM daily WHERE room_id = 'imported late'") == [(1,)]
    for day in scene.days:
        assert not verified(scene, day).differences
    with pytest.raises(NotSealed):
        verified(scene, date(2026, 3, 20))


@pytest.mark.parametrize("scene", ["49"], indirect=True)
def test_what_was_changed_is_named(scene: Scene) -> None:
    client, (_, second, _) = scene.client, scene.days
    room, customer = (
        row[0]
        for row in client.rows(
            "SELECT DISTINCT room_id FROM daily WHERE kind = 'room' AND day = {d:Date} LIMIT 2", {"d": second}
        )
    )
    of_day = f"day = '{second}' AND kind"
    client.run(
        "ALTER TABLE daily "
        f"DELETE WHERE {of_day} = 'room' AND room_id = '{room}', "
        f"UPDATE customer = 1, ended_at = ended_at + 1 WHERE {of_day} = 'room' AND room_id = '{customer}', "
        f"UPDATE moves = moves + 1 WHERE {of_day} = 'edge' AND step = 0, "
        f"UPDATE dialog = 'other' WHERE {of_day} = 'node' AND step = 1 AND number = 1 SETTINGS mutations_sync = 2"
    )
    found = verified(scene, second).differences
    assert {one.what for one in found} == {"edge", "node", "room", "customer", "checksum"}
    assert [one.recomputed for one in found if one.name == room] == ["is in"]
    assert {one.name for one in found if one.what == "customer"} == {f"{customer}: customer"}
    assert f"{customer}: ended_at" in {one.name for one in found}
    edges = {one.name: (one.published, one.recomputed) for one in found if one.what == "edge"}
    starts = client.rows(f"SELECT count() FROM daily WHERE {of_day} = 'edge' AND step = 0")
    assert len(edges) == starts[0][0]
    assert "1 other" in {one.name for one in found if one.what == "node"}


@pytest.mark.parametrize("scene", ["49"], indirect=True)
def test_sealed_days_stay_when_the_events_expire(scene: Scene) -> None:
    """The tables emptied, as their time to live does it: what was sealed reads the same, and is refused a new look."""
    client, (first, second, third) = scene.client, scene.days
    bots = client.rows("SELECT DISTINCT site_id, bot_id FROM daily WHERE kind = 'edge'")
    whole = rows_of(client)

    def answers() -> list[object]:
        asked = (read.journey_table, read.journey_nodes, read.journey_edges, read.journey_totals, read.sankey_links)
        return [ask(client, site, bot, first, third).rows for ask in asked for site, bot in bots]

    before, late = answers(), read.late_rooms(client).rows
    assert late
    assert all(before)
    # a part of them first: what it makes of the rest is no finding
    client.run("ALTER TABLE turns DROP PARTITION {day:String}", {"day": str(second)})
    assert verified(scene, second).differences
    scene.settings = scene.settings.model_copy(update={"keep_events": timedelta(days=90)})
    with pytest.raises(NoData, match=f"{second} cannot be verified any more.* kept for 90 days"):
        verified(scene, second)
    for table in ("turns", "moves", "rooms"):
        client.run(f"TRUNCATE TABLE {table}")
    assert answers() == before
    assert rows_of(client) == whole
    assert read.late_rooms(client).rows == []
    gone = rf"{second} cannot be recomputed.*has nothing any more.*{first - timedelta(days=1)} to {third}"
    with pytest.raises(NoData, match=gone):
        verified(scene, second)
    with pytest.raises(NoData, match=gone):
        scene.reseal(second)
