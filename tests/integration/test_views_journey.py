"""The views of sealed days, against the same counted in plain Python."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from journey.balance import WAYS_OUT
from journey.errors import BadUsage
from journey.room import Row
from sql import read
from sql.client import Client
from tests.integration.made_rooms import (
    SEOUL,
    SITE,
    Made,
    MadeRoom,
    database,
    edge,
    insert_daily,
    made_rooms,
    sealed,
)

FIRST = date(2024, 3, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(12)]
SEALED = [day for day in DAYS if day != date(2024, 3, 6)]
RANGES = [(DAYS[0], DAYS[-1]), (DAYS[3], DAYS[3]), (DAYS[2], DAYS[7]), (date(2024, 3, 6), date(2024, 3, 6))]
BEFORE = date(2021, 5, 31)


@pytest.fixture(scope="module")
def client(clickhouse_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One database for all that is only read here."""
    with database(clickhouse_address, tmp_path_factory.mktemp("views")) as client:
        yield client


@pytest.fixture(scope="module")
def made(client: Client) -> Made:
    rng = random.Random(5)
    made = made_rooms(rng, FIRST - timedelta(days=2), 12, 220)
    insert_daily(client, [row for day in SEALED for row in sealed(made, day, rng)])
    return made


def of(made: Made, bot: str, span: tuple[date, date]) -> list[tuple[MadeRoom, Row]]:
    days = [day for day in SEALED if span[0] <= day <= span[1]]
    return [(room, row) for room in made.ended(days) for row in room.rows if row.bot_id == bot]


def figures(found: list[tuple[MadeRoom, Row]]) -> tuple[int, int, int]:
    """Moves, rooms, customers: the last two each once."""
    return len(found), len({room.room_id for room, _ in found}), len({room.customer_id for room, _ in found})


def by(key: Any, found: list[tuple[MadeRoom, Row]]) -> dict[Any, tuple[int, int, int]]:
    groups: defaultdict[Any, list[tuple[MadeRoom, Row]]] = defaultdict(list)
    for room, row in found:
        if (k := key(row)) is not None:
            groups[k].append((room, row))
    return {k: figures(group) for k, group in groups.items()}


def entered(row: Row) -> Any:
    return (row.next_step, row.next_dialog) if row.next_step else None


@pytest.mark.parametrize("span", RANGES)
@pytest.mark.parametrize("bot", ["x", "y"])
def test_edges(client: Client, made: Made, bot: str, span: tuple[date, date]) -> None:
    table = read.journey_edges(client, SITE, bot, *span)
    assert {row[:6]: row[6:] for row in table.rows} == by(edge, of(made, bot, span))
    assert table.rows == sorted(table.rows, key=lambda r: (r[0], r[1], -r[6], r[2], r[3], r[4], r[5]))
    assert bool(table.rows) == (span[0] != date(2024, 3, 6))


@pytest.mark.parametrize("span", RANGES)
@pytest.mark.parametrize("bot", ["x", "y"])
def test_nodes_and_their_balance(client: Client, made: Made, bot: str, span: tuple[date, date]) -> None:
    found = of(made, bot, span)
    moves = Counter((row.step, row.dialog, row.move) for _, row in found)
    timeouts = Counter((row.step, row.dialog) for _, row in found if row.message == "timeout")
    table = read.journey_nodes(client, SITE, bot, *span)
    assert {(row[0], row[1]): row[2:5] for row in table.rows} == by(entered, found)
    for row in table.dicts():
        node = row["step"], row["dialog"]
        for move in (*WAYS_OUT, "agent_served"):
            assert row[move] == moves[(*node, move)]
        assert row["timeout"] == timeouts[node]
        assert row["inflow"] == sum(row[move] for move in WAYS_OUT)
        assert row["dropout_rate"] == row["dropout"] / row["inflow"]
    order = [(row["step"], -row["inflow"], row["dialog"]) for row in table.dicts()]
    assert order == sorted(order)


@pytest.mark.parametrize("span", RANGES)
def test_table_is_nodes_beside_their_ways_out(client: Client, made: Made, span: tuple[date, date]) -> None:
    nodes = {(n["step"], n["dialog"]): n for n in read.journey_nodes(client, SITE, "x", *span).dicts()}
    edges = {edge_[:6]: edge_[6:] for edge_ in read.journey_edges(client, SITE, "x", *span).rows}
    table = read.journey_table(client, SITE, "x", *span)
    seen = set()
    for row in table.dicts():
        node = nodes[row["step"], row["dialog"]]
        assert [row[name] for name in ("inflow", "rooms", "customers", "dropouts", "dropout_rate")] == [
            node[name] for name in ("inflow", "rooms", "customers", "dropout", "dropout_rate")
        ]
        key = tuple(row[name] for name in ("step", "dialog", "move", "message", "next_step", "next_dialog"))
        assert (row["moves"], row["move_rooms"], row["move_customers"]) == edges[key]
        seen.add(key)
    assert seen == {key for key in edges if key[2] != "start"}
    assert len(seen) == len(table.rows)
    order = [
        (r["step"], -r["inflow"], r["dialog"], -r["moves"], r["move"], r["message"], r["next_step"], r["next_dialog"])
        for r in table.dicts()
    ]
    assert order == sorted(order)


