"""The demo's shop as it stands in a database: its simulated history folded and sealed, without a broker."""

import random
from datetime import date, timedelta
from itertools import groupby

import orjson

from feed.simulate import Shop, bot_changes, history
from journey.decode import decode
from journey.events import Entry, Event, Tick
from journey.fold import fold
from sql.client import Client
from tests.integration.made_rooms import SEOUL, SITE, Made, MadeRoom, insert_daily, insert_moves, insert_rooms, sealed

_IDLE = 86_400_000


def rooms(first: date, days: int, rooms_a_day: int, bots: int = 5) -> Made:
    """The shop's rooms of `days` days from `first` on, all of them ended."""
    until = SEOUL.midnight(first + timedelta(days=days + 2))
    shop = Shop(1, SITE, bots)
    events = history(shop, first, days, rooms_a_day=rooms_a_day, until=until)
    found: list[tuple[str, Event]] = []
    for at, wire in events:
        key_event = decode(orjson.dumps(wire), wire["room_id"].encode(), at)
        assert not isinstance(key_event, Tick)
        found.append((wire["room_id"], key_event[1]))
    made = Made()
    for number, (room_id, group) in enumerate(groupby(sorted(found, key=lambda pair: pair[0]), lambda pair: pair[0])):
        made.rooms.append(_room(number, room_id, [event for _, event in group], until))
    return made


def _room(number: int, room_id: str, events: list[Event], now: int) -> MadeRoom:
    entries = [Entry(event, event.seq, event.occurred_at) for event in sorted(events, key=lambda event: event.seq)]
    folded = fold(entries, _IDLE, now + 2 * _IDLE)
    assert folded is not None
    return MadeRoom(room_id, f"customer {number % 50}", folded.rows, folded.room, number=number + 1)


def seal(client: Client, first: date, days: int, rooms_a_day: int = 60, bots: int = 5) -> Made:
    """Seal `days` days of the shop from `first` on, and tell who its bots are."""
    made = rooms(first, days, rooms_a_day, bots)
    for number in range(days):
        insert_daily(client, sealed(made, first + timedelta(days=number), random.Random(1)))
    name_bots(client, bots)
    return made


def name_bots(client: Client, bots: int = 5) -> None:
    """What `chatbot.bots` says of them."""
    for bot in bot_changes(Shop(1, SITE, bots)):
        client.run(
            "INSERT INTO bots (site_id, bot_id, name, in_use, occurred_at, received_at) "
            "VALUES ({site:String}, {bot:String}, {name:String}, {used:UInt8}, now64(3), now64(3))",
            {"site": SITE, "bot": bot["bot_id"], "name": bot["name"], "used": int(bot["in_use"])},
        )


def show_live(client: Client, made: Made) -> None:
    """Lay the rooms into `moves` and `rooms`, as the worker does."""
    insert_moves(client, made, random.Random(2))
    insert_rooms(client, made)
