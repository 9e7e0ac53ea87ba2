"""The views about seals, late rooms and bots; and what is said where something is not there."""

import random
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from journey.events import TOPIC_IMPORT
from sql import read
from sql.client import Client
from sql.sink import BOTS, ROOMS
from tests.integration.made_rooms import (
    SEOUL,
    SITE,
    Made,
    MadeRoom,
    database,
    insert_daily,
    insert_moves,
    insert_rows,
    made_rooms,
    room_row,
    sealed,
)

DAY = date(2026, 10, 5)
AS_OF = SEOUL.cut_off(DAY, time(0, 40))
LATER = AS_OF + 1


@pytest.fixture
def client(clickhouse_address: str, tmp_path: Path) -> Iterator[Client]:
    with database(clickhouse_address, tmp_path) as client:
        yield client


def ended_on_the_day(count: int) -> list[MadeRoom]:
    """Rooms of bot x alone that ended on DAY and were known before its cut-off."""
    made = made_rooms(random.Random(1), DAY - timedelta(days=1), 2, 400)
    rooms = [
        room
        for room in made.ended([DAY])
        if {row.bot_id for row in room.rows} == {"x"} and room.room.last_received_at <= AS_OF
    ]
    assert len(rooms) >= count
    return rooms[:count]


def stand(client: Client, published: list[MadeRoom], now: list[MadeRoom], **seal: Any) -> None:
    """The day is sealed with `published`; `moves` and `rooms` have what is known now."""
    rows = list(sealed(Made(published), DAY, random.Random(1)))
    # `daily` knows rooms by the hash that `rooms` gives them
    hashes = (
        "SELECT room_id, reinterpretAsUInt128(sipHash128({site:String}, room_id)) FROM (SELECT {id:String} AS room_id)"
    )
    known = dict(row for room in published for row in client.rows(hashes, {"site": SITE, "id": room.room_id}))
    for row in rows:
        if row.get("room_id"):
            row["room"] = int(known[row["room_id"]])
    rows[0] |= seal
    insert_daily(client, rows)
    insert_moves(client, Made(now), random.Random(2))
    insert_rows(client, "rooms", ROOMS, [room_row(room, 4) for room in now])


def heard_later(made: MadeRoom, **changes: Any) -> MadeRoom:
    """The room with a last event received after the cut-off; its rows as they were."""
    room = copy(made.room)
    for name, value in {"last_received_at": LATER, **changes}.items():
        setattr(room, name, value)
    return replace(made, room=room)


def reasons(client: Client) -> dict[str, str]:
    return {row["room_id"]: row["reason"] for row in read.late_rooms(client).dicts()}


def test_nothing_is_late_where_all_is_published(client: Client) -> None:
    rooms = ended_on_the_day(5)
    stand(client, rooms, rooms)
    assert reasons(client) == {}


