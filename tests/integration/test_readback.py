"""What the worker reads from ClickHouse: a partition's time, rooms that fell silent, rooms that speak again."""

import re
from datetime import date
from typing import Any

import pytest

from journey.events import TOPIC_IMPORT, TOPIC_LIVE, RoomKey
from sql import readback
from sql.client import Client
from sql.readback import Readback
from sql.sink import EVENT, PROGRESS, ROOMS, TURNS, Sink

T0 = 1_793_404_800_000
HOUR = 3_600_000


@pytest.fixture
def client(migrated_url: str) -> Any:
    with Client(migrated_url) as made:
        yield made


def named(columns: tuple[str, ...], **given: Any) -> tuple[Any, ...]:
    """A row: what is given, and 0, "" or None as the column needs."""
    texts = {"ended_from", "closed_by", "dialog", "channel", "category", "scenario_version", "input_kind", "input"}
    none = {"ended_at", "error"}
    return tuple(given.get(name, "" if name in texts else None if name in none else 0) for name in columns)


def room(name: str, last_at: int, version: int = 2, **given: Any) -> tuple[Any, ...]:
    times = dict.fromkeys(("opened_at", "entered_at", "phase_since", "last_received_at", "first_at"), T0)
    head = {"site_id": "s", "room_id": name, "topic": TOPIC_LIVE, "bot_id": "b", "customer_id": "c", "phase": "bot"}
    return named(ROOMS, **(head | times | {"last_at": last_at, "version": version} | given))


def silent(client: Client, since: int, bound: int, most: int = 100) -> set[str]:
    return {found.key.room_id for found in Readback(client).silent_rooms(since, bound, most)}


def test_open_rooms_whose_last_event_lies_in_the_window_are_silent(client: Client) -> None:
    Sink(client).rooms([room(f"r{hour}", T0 + hour * HOUR) for hour in range(5)])
    assert silent(client, 0, T0 + 2 * HOUR) == {"r0", "r1", "r2"}
    assert silent(client, T0 + HOUR, T0 + 3 * HOUR) == {"r2", "r3"}
    assert silent(client, T0 + 4 * HOUR, T0 + 9 * HOUR) == set()


def test_the_newest_version_decides(client: Client) -> None:
    """The merges have not come by yet: older versions lie beside the newest."""
    client.run("SYSTEM STOP MERGES rooms")
    Sink(client).rooms([room("closed", T0), room("spoke", T0), room("open", T0)])
    Sink(client).rooms([room("closed", T0, 3, phase="closed"), room("spoke", T0 + 9 * HOUR, 4)])
    assert silent(client, 0, T0 + HOUR) == {"open"}
    assert silent(client, 0, T0 + 9 * HOUR) == {"open", "spoke"}


def test_a_partition_with_many_silent_rooms_keeps_no_other_waiting(client: Client) -> None:
    many = [room(f"import {n}", T0 + n, topic=TOPIC_IMPORT) for n in range(50)]
    Sink(client).rooms([*many, room("live", T0 + HOUR), room("live 2", T0 + HOUR, partition=7)])
    assert silent(client, 0, T0 + HOUR, most=3) == {"import 0", "import 1", "import 2", "live", "live 2"}


def test_where_a_silent_room_is_and_since_when(client: Client) -> None:
    Sink(client).rooms([room("방", T0 + 1, partition=5)])
    (found,) = Readback(client).silent_rooms(0, T0 + 1, 10)
    assert (found.key, found.place, found.last_at) == (RoomKey("s", "방"), (TOPIC_LIVE, 5), T0 + 1)


def test_a_partitions_time_is_that_of_the_last_row_up_to_the_offset(client: Client) -> None:
    def progress(partition: int, offset: int, time: int, topic: str = TOPIC_LIVE) -> tuple[Any, ...]:
        return named(PROGRESS, topic=topic, partition=partition, offset=offset, time=time)

    rows = [progress(1, 10, T0), progress(1, 30, T0 + 5), progress(1, 10, T0), progress(2, 20, T0 + 9)]
    for row in [*rows, progress(1, 25, T0 + 8, TOPIC_IMPORT)]:
        Sink(client).progress([row])
    time = Readback(client).partition_time
    assert [time(TOPIC_LIVE, 1, offset) for offset in (9, 10, 29, 30, 99)] == [0, T0, T0, T0 + 5, T0 + 5]
    assert time(TOPIC_LIVE, 3, 99) == 0
    assert time(TOPIC_IMPORT, 1, 99) == T0 + 8


