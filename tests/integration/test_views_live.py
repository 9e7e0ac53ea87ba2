"""The views of moves and rooms as they are now, against the same counted in plain Python."""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median_high
from typing import Any

import pytest

from journey.balance import WAYS_OUT
from journey.errors import BadUsage
from journey.room import Row
from sql import read
from sql.client import Client, Table
from tests.integration.made_rooms import (
    SEOUL,
    SITE,
    Made,
    MadeRoom,
    database,
    edge,
    insert_moves,
    insert_rooms,
    insert_rows,
    made_rooms,
)

FIRST = date(2026, 10, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(7)]


def now_ms() -> int:
    return round(datetime.now(UTC).timestamp() * 1000)


@pytest.fixture
def client(clickhouse_address: str, tmp_path: Path) -> Iterator[Client]:
    with database(clickhouse_address, tmp_path) as client:
        yield client


@pytest.fixture(scope="module")
def past(clickhouse_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One database with the moves of `made`, for tests that only read."""
    with database(clickhouse_address, tmp_path_factory.mktemp("views")) as client:
        yield client


@pytest.fixture(scope="module")
def made(past: Client) -> Made:
    rng = random.Random(7)
    made = made_rooms(rng, FIRST, 6, 250)
    insert_moves(past, made, rng)
    return made


class Visit:
    """One showing of a dialog: the row that led to it, and the row that left it, if any."""

    def __init__(self, room: MadeRoom, entered: Row) -> None:
        self.room, self.entered, self.left = room, entered, None
        self.node = entered.next_step, entered.next_dialog
        self.entered_on = SEOUL.day(entered.occurred_at)

    left: Row | None

    @property
    def left_on(self) -> date | None:
        return None if self.left is None else SEOUL.day(self.left.occurred_at)


def visits(made: Made, bot: str) -> list[Visit]:
    """Every visit of a bot, from the order of its room's rows alone."""
    found: list[Visit] = []
    for room in made.rooms:
        current: Visit | None = None
        for row in room.rows:
            if row.move in WAYS_OUT and current is not None:
                current.left, current = row, None
            if row.next_step:
                current = Visit(room, row)
                found.append(current)
    return [visit for visit in found if visit.entered.bot_id == bot]


def distinct(rooms: list[MadeRoom]) -> tuple[int, int]:
    return len({room.room_id for room in rooms}), len({room.customer_id for room in rooms})


def grouped(pairs: Iterator[tuple[Any, MadeRoom]]) -> dict[Any, list[MadeRoom]]:
    groups: defaultdict[Any, list[MadeRoom]] = defaultdict(list)
    for key, room in pairs:
        groups[key].append(room)
    return groups


def of_day(made: Made, bot: str, day: date) -> list[tuple[MadeRoom, Row]]:
    return [(room, row) for room, row in made.rows(bot) if SEOUL.day(row.occurred_at) == day]


def live(made: Made, bot: str, day: date) -> tuple[dict[Any, list[MadeRoom]], dict[Any, list[MadeRoom]], Counter[Any]]:
    """Of each node: the rooms of its visits of the day (once a visit), those still open, how many carried."""
    found = visits(made, bot)
    inflow = grouped((v.node, v.room) for v in found if v.entered_on == day)
    still = grouped((v.node, v.room) for v in found if v.entered_on == day != v.left_on)
    carried = Counter(v.node for v in found if v.left_on == day != v.entered_on)
    return inflow, still, carried


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("bot", ["x", "y"])
def test_nodes_of_a_day_and_their_balance(past: Client, made: Made, bot: str, day: date) -> None:
    inflow, still, carried = live(made, bot, day)
    moves = Counter((row.step, row.dialog, row.move) for _, row in of_day(made, bot, day))
    timeouts = Counter((row.step, row.dialog) for _, row in of_day(made, bot, day) if row.message == "timeout")
    served = {key[:2] for key in moves if key[2] == "agent_served"}
    table = read.day_nodes(past, SITE, bot, day)
    assert {row[:2] for row in table.rows} == inflow.keys() | carried.keys() | served
    for row in table.dicts():
        node = row["step"], row["dialog"]
        assert (row["inflow"], row["rooms"], row["customers"]) == (len(inflow[node]), *distinct(inflow[node]))
        assert (row["open"], row["carried"]) == (len(still[node]), carried[node])
        assert all(row[move] == moves[(*node, move)] for move in (*WAYS_OUT, "agent_served"))
        assert row["timeout"] == timeouts[node]
        assert row["inflow"] + row["carried"] == sum(row[move] for move in WAYS_OUT) + row["open"]
        came = row["inflow"] + row["carried"]
        assert row["dropout_rate"] == (row["dropout"] / came if came else 0)


@pytest.mark.parametrize("day", DAYS)
def test_edges_of_a_day(past: Client, made: Made, day: date) -> None:
    expected = grouped((edge(row), room) for room, row in of_day(made, "x", day))
    carried = Counter(edge(v.left) for v in visits(made, "x") if v.left and v.left_on == day != v.entered_on)
    table = read.day_edges(past, SITE, "x", day)
    assert {row[:6]: row[6:] for row in table.rows} == {
        key: (len(rooms), *distinct(rooms), carried[key]) for key, rooms in expected.items()
    }
    assert len(table.rows) == len(expected)


@pytest.mark.parametrize("day", DAYS)
def test_table_of_a_day_is_its_nodes_beside_edges_and_open_visits(past: Client, made: Made, day: date) -> None:
    _, still, _ = live(made, "x", day)
    nodes = {(n["step"], n["dialog"]): n for n in read.day_nodes(past, SITE, "x", day).dicts()}
    edges = {row[:6]: row[6:9] for row in read.day_edges(past, SITE, "x", day).rows if row[2] != "start"}
    expected = edges | {
        (*node, "open", "", 0, ""): (len(rooms), *distinct(rooms)) for node, rooms in still.items() if rooms
    }
    table = read.day_table(past, SITE, "x", day)
    names = ("step", "dialog", "move", "message", "next_step", "next_dialog")
    got = {tuple(r[n] for n in names): (r["moves"], r["move_rooms"], r["move_customers"]) for r in table.dicts()}
    assert got == expected
    assert len(table.rows) == len(expected)
    for row in table.dicts():
        node = nodes[row["step"], row["dialog"]]
        assert row["dropouts"] == node["dropout"]
        same = ("inflow", "rooms", "customers", "dropout_rate", "open", "carried")
        assert [row[name] for name in same] == [node[name] for name in same]
    order = [(r["step"], -r["inflow"], r["dialog"], -r["moves"], r["move"], r["message"]) for r in table.dicts()]
    assert order == sorted(order)


def test_today_is_the_day_of_now(client: Client) -> None:
    now = now_ms()
    made = made_rooms(random.Random(3), SEOUL.day(now) - timedelta(days=1), 2, 150, now)
    todays = [  # right after midnight there may be none of the others
        replace(room, room_id=f"today's {room.room_id}", number=1000 + room.number)
        for room in made_rooms(random.Random(4), SEOUL.day(now), 1, 50, now).rooms
    ]
    insert_moves(client, Made([*made.rooms, *todays]), random.Random(3))
    views: list[tuple[Callable[..., Table], Callable[..., Table]]] = [
        (read.today_table, read.day_table),
        (read.today_nodes, read.day_nodes),
        (read.today_edges, read.day_edges),
    ]
    for today, of_the_day in views:
        for _ in range(2):  # a second time if midnight came between
            day = SEOUL.day(now_ms())
            now_shown, then = today(client, SITE, "x"), of_the_day(client, SITE, "x", day)
            if day == SEOUL.day(now_ms()):
                break
        assert now_shown == then
        assert now_shown.rows


def test_open_visits_of_a_room_whose_clock_went_back_over_midnight(client: Client) -> None:
    """It left A on the next day, came back to A on this one, and so on: several visits of the day are open."""
    midnight = SEOUL.midnight(DAYS[1])
    ways = [  # after (s from midnight), from, move, to; each visit begins when the row before was made
        (-9, (0, ""), "start", (1, "A")),
        (1, (1, "A"), "next_step", (2, "B")),
        (-8, (2, "B"), "dropout", (1, "A")),
        (2, (1, "A"), "next_step", (2, "B")),
        (-7, (2, "B"), "next_step", (3, "C")),
        (3, (3, "C"), "dropout", (1, "A")),
        (-6, (1, "A"), "dropout", (1, "D")),
        (-5, (1, "D"), "next_step", (2, "B")),
    ]
    rows, entered = [], 0
    for seq, (after, (step, dialog), move, (next_step, next_dialog)) in enumerate(ways, 1):
        at = midnight + after * 1000
        rows.append((SITE, "x", "room", "who", seq, at, entered or at, step, dialog, move, next_step, next_dialog))
        entered = at
    names = (
        "site_id",
        "bot_id",
        "room_id",
        "customer_id",
        "seq",
        "occurred_at",
        "entered_at",
        "step",
        "dialog",
        "move",
    )
    insert_rows(client, "moves", (*names, "next_step", "next_dialog"), rows)
    table = read.day_table(client, SITE, "x", DAYS[0]).dicts()
    still = {
        (r["step"], r["dialog"]): (r["moves"], r["move_rooms"], r["move_customers"])
        for r in table
        if r["move"] == "open"
    }
    assert still == {(1, "A"): (2, 1, 1), (2, "B"): (1, 1, 1), (3, "C"): (1, 1, 1)}
    nodes = {(r["step"], r["dialog"]): (r["inflow"], r["open"], r["carried"]) for r in table}
    assert nodes == {(1, "A"): (2, 2, 1), (1, "D"): (1, 0, 0), (2, "B"): (1, 1, 2), (3, "C"): (1, 1, 0)}


def test_another_bot_site_or_day_has_no_rows(past: Client, made: Made) -> None:
    for site, bot, day in ((SITE, "z", DAYS[1]), ("other", "x", DAYS[1]), (SITE, "x", date(2026, 9, 1))):
        for view in (read.day_table, read.day_nodes, read.day_edges):
            assert view(past, site, bot, day).rows == []


def test_journey_table_and_the_days_share_their_first_columns(past: Client) -> None:
    sealed = read.journey_table(past, SITE, "x", FIRST, FIRST).columns
    assert read.today_table(past, SITE, "x").columns == [*sealed, "open", "carried"]
    nodes = read.journey_nodes(past, SITE, "x", FIRST, FIRST).columns
    assert read.today_nodes(past, SITE, "x").columns == [*nodes, "open", "carried"]
    edges = read.journey_edges(past, SITE, "x", FIRST, FIRST).columns
    assert read.today_edges(past, SITE, "x").columns == [*edges, "carried"]
    assert read.today_table(past, SITE, "x").types == read.day_table(past, SITE, "x", FIRST).types


@pytest.mark.parametrize("which", ["room 0", "room 17", "room 99"])
def test_path_of_a_room(past: Client, made: Made, which: str) -> None:
    (room,) = [room for room in made.rooms if room.room_id == which]
    got = read.room_path(past, SITE, which).dicts()
    assert len(got) == len(room.rows)
    rows = sorted(room.rows, key=lambda row: (row.seq, row.part))
    for shown, row in zip(got, rows, strict=True):
        for name, value in shown.items():
            if name.endswith("_at"):
                value = round(value.timestamp() * 1000)
            assert value == getattr(row, name), name


def test_rooms_now(client: Client) -> None:
    now = now_ms()
    made = made_rooms(random.Random(11), SEOUL.day(now) - timedelta(days=2), 3, 200, now)
    insert_rooms(client, made)
    expected: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for made_room in made.rooms:
        room = made_room.room
        if room.ended_at is None:
            expected[room.bot_id, room.phase].append((now - room.phase_since) // 1000)
        elif SEOUL.day(room.ended_at) == SEOUL.day(now):
            status = "bot_ended" if room.ended_from == "bot" else "agent_ended"
            expected[room.bot_id, status].append((now - room.ended_at) // 1000)
    got = {(row["bot_id"], row["status"]): row for row in read.rooms_now(client, SITE).dicts()}
    assert {key: row["rooms"] for key, row in got.items()} == {key: len(times) for key, times in expected.items()}
    for key, times in expected.items():
        assert 0 <= got[key]["longest_s"] - max(times) <= 60
        assert 0 <= got[key]["median_s"] - median_high(times) <= 60
    labels = {row["status"]: row["label"] for row in got.values()}
    assert labels == {status: LABELS[status] for status in labels}
    assert {"bot", "waiting", "agent"} <= labels.keys()


LABELS = {
    "bot": "챗봇 진행중",
    "waiting": "상담대기",
    "assigned": "접수",
    "agent": "진행중",
    "bot_ended": "챗봇 종료",
    "agent_ended": "상담종료",
}


def test_moves_per_minute(client: Client) -> None:
    this = now_ms() // 60_000
    at = [(this - ago) * 60_000 + second for ago in range(8) for second in (0, 59_999) for _ in range(ago + 1)]
    moves = ["next_step" if n % 3 else "error" for n in range(len(at))]
    sites = {"site_id": [SITE] * len(at), "bot_id": ["x"] * len(at), "seq": range(len(at))}
    client.insert("moves", {**sites, "occurred_at": at, "entered_at": at, "move": moves})
    expected = Counter((time // 60_000, move) for time, move in zip(at, moves, strict=True))
    for _ in range(2):  # a second time if a minute ended between
        last = now_ms() // 60_000
        rows = read.moves_per_minute(client, SITE, "x", 5).rows
        if last == now_ms() // 60_000:
            break
    got = {(round(minute.timestamp()) // 60, move): count for minute, move, count in rows}
    assert got == {key: count for key, count in expected.items() if key[0] > last - 5}
    assert len({minute for minute, _ in got}) in (4, 5)


def test_freshness(client: Client) -> None:
    now = now_ms()

    def row(topic: str, partition: int, offset: int, log_end: int, time_ago: int, written_ago: int) -> None:
        client.insert(
            "progress",
            {
                "topic": [topic],
                "partition": [partition],
                "offset": [offset],
                "log_end": [log_end],
                "time": [now - time_ago],
                "written_at": [now - written_ago],
            },
        )

    row("a", 0, 5, 9, 90_000, 60_000)
    row("a", 0, 9, 9, 80_000, 50_000)
    row("a", 0, 9, 9, 80_000, 40_000)  # silence: the same offset again
    row("a", 1, 7, 10, 30_000, 2_000)
    row("b", 1, 3, 2, 5_000, 1_000)  # the end was asked before the batch
    got = {(r["topic"], r["partition"]): r for r in read.freshness(client).dicts()}
    assert got.keys() == {("a", 0), ("a", 1), ("b", 1)}
    assert [r["lag_events"] for r in got.values()] == [0, 3, 0]
    for key, received_ago, visible_ago, lag in (
        (("a", 0), 80_000, 40_000, 40),
        (("a", 1), 30_000, 2_000, 30),
        (("b", 1), 5_000, 1_000, 1),
    ):
        assert round(got[key]["received_at"].timestamp() * 1000) == now - received_ago
        assert round(got[key]["visible_at"].timestamp() * 1000) == now - visible_ago
        assert lag <= got[key]["lag_seconds"] < lag + 60


def test_two_rooms_with_the_same_half_of_a_hash_are_not_counted_as_one(client: Client) -> None:
    """No chance has made two: so their hashes are written here."""
    moves: dict[str, list[Any]] = {
        "site_id": [SITE] * 3, "bot_id": ["b"] * 3, "customer_id": ["c"] * 3, "room_id": ["one", "two", "three"],
        "room": [7, 7 + (5 << 64), 8], "seq": [1] * 3, "version": [2] * 3, "move": ["start"] * 3, "next_step": [1] * 3,
        "next_dialog": ["d"] * 3,
        "occurred_at": [SEOUL.midnight(FIRST) + 1] * 3, "entered_at": [SEOUL.midnight(FIRST) + 1] * 3,
    }  # fmt: skip
    asked: dict[str, Any] = {"site": SITE, "bot": "b", "day": FIRST}
    table = "SELECT rooms FROM day_table(site = {site:String}, bot = {bot:String}, day = {day:Date})"
    client.insert("moves", {name: items[::2] for name, items in moves.items()})
    assert client.rows(table, asked) == [(2,)]
    client.insert("moves", {name: items[1:2] for name, items in moves.items()})
    with pytest.raises(BadUsage, match=r"two rooms of this bot have the same half of a hash on this day; the views"):
        client.rows(table, asked)
    assert client.rows(table.replace("day_table", "day_nodes"), asked) == [(3,)]
