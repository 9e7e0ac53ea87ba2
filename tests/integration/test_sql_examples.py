"""The examples of docs/sql.md, one of each view at least, on made rooms: what they answer, counted another way."""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from statistics import median_high
from typing import Any

import pytest
from msgspec.structs import replace as moved

from journey.balance import WAYS_OUT
from journey.room import Row
from sql.client import Client
from sql.sink import BOTS, ROOMS
from tests.counted_edges import count_edges
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
from tests.integration.test_sql_docs import DOCS, NAMES, described

Rows = list[tuple[Any, ...]]

BOT = "x"
WEEK = [date(2026, 11, 1) + timedelta(days=n) for n in range(7)]
SATURDAY = WEEK[-1]


def now_ms() -> int:
    return round(datetime.now(UTC).timestamp() * 1000)


@dataclass
class Shop:
    """What stands in the database: rooms of the sealed week, one of them late, rooms of these days, and moves of rooms
    that were busy in the last hour."""

    past: Made
    late: MadeRoom
    live: Made
    busy: Made

    @property
    def rooms(self) -> list[MadeRoom]:
        return [*self.past.rooms, self.late, *self.live.rooms, *self.busy.rooms]

    def of_week(self) -> list[tuple[MadeRoom, Row]]:
        """Rows of the bot in rooms that ended in the week, as they were sealed."""
        return [(room, row) for room in self.past.ended(WEEK) for row in room.rows if row.bot_id == BOT]

    def on(self, day: date, bot: str | None = BOT) -> list[tuple[MadeRoom, Row]]:
        """Rows of a day, whenever their rooms ended."""
        return [
            (room, row)
            for room in self.rooms
            for row in room.rows
            if bot in (None, row.bot_id) and SEOUL.day(row.occurred_at) == day
        ]

    def last_minutes(self, minutes: int, now: int) -> list[Row]:
        first = now // 60_000 - minutes + 1
        return [row for room in self.rooms for row in room.rows if row.occurred_at // 60_000 >= first]


@pytest.fixture(scope="module")
def client(clickhouse_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with database(clickhouse_address, tmp_path_factory.mktemp("examples")) as client:
        yield client


@pytest.fixture(scope="module")
def shop(client: Client) -> Shop:
    return laid(client)


def laid(client: Client) -> Shop:
    rng = random.Random(21)
    past = made_rooms(rng, WEEK[0] - timedelta(days=1), 8, 220)
    late = next(room for room in past.rooms if room.ended_on == WEEK[2] and {row.bot_id for row in room.rows} == {BOT})
    past.rooms.remove(late)
    late.room.last_received_at = SEOUL.cut_off(WEEK[3], time(0, 40))
    now = now_ms()
    live = made_rooms(rng, SEOUL.day(now) - timedelta(days=1), 2, 150, now)
    busy = [
        _moved(room, now - 60_000 * (n % 40), 13_000 * n)
        for n, room in enumerate(made_rooms(rng, WEEK[0], 1, 60).rooms)
    ]
    live.rooms[:] = [replace(room, room_id=f"live {n}") for n, room in enumerate(live.rooms)]
    _line_up(live.rooms, now)
    shop = Shop(past, late, live, Made([replace(room, room_id=f"busy {n}") for n, room in enumerate(busy)]))
    _lay(client, shop)
    return shop


def _line_up(rooms: list[MadeRoom], now: int) -> None:
    """Of each four rooms that are open, one waits, one is assigned and one with an agent: for the status board."""
    for number, made in enumerate(rooms):
        phase, since = [("bot", 0), ("waiting", 60), ("assigned", 600), ("agent", 3600)][number % 4]
        if since and made.room.phase != "closed":
            made.room.phase, made.room.phase_since = phase, now - 1000 * (since + number)


def _moved(made: MadeRoom, to: int, wait: int) -> MadeRoom:
    """The room's rows, but for what silence made, as if the last of them had happened at `to` (ms), and an agent had
    come after so long a wait (ms)."""
    kept = [row for row in made.rows if row.part < 9]
    by = to - max((row.occurred_at for row in kept), default=to)
    times = ("occurred_at", "entered_at", "received_at")
    rows = [moved(row, **{name: getattr(row, name) + by for name in times}) for row in kept]
    return replace(
        made, rows=[moved(r, entered_at=r.occurred_at - wait) if r.move == "agent_served" else r for r in rows]
    )


def _lay(client: Client, shop: Shop) -> None:
    rng = random.Random(22)
    for day in WEEK:
        insert_daily(client, sealed(shop.past, day, rng))
    insert_moves(client, Made(shop.rooms), rng)
    for version in (2, 4):
        insert_rows(client, "rooms", ROOMS, [room_row(room, version) for room in [shop.late, *shop.live.rooms]])
    client.run(
        "INSERT INTO edge_counts (topic, partition, day, site_id, bot_id, step, dialog, move, message, next_step, "
        "next_dialog, moves, upto) SELECT 'chatbot.turns', room % 3 AS p, day, site_id, bot_id, step, dialog, move, "
        "message, next_step, next_dialog, count(), 7 FROM moves FINAL WHERE part < 9 GROUP BY p, day, site_id, bot_id, "
        "step, dialog, move, message, next_step, next_dialog"
    )
    count_edges(client)
    told = [(SITE, BOT, "주문 봇", True, "", "", 1, 1, 0, 1), (SITE, "y", "끔", False, "", "", 1, 1, 0, 2)]
    insert_rows(client, "bots", BOTS, told)
    read = [("t", 0, 5, 5, 1), ("t", 1, 7, 9, 1)]
    insert_rows(client, "progress", ("topic", "partition", "offset", "log_end", "time"), read)
    letters = [(0, 1, "not_json", 5), (0, 1, "not_json", 5), (0, 2, "conflict", 6), (1, 2, "not_json", 4)]
    for letter in letters:  # the same letter twice: a redelivery
        insert_rows(client, "dead_letters", ("topic", "partition", "offset", "reason", "received_at"), [("t", *letter)])


def answered(rows: list[tuple[MadeRoom, Row]], move: str) -> list[tuple[MadeRoom, Row]]:
    return [(room, row) for room, row in rows if row.move == move]


def inflow(rows: list[tuple[MadeRoom, Row]]) -> Counter[Any]:
    return Counter((row.next_step, row.next_dialog) for _, row in rows if row.next_step)


def ordered(counted: Counter[Any]) -> Rows:
    """The most frequent first."""
    return [(*key, count) for key, count in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))]