def test_rooms_that_speak_again_are_read_back_whole_and_no_others(client: Client) -> None:
    def turn(name: str, seq: int, topic: str = TOPIC_LIVE) -> tuple[Any, ...]:
        given = {"type": "turn", "seq": seq, "occurred_at": T0 + seq, "bot_id": "b", "customer_id": "c", "dialog": "A"}
        head = {"site_id": "s", "room_id": name, "topic": topic, "offset": seq, "received_at": T0 + seq}
        assert set(given) < set(EVENT)
        return named(TURNS, **(head | given))

    Sink(client).turns([turn("one", 1), turn("one", 2), turn("two", 1), turn("other", 1)])
    Sink(client).rooms([room("one", T0), room("two", T0, topic=TOPIC_IMPORT), room("other", T0)])
    asked = [RoomKey("s", "one"), RoomKey("s", "two"), RoomKey("s", "new"), RoomKey("another site", "other")]
    known = Readback(client).known_rooms(asked)
    assert known == {asked[0]: {TOPIC_LIVE}, asked[1]: {TOPIC_IMPORT}}
    found = Readback(client).entries(known)
    assert {(item.key.room_id, item.entry.event.seq, item.entry.received_at) for item in found} == {
        ("one", 1, T0 + 1),
        ("one", 2, T0 + 2),
        ("two", 1, T0 + 1),
    }


def test_a_room_is_known_by_site_and_id(client: Client) -> None:
    Sink(client).rooms([room("r", T0), room("r", T0, topic=TOPIC_IMPORT, version=3), room("other", T0, site_id="t")])
    asked = [RoomKey("s", "r"), RoomKey("t", "r"), RoomKey("s", "other"), RoomKey("t", "other")]
    known = Readback(client).known_rooms(asked)
    assert known.keys() == {RoomKey("s", "r"), RoomKey("t", "other")}
    assert TOPIC_IMPORT in known[RoomKey("s", "r")]


def test_who_looks_for_a_room_passes_over_the_days_that_have_it_not(client: Client) -> None:
    days = [T0 - day * 24 * HOUR for day in range(9)]
    Sink(client).rooms([room(f"r{day}-{n}", T0, opened_at=day) for day in days for n in range(50)])
    client.run("OPTIMIZE TABLE rooms FINAL")
    plan = client.rows(f"EXPLAIN indexes = 1 {readback.KNOWN}", {"sites": ["s"], "rooms": [f"r{T0}-7"]})
    index = " ".join(line.strip() for (line,) in plan).partition("Name: by_room")[2]
    assert re.match(r".* Parts: 1/[2-9] ", index), index


AWKWARD = ("", "a", "'", "\\", "\n", "\0", "주문 {x:String}", "]")


def test_a_days_edges_are_read_back_whole_or_by_name(client: Client) -> None:
    """Whatever the names are; and of the day and the partition that are asked for."""
    day, places = date(2026, 11, 1), [(TOPIC_LIVE, 3), (TOPIC_IMPORT, 3)]
    edges = [("s", "b", 1, name, "next_step", other, 2, name) for name in AWKWARD for other in AWKWARD]
    rows = [(*place, on, *edge, 7, 9) for place in places for on in (day, date(2026, 11, 2)) for edge in edges]
    client.run("SYSTEM STOP MERGES edge_counts")
    Sink(client).edge_counts([(*row[:-2], 1, 2) for row in rows])
    Sink(client).edge_counts(rows)
    read = Readback(client)
    mine = [row for row in rows if row[:3] == (*places[0], day)]
    assert sorted(read.counts([(places[0], day)], 1000)) == sorted(mine)
    assert len(read.counts([(places[0], day), (places[1], day)], 10)) == 20
    some = {(places[0], day): set(edges[::3]), (places[1], date(2026, 11, 2)): {edges[1], ("s", *edges[1][1:-1], "no")}}
    expected = [*mine[::3], (*places[1], date(2026, 11, 2), *edges[1], 7, 9)]
    assert sorted(read.edges(some)) == sorted(expected)
