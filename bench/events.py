"""Events to measure with: rooms of a few turns, many open at once, as a producer would send them."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime

import orjson

TURNS = 8
OPEN = 2_000


def room_events(number: int, rng: random.Random) -> Iterator[dict[str, object]]:
    """A room of 8 turns and its close; occurred_at is filled in when it is sent."""
    head = {
        "site_id": "bench",
        "bot_id": f"bot-{number % 25}",
        "room_id": f"room-{number:012d}",
        "customer_id": f"customer-{rng.randrange(10**6):07d}",
        "channel": rng.choice(("kakao", "web", "app")),
        "scenario_version": "2026-11",
    }
    for seq in range(1, TURNS + 1):
        place = int(4 * rng.random() ** 2)  # a button leads to its dialog, and a few have most of the moves
        sent = {"input_kind": "none"} if seq == 1 else {"input_kind": "button", "input": f"선택 {place}"}
        yield {"type": "turn", **head, "seq": seq, "dialog": f"대화 {seq}-{place}", **sent}
    yield {"type": "room_closed", **head, "seq": TURNS + 1, "closed_by": "customer"}


def stream(count: int, seed: int = 1) -> Iterator[tuple[bytes, dict[str, object]]]:
    """`count` events of rooms that are open at the same time, in the order of seq within each: (key, event)."""
    rng = random.Random(seed)
    numbers = iter(range(count))
    rooms = [room_events(next(numbers), rng) for _ in range(OPEN)]
    sent = 0
    while sent < count:
        place = rng.randrange(OPEN)
        event = next(rooms[place], None)
        if event is None:
            rooms[place] = room_events(next(numbers), rng)
            continue
        sent += 1
        yield str(event["room_id"]).encode(), event


def stamped(event: dict[str, object]) -> bytes:
    """The event as JSON, occurring now."""
    return orjson.dumps({**event, "occurred_at": datetime.now(UTC).isoformat(timespec="milliseconds")})
