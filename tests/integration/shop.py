"""A small shop's rooms, written out by hand and laid into `moves` and `daily`, for tests of what people see."""

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from journey.events import Entry, Event
from journey.fold import fold
from sql.client import Client
from tests.integration.made_rooms import SEOUL, Made, MadeRoom, insert_daily, insert_moves, insert_rooms, sealed

BOT = "주문봇"
EVIL = '<img src=x onerror="document.title=1">'
_DAY = 86_400_000

#: What a customer does: (input_kind, input, dialog shown), or (closed, by whom).
Acts = Sequence[tuple[str, str, str] | tuple[str, str]]

JOURNEYS: Sequence[Acts] = (
    (
        ("none", "", "홈"),
        ("button", "배송 조회", "배송 안내"),
        ("button", "도착 예정일", "예정일 안내"),
        ("closed", "customer"),
    ),
    (
        ("none", "", "홈"),
        ("button", "주문 취소", "취소 안내"),
        ("text", "왜 안 되나요", "취소 안내"),
        ("hotkey", "agent", "홈"),
    ),
    (("none", "", "홈"), ("button", "배송 조회", "배송 안내"), ("hotkey", "home", "홈"), ("button", "쿠폰", EVIL)),
    (("none", "", "홈"), ("button", "배송 조회", "배송 안내"), ("hotkey", "back", "홈"), ("closed", "auto")),
    (("none", "", "홈"), ("hotkey", "agent", ""), ("served", ""), ("closed", "agent")),
)


def now() -> int:
    """Milliseconds since the epoch."""
    return int(datetime.now(UTC).timestamp() * 1000)


def today() -> date:
    return SEOUL.day(now())


def yesterday() -> date:
    return today() - timedelta(days=1)


def room(number: int, opened_at: int, acts: Acts) -> MadeRoom:
    """A room with an event a second from `opened_at` (ms) on."""
    events = [_event(seq, opened_at + seq * 1000, act) for seq, act in enumerate(acts, 1)]
    entries = [Entry(event, event.seq, event.occurred_at) for event in events]
    folded = fold(entries, _DAY, entries[-1].received_at)
    assert folded is not None
    return MadeRoom(f"room {number}", f"customer {number % 7}", folded.rows, folded.room, number=number + 1)


def _event(seq: int, at: int, act: tuple[str, ...]) -> Event:
    customer = "customer"
    if act[0] == "closed":
        return Event("room_closed", seq, at, BOT, customer, closed_by=act[1])
    if act[0] == "served":
        return Event("agent_served", seq, at, BOT, customer)
    return Event(
        "turn",
        seq,
        at,
        BOT,
        customer,
        dialog=act[2] or None,
        input_kind=act[0],
        input=act[1] if act[0] != "text" else "",
    )


def seal(client: Client, days: Iterable[date], rooms: int = 40) -> Made:
    """Seal each of `days` with rooms that ended on it."""
    made = Made()
    for day in days:
        noon = SEOUL.midnight(day) + 12 * 3_600_000
        ended = [_ended(len(made.rooms) + n, noon + n * 60_000) for n in range(rooms)]
        made.rooms += ended
        insert_daily(client, sealed(Made(ended), day, random.Random(1)))
    return made


def reseal(client: Client, day: date, rooms: int, revision: int = 2, left_out: Sequence[str] = ()) -> None:
    """Publish another revision of the day, with so many rooms, as the seal does: by one REPLACE PARTITION.

    `left_out`: the bots that it says it left out, as `site:bot`."""
    noon = SEOUL.midnight(day) + 12 * 3_600_000
    ended = Made([_ended(n, noon + n * 60_000) for n in range(rooms)])
    rows = [{**row, "revision": revision} for row in sealed(ended, day, random.Random(1))]
    rows[0]["bots_left_out"] = list(left_out)
    client.run("CREATE TABLE daily_aside AS daily")
    insert_daily(client, rows, "daily_aside")
    client.run(f"ALTER TABLE daily REPLACE PARTITION '{day}' FROM daily_aside")
    client.run("DROP TABLE daily_aside")


def _ended(number: int, opened_at: int) -> MadeRoom:
    acts = JOURNEYS[number % len(JOURNEYS)]
    whole = acts if acts[-1][0] == "closed" else (*acts, ("closed", "auto"))
    return room(number, opened_at, whole)


def show_live(client: Client, rooms: Sequence[MadeRoom]) -> None:
    """Lay the rooms into `moves` and `rooms`, as the worker does."""
    insert_moves(client, Made(list(rooms)), random.Random(2))
    insert_rooms(client, Made(list(rooms)))


def live_rooms(count: int) -> list[MadeRoom]:
    """Rooms that opened a minute ago, or at midnight where that was later."""
    begin = max(SEOUL.midnight(today()), now() - 60_000)
    return [room(1000 + n, begin, JOURNEYS[n % len(JOURNEYS)]) for n in range(count)]
