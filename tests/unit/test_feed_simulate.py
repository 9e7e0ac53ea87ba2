"""The made-up shop: believable, the same for the same seed, and valid."""

from collections import Counter, defaultdict
from datetime import date
from itertools import islice, pairwise

import orjson
import pytest

from feed.scenario import OTHER_BOT, SHOP, Bot
from feed.simulate import Faults, Shop, Timed, bot_changes, history, live
from journey.calendar import Calendar
from journey.decode import YEAR_2149, decode, decode_bot
from journey.events import Entry, Event, RoomKey
from journey.fold import Folded, fold

DAY, HOUR = 86_400_000, 3_600_000
FIRST = date(2026, 11, 18)
CALENDAR = Calendar("Asia/Seoul")
FOR_EVER = YEAR_2149 - 1

Rooms = dict[RoomKey, dict[int, Entry]]


def days(
    shop: Shop | None = None, *, number: int = 3, faults: Faults | None = None, until: int = FOR_EVER
) -> list[Timed]:
    return list(history(shop or Shop(), FIRST, number, rooms_a_day=300, until=until, faults=faults))


def rooms_of(events: list[Timed]) -> Rooms:
    """Each room's events by seq, the first copy of each; DeadLetter where one is not valid."""
    rooms: Rooms = defaultdict(dict)
    for offset, (at, event) in enumerate(events):
        found = decode(orjson.dumps(event), event["room_id"].encode(), at)
        assert isinstance(found, tuple)
        rooms[found[0]].setdefault(found[1].seq, Entry(found[1], offset, at))
    return rooms


def folds_of(rooms: Rooms) -> list[Folded]:
    folds = [fold([room[seq] for seq in sorted(room)], DAY, FOR_EVER) for room in rooms.values()]
    return [folded for folded in folds if folded is not None]


@pytest.fixture(scope="module")
def three_days() -> list[Timed]:
    return days()


@pytest.fixture(scope="module")
def rooms(three_days: list[Timed]) -> Rooms:
    return rooms_of(three_days)


def all_events(rooms: Rooms) -> list[Event]:
    return [entry.event for room in rooms.values() for entry in room.values()]


def test_rooms_are_whole(rooms: Rooms) -> None:
    assert len(rooms) == 900
    assert all(sorted(room) == list(range(1, len(room) + 1)) for room in rooms.values())
    for room in rooms.values():
        times = [room[seq].event.occurred_at for seq in sorted(room)]
        assert times == sorted(times)


def test_events_come_in_the_order_of_time(three_days: list[Timed]) -> None:
    times = [at for at, _ in three_days]
    assert times == sorted(times)


def test_every_move_and_every_way_of_it_occurs(rooms: Rooms) -> None:
    rows = [row for folded in folds_of(rooms) for row in folded.rows]
    by_move: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        by_move[row.move].add(row.message)
    assert set(by_move) == {"start", "next_step", "error", "agent_connect", "agent_served", "bot_end", "dropout"}
    assert by_move["agent_connect"] == {"agent", "(takeover)"}
    assert by_move["bot_end"] == {"customer", "auto", "manager", "timeout"}
    assert {"home", "back", "(bot)", "order_status", "refund", "coupon"} <= by_move["dropout"]
    assert {"(text)", "(auto)", "주문 배송 조회"} <= by_move["next_step"]


def test_every_kind_of_event_occurs(rooms: Rooms) -> None:
    events = all_events(rooms)
    turns = [event for event in events if event.type == "turn"]
    assert {event.type for event in events} == {"turn", "agent_assigned", "agent_served", "room_closed"}
    assert {event.closed_by for event in events} == {"", "customer", "agent", "manager", "auto"}
    assert {event.error for event in turns} == {None, True, False}
    assert any(event.dialog is None and event.input_kind == "none" for event in turns)
    assert {event.bot_id for event in events} == {bot.bot_id for bot in SHOP}


def test_rooms_change_bots_go_over_midnight_and_come_too_late(rooms: Rooms) -> None:
    by_room = [[entry.event for entry in room.values()] for room in rooms.values()]
    assert any(len({event.bot_id for event in room}) > 1 for room in by_room)
    assert any(CALENDAR.day(room[0].occurred_at) != CALENDAR.day(room[-1].occurred_at) for room in by_room)
    gaps = [b.occurred_at - a.occurred_at for room in by_room for a, b in pairwise(room)]
    assert any(gap >= DAY for gap in gaps)
    assert any(HOUR <= gap < DAY for gap in gaps)
    assert any(room[-1].type != "room_closed" for room in by_room)