@pytest.mark.parametrize("span", RANGES)
def test_totals_are_of_the_whole_range(client: Client, made: Made, span: tuple[date, date]) -> None:
    found = of(made, "x", span)
    moves = Counter(row.move for _, row in found)
    (total,) = read.journey_totals(client, SITE, "x", *span).dicts()
    assert (total.pop("rooms"), total.pop("customers")) == figures(found)[1:]
    assert total.pop("visits") == sum(1 for _, row in found if row.next_step)
    assert total.pop("timeout") == sum(1 for _, row in found if row.message == "timeout")
    assert total == {move: moves[move] for move in (*WAYS_OUT, "agent_served")}


@pytest.mark.parametrize("span", RANGES)
def test_links_have_no_cycle_and_count_rooms_once(client: Client, made: Made, span: tuple[date, date]) -> None:
    def link(row: Row) -> tuple[str, str] | None:
        if row.move == "start":
            return None
        source = "agent_connect" if row.move == "agent_served" else f"{row.step}|{row.dialog}"
        return source, f"{row.next_step}|{row.next_dialog}" if row.move == "next_step" else row.move

    rows = read.sankey_links(client, SITE, "x", *span).rows
    assert {row[:2]: row[2:] for row in rows} == by(link, of(made, "x", span))
    assert len({row[:2] for row in rows}) == len(rows)
    assert not _on_a_cycle([row[:2] for row in rows])


def _on_a_cycle(links: list[tuple[str, str]]) -> set[str]:
    """What is left when nodes that nothing leads to are taken away again and again."""
    left = list(links)
    while left:
        led_to = {target for _, target in left}
        kept = [(source, target) for source, target in left if source in led_to]
        if len(kept) == len(left):
            return {source for source, _ in left}
        left = kept
    return set()


def test_days_of_a_range(client: Client, made: Made) -> None:
    days = read.journey_days(client, DAYS[0], DAYS[-1]).dicts()
    assert [row["day"] for row in days] == DAYS
    for row in days:
        as_of = datetime.fromtimestamp(SEOUL.cut_off(row["day"], time(0, 40)) / 1000, UTC)
        expected = (1, 1, as_of) if row["day"] in SEALED else (0, 0, None)
        assert (row["revision"], row["sealed"], row["as_of"]) == expected
    assert read.days_unsealed(client, DAYS[0], DAYS[-1]) == [date(2024, 3, 6)]


def test_days_before_the_first_are_empty(client: Client) -> None:
    # no other test here asks for that day
    node = {"day": BEFORE, "site_id": SITE, "bot_id": "x", "kind": "node", "number": 1, "step": 1, "dialog": "A"}
    insert_daily(client, [{"day": BEFORE}, {**node, "moves": 1, "rooms": 1}])
    assert read.journey_nodes(client, SITE, "x", BEFORE, BEFORE).rows == []
    assert read.journey_totals(client, SITE, "x", BEFORE, BEFORE).rows == [(0,) * 10]
    assert read.days_unsealed(client, BEFORE, BEFORE) == [BEFORE]


def test_a_wrong_range_is_refused_even_on_an_empty_table(migrated_url: str) -> None:
    with Client(migrated_url) as client:
        for view in (
            "journey_table",
            "journey_nodes",
            "journey_edges",
            "journey_totals",
            "journey_days",
            "sankey_links",
        ):
            _refuses_wrong_ranges(client, view)


def _refuses_wrong_ranges(client: Client, view: str) -> None:
    place = "" if view == "journey_days" else "site = 'nobody', bot = 'none', "
    today = SEOUL.day(round(datetime.now(UTC).timestamp() * 1000))
    day = timedelta(days=1)
    for first, last, words in (
        (date(2024, 1, 2), date(2024, 1, 1), "after"),
        (date(2024, 1, 1), date(2024, 2, 1), "31"),
        (today, today, "yesterday or earlier"),
    ):
        for tail in ("", "LIMIT 0", "WHERE 1 = 0"):
            sql = f"SELECT 1 FROM {view}({place}from = {{from:Date}}, to = {{to:Date}}) {tail}"
            with pytest.raises(BadUsage, match=words):
                client.rows(sql, {"from": first, "to": last})
    yesterday = today - day
    place = f"{place}from = '{yesterday - 30 * day}', to = '{yesterday}'"
    client.rows(f"SELECT 1 FROM {view}({place})")


def test_a_day_beyond_the_calendar_is_refused(client: Client) -> None:
    with pytest.raises(BadUsage, match="9999-01-01"):
        read.journey_days(client, date(2024, 1, 1), date(9999, 1, 1))


def test_types(client: Client) -> None:
    table = read.journey_table(client, SITE, "x", FIRST, FIRST)
    types = dict(zip(table.columns, table.types, strict=True))
    assert {types[c] for c in ("inflow", "rooms", "customers", "dropouts", "moves", "move_rooms")} == {"UInt64"}
    assert {types[c] for c in ("step", "next_step")} == {"UInt16"}
    assert types["dropout_rate"] == "Float64"
    assert read.journey_days(client, FIRST, FIRST).types[0] == "Date"