def test_late_rooms_by_reason(client: Client) -> None:
    same, late, changed, fewer, imported, seen = ended_on_the_day(6)
    ended_at = changed.room.ended_at
    assert ended_at is not None
    changed_now = heard_later(changed, ended_at=ended_at + 1)
    fewer_now = replace(heard_later(fewer), rows=fewer.rows[:-1])  # a late event that only takes rows back
    now = [
        same,
        heard_later(late),
        changed_now,
        fewer_now,
        replace(imported, topic=TOPIC_IMPORT),
        heard_later(seen),  # an event after its close: kept as late, and nothing changed
    ]
    client.insert(
        "turns",
        {
            "site_id": [SITE],
            "room_id": [imported.room_id],
            "topic": [TOPIC_IMPORT],
            "offset": [7],
            "received_at": [imported.room.last_at],
        },
    )
    stand(client, [same, changed, fewer, seen], now)
    assert reasons(client) == {
        late.room_id: "closed_late",
        changed.room_id: "changed_late",
        fewer.room_id: "changed_late",
        imported.room_id: "imported_late",
    }
    (row,) = [r for r in read.late_rooms(client).dicts() if r["room_id"] == late.room_id]
    assert (row["day"], row["site_id"], row["bot_id"]) == (DAY, SITE, "x")
    assert row["received_at"] == datetime.fromtimestamp(LATER // 1000, UTC).replace(microsecond=LATER % 1000 * 1000)
    (seal,) = read.seals(client).dicts()
    assert seal["late_rooms"] == 4


def test_rooms_of_bots_left_out_and_of_days_not_sealed_are_not_late(client: Client) -> None:
    (room,) = ended_on_the_day(1)
    stand(client, [], [heard_later(room)])
    assert reasons(client) == {room.room_id: "closed_late"}
    off = (SITE, "x", "X", False, "", "", AS_OF, AS_OF, 0, 1)
    on_again = (SITE, "x", "X", True, "", "", AS_OF + 1, AS_OF + 1, 0, 2)
    insert_rows(client, "bots", BOTS, [off, on_again])
    assert reasons(client) == {}
    client.run("ALTER TABLE daily DROP PARTITION {day:String}", {"day": DAY.isoformat()})
    assert reasons(client) == {}


def test_seals_of_every_revision(client: Client) -> None:
    (room,) = ended_on_the_day(1)
    stand(client, [room], [room], revision=2, checksum="new", bots_left_out=["shop:z"], moves=7)
    insert_daily(client, [{"day": DAY, "revision": 1, "checksum": "old", "as_of": AS_OF}], "daily_history")
    first, second = read.seals(client).dicts()
    assert (first["revision"], first["checksum"]) == (1, "old")
    assert (second["revision"], second["checksum"], second["bots_left_out"]) == (2, "new", ["shop:z"])
    assert (second["rooms"], second["moves"], second["late_rooms"]) == (1, 7, 0)
    assert second["as_of"] == datetime.fromtimestamp(AS_OF / 1000, UTC)


def test_bots_by_changes_and_by_traffic(client: Client) -> None:
    made = made_rooms(random.Random(4), DAY, 2, 40)
    insert_moves(client, made, random.Random(4))
    days = {SEOUL.day(row.occurred_at) for _, row in made.rows("x")}
    change = (SITE, "x", "Old", True, "web", "help", 1000, 1000, 0, 1)
    newest = (SITE, "x", "쇼핑 봇", False, "app", "buy", 3000, 2000, 0, 0)
    insert_rows(client, "bots", BOTS, [change, newest, (SITE, "w", "Quiet", True, "", "", 5, 5, 0, 2)])
    quiet, x, y = read.bots_list(client).rows
    assert quiet == (SITE, "w", "Quiet", "", "", True, None, None)
    assert x == (SITE, "x", "쇼핑 봇", "app", "buy", False, min(days), max(days))
    assert y[:6] == (SITE, "y", "", "", "", True)


def test_days_of_a_bot_whose_moves_have_expired_are_its_sealed_ones(client: Client) -> None:
    rooms = made_rooms(random.Random(4), DAY, 2, 40)
    insert_moves(client, rooms, random.Random(4))
    live = {SEOUL.day(row.occurred_at) for _, row in rooms.rows("x")}
    old = DAY - timedelta(days=100)
    node = {"kind": "node", "site_id": SITE, "bot_id": "x", "number": 1, "step": 1, "dialog": "A", "moves": 1}
    insert_daily(client, [{"day": old}, {"day": old, **node}, {"day": old, **node, "bot_id": "gone"}])
    days = {bot_id: (first, last) for _, bot_id, _, _, _, _, first, last in read.bots_list(client).rows}
    assert days["gone"] == (old, old)
    assert days["x"] == (old, max(live))


def test_the_nearest_that_is_there(client: Client) -> None:
    assert "Nothing has been received yet" in read.nearest(client, SITE, "x")
    made = made_rooms(random.Random(4), DAY, 4, 40)
    insert_moves(client, made, random.Random(4))
    assert read.nearest(client, "shpo", "x") == "There is no site 'shpo'; there is shop"
    assert read.nearest(client, SITE, "Z") == "Site 'shop' has no bot 'Z'; it has x, y"
    assert "--today" in read.nearest(client, SITE, "x")
    for n in range(4):
        insert_daily(client, sealed(made, DAY + timedelta(days=n), random.Random(4)))
    days = sorted({room.ended_on for room, _ in made.rows("x") if room.ended_on and room.ended_on < DAY + timedelta(4)})
    said = read.nearest(client, SITE, "x", DAY - timedelta(days=9))
    assert said.endswith(", ".join(day.isoformat() for day in days[:3]))
    assert len(days) >= 3
    assert "the last days" in read.nearest(client, SITE, "x")
