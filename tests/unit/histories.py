"""Random rooms and logs: hotkeys, errors, agents, bot changes, disorder, duplicates, gaps, conflicts, silence."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from msgspec.structs import replace as changed

from journey.events import Entry, Event, RoomKey

HOUR, DAY = 3_600_000, 86_400_000
T0 = 1_793_404_800_000  # 2026-10-31T00:00 in Seoul, give or take: any time will do

DIALOGS = ("home", "A", "B", "C")
BOTS = ("x", "y")


@dataclass(frozen=True)
class Record:
    """A record as aiokafka gives it, as far as a batch looks at it; `sent` is what `decode` would have made of it."""

    offset: int
    timestamp: int
    sent: Any
    key: bytes | None = None
    value: bytes | None = None


def random_turn(rng: random.Random, seq: int, at: int, bot: str) -> Event:
    kind = rng.choice(("none", "button", "button", "text", "hotkey"))
    given = {"button": rng.choice(("1", "2")), "hotkey": rng.choice(("home", "back", "agent", "faq"))}.get(kind, "")
    dialog = rng.choice(DIALOGS) if rng.random() < 0.9 else None
    error = rng.choice((None, None, None, True, False))
    return Event("turn", seq, at, bot, "c", "web", "", "v1", dialog, kind, given, error)


def random_event(rng: random.Random, seq: int, at: int, bot: str) -> Event:
    chance = rng.random()
    if chance < 0.8:
        return random_turn(rng, seq, at, bot)
    if chance < 0.85:
        return Event("agent_assigned", seq, at, bot, "c")
    if chance < 0.94:
        return Event("agent_served", seq, at, bot, "c")
    return Event("room_closed", seq, at, bot, "c", closed_by=rng.choice(("customer", "agent", "manager", "auto")))


def random_room(rng: random.Random, start: int, longest: int = 6) -> list[Event]:
    """The events of a room in the order of seq; pauses of seconds to days."""
    at, bot, events = start, rng.choice(BOTS), []
    for seq in range(1, rng.randint(1, longest) + 1):
        here = rng.choice(BOTS) if rng.random() < 0.15 else bot
        events.append(random_event(rng, seq, at, here))
        bot = here if rng.random() < 0.5 else bot
        at += (
            rng.randint(0, 20_000)
            if rng.random() < 0.8
            else rng.choice((DAY - 1, DAY, DAY + 1, DAY // 2, HOUR, -30_000))
        )
    return events


def _sent(rng: random.Random, key: RoomKey, events: list[Event]) -> list[tuple[int, RoomKey, Event]]:
    """When each event is received: late, twice, never, or with other content."""
    sent = []
    for event in events:
        if rng.random() < 0.07 and len(events) > 1:
            continue
        late = (
            rng.randint(0, 3000)
            if rng.random() < 0.6
            else rng.choice((29_999, 30_000, 45_000, 60_000, HOUR, DAY, DAY // 2))
        )
        received = event.occurred_at + late
        sent.append((received, key, event))
        if rng.random() < 0.15:
            sent.append((received + rng.choice((0, 1, 31_000, HOUR, DAY + 5)), key, event))
        if rng.random() < 0.05:
            sent.append((received + rng.choice((-5, 5, 40_000)), key, changed(event, channel="other")))
    return sent


def random_log(rng: random.Random, *, rooms: int = 3, in_order: bool = True) -> list[Record]:
    """One partition's log. `in_order`: received_at only grows, as in chatbot.turns; else as in an import."""
    sent: list[tuple[int, RoomKey, Event]] = []
    for number in range(rng.randint(1, rooms)):
        start = T0 + rng.choice((-5000, -40_000, 0, HOUR, 11 * HOUR))
        sent += _sent(rng, RoomKey(rng.choice(("s", "t")), f"r{number}"), random_room(rng, start))
    if in_order or rng.random() < 0.5:
        sent.sort(key=lambda item: (item[0], rng.random()))
    log, time = [], 0
    for offset, (received, key, event) in enumerate(sent):
        time = max(time, received) if in_order else received
        log.append(Record(offset, time, (key, event)))
    return log


def received(log: list[Record]) -> dict[RoomKey, dict[int, Entry]]:
    """From the log alone: of each seq the copy with the lowest offset."""
    rooms: dict[RoomKey, dict[int, Entry]] = {}
    for record in log:
        if isinstance(record.sent, tuple):
            key, event = record.sent
            rooms.setdefault(key, {}).setdefault(event.seq, Entry(event, record.offset, record.timestamp))
    return rooms


def wire(key: RoomKey, event: Event, text: str) -> bytes:
    """The event as it is on the wire; `text`: what the customer typed, where the input is text."""
    value: dict[str, Any] = {
        "type": event.type,
        "site_id": key.site_id,
        "room_id": key.room_id,
        **{name: getattr(event, name) for name in ("bot_id", "customer_id", "seq")},
        "occurred_at": datetime.fromtimestamp(event.occurred_at / 1000, UTC).isoformat(timespec="milliseconds"),
        **{name: getattr(event, name) for name in ("channel", "category", "scenario_version")},
    }
    if event.type == "turn":
        given = text if event.input_kind == "text" else event.input or None
        value |= {"dialog": event.dialog, "input_kind": event.input_kind, "input": given, "error": event.error}
    elif event.type == "room_closed":
        value["closed_by"] = event.closed_by
    return orjson.dumps(value)