def fresh(row: Row) -> bool:
    return SEOUL.day(row.entered_at) == SEOUL.day(row.occurred_at)


def still_open(rows: list[tuple[MadeRoom, Row]]) -> Counter[Any]:
    left = Counter((row.step, row.dialog) for _, row in rows if row.move in WAYS_OUT and fresh(row))
    return inflow(rows) - left


def give_up(shop: Shop, now: int) -> Rows:
    visits, gone = inflow(shop.of_week()), Counter((r.step, r.dialog) for _, r in answered(shop.of_week(), "dropout"))
    rows = [(*node, visits[node], gone[node], round(100 * gone[node] / visits[node], 1)) for node in visits]
    return sorted(rows, key=lambda row: (-row[3], row[:2]))[:10]


def ways(shop: Shop, now: int) -> Rows:
    found = answered(shop.of_week(), "next_step")
    moves = Counter((r.step, r.dialog, r.message, r.next_dialog) for _, r in found)
    rooms: dict[Any, set[str]] = {}
    for room, r in found:
        rooms.setdefault((r.step, r.dialog, r.message, r.next_dialog), set()).add(room.room_id)
    return [(*row, len(rooms[row[:4]])) for row in ordered(moves)][:10]


def totals(shop: Shop, now: int) -> Rows:
    found = shop.of_week()
    return [
        (
            len({room.room_id for room, _ in found}),
            len(answered(found, "agent_connect")),
            len(answered(found, "agent_served")),
        )
    ]


def flow(shop: Shop, now: int) -> Rows:
    links = Counter(
        (f"1|{r.dialog}", f"{r.next_step}|{r.next_dialog}" if r.move == "next_step" else r.move)
        for _, r in shop.of_week()
        if r.step == 1 and r.move in WAYS_OUT
    )
    return sorted(ordered(links), key=lambda row: (-row[2], row[0], row[1]))


def sent_today(shop: Shop, now: int) -> Rows:
    found = shop.on(SEOUL.day(now))
    return ordered(Counter((r.move, r.message) for _, r in found if r.move != "start"))