def test_customers_return_on_several_days(rooms: Rooms) -> None:
    seen = defaultdict(set)
    for folded in folds_of(rooms):
        seen[folded.room.customer_id].add(CALENDAR.day(folded.room.opened_at))
    assert Counter(map(len, seen.values()))[3] > 10


def test_nights_are_quiet(rooms: Rooms) -> None:
    opened = Counter((folded.room.opened_at // HOUR + 9) % 24 for folded in folds_of(rooms))
    assert sum(opened[h] for h in range(2, 6)) * 5 < sum(opened[h] for h in range(19, 23))


def test_same_seed_same_events(three_days: list[Timed]) -> None:
    assert days() == three_days
    assert days(Shop(seed=2)) != three_days


def test_a_day_is_the_same_whatever_the_others(rooms: Rooms) -> None:
    other = rooms_of(list(history(Shop(), date(2026, 11, 19), 1, rooms_a_day=300, until=FOR_EVER)))
    assert len(other) == 300
    for key, room in other.items():
        assert [e.event for e in room.values()] == [e.event for e in rooms[key].values()]


def test_other_seeds_and_shops_have_other_rooms() -> None:
    first, second, fewer = (set(rooms_of(days(shop, number=1))) for shop in (Shop(), Shop(seed=2), Shop(bots=3)))
    assert not first & second
    assert not first & fewer


def test_nothing_happens_after_until(three_days: list[Timed]) -> None:
    until = CALENDAR.midnight(date(2026, 11, 21))
    cut = days(until=until)
    assert cut == [timed for timed in three_days if timed[0] < until]
    assert len(cut) < len(three_days)


def test_faults(three_days: list[Timed], rooms: Rooms) -> None:
    sent = days(faults=Faults(duplicates=0.05, disorder=0.05, gaps=0.02))
    with_faults = rooms_of(sent)
    lost = sum(map(len, rooms.values())) - sum(map(len, with_faults.values()))
    assert 0.01 < lost / len(three_days) < 0.03
    assert len(sent) - len(all_events(with_faults)) > 0.03 * len(three_days)
    overtaken = [
        (entry, room[seq + 1])
        for room in with_faults.values()
        for seq, entry in room.items()
        if seq + 1 in room and room[seq + 1].offset < entry.offset
    ]
    assert len(overtaken) > 20
    assert all(0 <= late.received_at - late.event.occurred_at <= 30_000 for late, _ in overtaken)
    for key, room in with_faults.items():
        assert all(entry.event == rooms[key][seq].event for seq, entry in room.items())


def test_live() -> None:
    start, rate = 1_795_402_800_123, 100.0
    events = list(islice(live(Shop(), start, rate), 20_000))
    assert events[0][0] == start
    assert events == list(islice(live(Shop(), start, rate), 20_000))
    rooms_of(events)
    steady = [at for at, _ in events if start + 60_000 <= at < start + 160_000]
    assert 0.7 * rate < len(steady) / 100 < 1.3 * rate
    lengths = sorted(
        max(e.event.occurred_at for e in room.values()) - min(e.event.occurred_at for e in room.values())
        for room in list(rooms_of(events).values())[:500]
    )
    assert lengths[400] < 90_000, "four in five rooms are over within a minute or so"


def test_runs_never_meet_in_a_room() -> None:
    first, second = (
        set(rooms_of(list(islice(live(Shop(), at, 50), 500)))) for at in (1_795_402_800_000, 1_795_402_800_001)
    )
    assert not first & second


@pytest.mark.parametrize("bot", SHOP, ids=lambda bot: bot.bot_id)
def test_scenario_leads_nowhere_that_is_not_there(bot: Bot) -> None:
    bots = {other.bot_id for other in SHOP}
    for name, dialog in bot.dialogs.items():
        for target in [*dialog.buttons.values(), dialog.asks, dialog.then]:
            assert target in ("", name, *bot.dialogs) or target.removeprefix(OTHER_BOT) in bots
    assert set(bot.shortcuts.values()) <= set(bot.dialogs)


def test_bots_are_valid_and_one_is_out_of_use() -> None:
    known = {}
    for change in bot_changes(Shop()):
        found, _ = decode_bot(orjson.dumps(change), f"shop:{change['bot_id']}".encode(), FOR_EVER)
        known[found.bot_id] = found.in_use
    assert known == {"delivery": True, "return": True, "order": True, "member": True, "event": False}