def open_today(shop: Shop, now: int) -> Rows:
    found = shop.on(SEOUL.day(now))
    visits = inflow(found)
    return [(step, dialog, visits[step, dialog], count) for step, dialog, count in ordered(still_open(found))]


def edge(row: Row) -> tuple[Any, ...]:
    return row.step, row.dialog, row.move, row.message, row.next_step, row.next_dialog


def table(shop: Shop, now: int) -> Rows:
    return sorted((*key, n) for key, n in Counter(edge(r) for _, r in shop.of_week() if r.move != "start").items())


def table_today(shop: Shop, now: int) -> Rows:
    found = shop.on(SEOUL.day(now))
    edges = Counter(edge(row) for _, row in found if row.move != "start")
    edges += Counter({(*node, "open", "", 0, ""): count for node, count in still_open(found).items()})
    return sorted((*key, count) for key, count in edges.items())


def dropouts_of_saturday(shop: Shop, now: int) -> Rows:
    return ordered(Counter((r.step, r.dialog, r.message) for _, r in answered(shop.on(SATURDAY), "dropout")))


def balance(shop: Shop, now: int) -> Rows:
    found = shop.on(SATURDAY)
    carried = sum(1 for _, row in found if row.move in WAYS_OUT and not fresh(row))
    out = sum(1 for _, row in found if row.move in WAYS_OUT)
    return [(inflow(found).total() + carried, out + still_open(found).total())]


def edges_of_saturday(shop: Shop, now: int) -> Rows:
    found = shop.on(SATURDAY)
    often = Counter(row.move for _, row in found)
    before = Counter(row.move for _, row in found if row.move in WAYS_OUT and not fresh(row))
    return [(move, often[move], before[move]) for move in sorted(often)]


def open_rooms(shop: Shop, now: int) -> dict[tuple[str, str], list[int]]:
    """For how many seconds each open room has been in its phase, by bot and phase."""
    found: dict[tuple[str, str], list[int]] = {}
    for made in shop.live.rooms:
        if made.room.phase != "closed" and now - made.room.last_at < 86_400_000:
            seconds = now // 1000 - made.room.phase_since // 1000
            found.setdefault((made.room.bot_id, made.room.phase), []).append(seconds)
    return dict(sorted(found.items()))


def waiting(shop: Shop, now: int) -> Rows:
    found = open_rooms(shop, now).items()
    return [(bot, "상담대기", len(times), max(times)) for (bot, phase), times in found if phase == "waiting"]


def all_bots(shop: Shop, now: int) -> Rows:
    found = shop.on(SEOUL.day(now), None)
    moves, asked = Counter(r.bot_id for _, r in found), Counter(r.bot_id for _, r in answered(found, "agent_connect"))
    return [(bot, moves[bot], asked[bot]) for bot in sorted(moves)]


def path(shop: Shop, now: int) -> Rows:
    rows = sorted(shop.late.rows, key=lambda row: (row.seq, row.part))
    return [(_time(row.occurred_at), row.step, row.dialog, row.move, row.message, row.next_dialog) for row in rows]


def _time(at: int) -> datetime:
    return datetime.fromtimestamp(at // 1000, UTC).replace(microsecond=at % 1000 * 1000)


def per_minute(shop: Shop, now: int) -> Rows:
    minutes = Counter(row.occurred_at // 60_000 for row in shop.last_minutes(30, now) if row.bot_id == BOT)
    return [(datetime.fromtimestamp(minute * 60, UTC), count) for minute, count in sorted(minutes.items())]


def waits_of(shop: Shop, now: int) -> dict[str, list[float]]:
    """How long the customers waited to whom an agent came in the last hour, in order, by bot."""
    waits: dict[str, list[float]] = {}
    for row in shop.last_minutes(60, now):
        if row.move == "agent_served":
            waits.setdefault(row.bot_id, []).append(max(0, row.occurred_at - row.entered_at) / 1000)
    return {bot: sorted(its) for bot, its in sorted(waits.items())}


def long_waits(shop: Shop, now: int) -> Rows:
    found = [(bot, len(w), round(median_high(w)), round(w[-1])) for bot, w in waits_of(shop, now).items()]
    return sorted(found, key=lambda row: (-row[3], row[0]))


def not_understood(shop: Shop, now: int) -> Rows:
    found = [row for row in shop.last_minutes(60, now) if row.move in WAYS_OUT and row.part < 9]
    moves, errors = Counter(r.bot_id for r in found), Counter(r.bot_id for r in found if r.move == "error")
    rows = [(bot, moves[bot], errors[bot], round(100 * errors[bot] / moves[bot], 1)) for bot in errors]
    return sorted(rows, key=lambda row: (-row[3], row[0]))


def bots_in_use(shop: Shop, now: int) -> Rows:
    live = [SEOUL.day(row.occurred_at) for room in shop.rooms for row in room.rows if row.bot_id == BOT]
    closed = [room.ended_on for room, _ in shop.of_week() if room.ended_on]
    days = [day for day in live if day not in WEEK] + closed
    return [(BOT, "주문 봇", min(days), max(days))]


def seals(shop: Shop, now: int) -> Rows:
    return [
        (day, 1, len(rooms), sum(len(room.rows) for room in rooms), int(day == WEEK[2]))
        for day in WEEK
        for rooms in [shop.past.ended([day])]
    ]


#: Of each view the example whose answer is counted here; test_sql_questions.py has the ten questions.
ANSWERS: dict[str, Callable[[Shop, int], Rows]] = {
    "journey_table": table,
    "journey_nodes": give_up,
    "journey_edges": ways,
    "journey_totals": totals,
    "journey_days": lambda shop, now: [(date(2026, 11, day),) for day in range(8, 21)],
    "sankey_links": flow,
    "today_table": table_today,
    "today_nodes": open_today,
    "today_edges": sent_today,
    "day_table": dropouts_of_saturday,
    "day_nodes": balance,
    "day_edges": edges_of_saturday,
    "rooms_now": waiting,
    "live_counts": all_bots,
    "room_path": path,
    "moves_per_minute": per_minute,
    "handoff_waits": long_waits,
    "error_rate": not_understood,
    "dead_letters_by_reason": lambda shop, now: [("not_json", 2, _time(5)), ("conflict", 1, _time(6))],
    "freshness": lambda shop, now: [("t", 1, 2)],
    "bots_list": bots_in_use,
    "late_rooms": lambda shop, now: [(WEEK[2], "closed_late", 1)],
    "seals": seals,
    "columns_help": lambda shop, now: [(column,) for column in described()["journey_nodes"]],
}

#: Where an example shows more: which of its columns are counted here; the others are in test_views_*.
SHOWN = {
    "journey_table": ("step", "dialog", "move", "message", "next_step", "next_dialog", "moves"),
    "today_table": ("step", "dialog", "move", "message", "next_step", "next_dialog", "moves"),
    "columns_help": ("column",),
}


def example(view: str) -> str:
    """The first example of docs/sql.md that asks this view, with the bot and the room made here."""
    texts = [text for text in re.findall(r"```sql\n(.*?)```", DOCS, re.DOTALL) if re.search(rf"FROM {view}\b", text)]
    assert texts, f"docs/sql.md has no example of {view}"
    return str(texts[0])


def asked(client: Client, shop: Shop, view: str) -> Rows:
    text = example(view).replace("'orders'", f"'{BOT}'").replace("'room-4711'", f"'{shop.late.room_id}'")
    answer = client.table(text)
    if view not in SHOWN:
        return answer.rows
    rows = [tuple(row[name] for name in SHOWN[view]) for row in answer.dicts()]
    return rows if view == "columns_help" else sorted(rows)


def test_every_view_has_an_answer() -> None:
    assert sorted(ANSWERS) == NAMES


@pytest.mark.parametrize("view", sorted(ANSWERS))
def test_an_example_of_each_view_answers_rightly(client: Client, shop: Shop, view: str) -> None:
    answers_rightly(shop, ANSWERS[view], lambda: asked(client, shop, view))


def answers_rightly(shop: Shop, counted: Callable[[Shop, int], Rows], ask: Callable[[], Rows]) -> None:
    for _ in range(100):  # until no second, minute or day ended while it was asked
        before = counted(shop, now_ms())
        got = ask()
        if before == counted(shop, now_ms()):
            break
    assert got == before
    assert got
