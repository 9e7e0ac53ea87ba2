"""Events of many rooms with all that goes wrong on the way, from a seed; and what each value sent was meant to be.

Two sites use the same room ids. Rooms close, go silent, come back; bots change; events are sent twice, with other
content, too late by less and by more than REORDER_WAIT, after ROOM_IDLE, or never; invalid records lie between them.
"""

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count

import orjson
from msgspec.structs import replace

from journey.calendar import Calendar
from journey.events import MAX_BYTES, TOPIC_IMPORT, TOPIC_LIVE, Event, RoomKey
from tests.unit.histories import BOTS, random_event, wire

SITES = ("s", "t")

#: What a value is meant to be: an event of a room, or the reason why it is a dead letter.
Meant = tuple[RoomKey, Event] | str


@dataclass(frozen=True, slots=True)
class Sent:
    """A record to be sent; `at`: its time in ms, None where the broker says it."""

    topic: str
    key: bytes
    value: bytes
    at: int | None


@dataclass
class _Room:
    key: RoomKey
    bot: str
    customer: str
    left: int
    seq: int = 0


@dataclass(order=True)
class _Due:
    """At `second` of the story: a room speaks, or a value that was held up on its way is sent."""

    second: float
    number: int
    room: _Room | None = field(compare=False)
    sent: tuple[bytes, bytes] | None = field(compare=False)


class Traffic:
    """The records of one topic, made as they are asked for. `meant` has every value handed out so far.

    `clock`: what time (ms) it is at a second of the story; `live`: records carry no time of their own.
    `wait_s`, `idle_s`: REORDER_WAIT and ROOM_IDLE; `per_s`: about so many events in a second of the story.
    """

    def __init__(
        self,
        seed: str,
        name: str,
        clock: Callable[[float], int],
        *,
        live: bool,
        wait_s: float,
        idle_s: float,
        per_s: float,
    ) -> None:
        self.rng = random.Random(f"{seed}/{name}")
        self.name, self.topic = name, TOPIC_LIVE if live else TOPIC_IMPORT
        self.clock, self.live = clock, live
        self.wait_s, self.idle_s = wait_s, idle_s
        self.mean_gap_s = 0.7 * wait_s
        self.meant: dict[bytes, Meant] = {}
        self._target = max(4, round(per_s * self.mean_gap_s))
        self._numbers, self._rooms = count(), count()
        self._due: list[_Due] = []
        self._speaking = 0
        self.last_at = 0

    def records(self) -> Iterator[Sent]:
        """Without end, in the order in which they are to be sent."""
        second = 0.0
        while True:
            while self._speaking < self._target:
                self._open(second + self.rng.random() * self.mean_gap_s)
            due = heapq.heappop(self._due)
            second = due.second
            if due.room is not None:
                self._speak(due.room, second)
            elif due.sent is not None:
                yield self._sent(second, *due.sent)

    def _sent(self, second: float, key: bytes, value: bytes) -> Sent:
        if self.live:
            return Sent(self.topic, key, value, None)
        at = self.clock(second)
        self.last_at = max(self.last_at, at)
        if self.rng.random() < 0.02:  # an import's times need not grow
            at -= self.rng.randrange(round(self.wait_s * 1500))
        return Sent(self.topic, key, value, at)

    def _open(self, second: float) -> None:
        number = next(self._rooms)
        key = RoomKey(SITES[number % 2], f"{self.name}-{number // 2:05}")
        room = _Room(key, self.rng.choice(BOTS), f"customer {self.rng.randrange(300)}", self.rng.randint(1, 24))
        self._speaking += 1
        self._push(second, room=room)

    def _push(self, second: float, room: _Room | None = None, sent: tuple[bytes, bytes] | None = None) -> None:
        heapq.heappush(self._due, _Due(second, next(self._numbers), room, sent))

    def _speak(self, room: _Room, second: float) -> None:
        """The room's next event goes on its way, and the one after it is planned."""
        rng = self.rng
        room.seq += 1
        here = rng.choice(BOTS) if rng.random() < 0.1 else room.bot
        at = self.clock(second) - rng.randrange(300)
        customer = room.customer if rng.random() < 0.98 else "somebody else"
        event = replace(random_event(rng, room.seq, at, here), customer_id=customer)
        room.bot = here if rng.random() < 0.5 else room.bot
        self._send(room.key, event, second)
        room.left -= 1
        ends = event.type == "room_closed" and rng.random() < 0.7
        if ends or room.left <= 0:
            self._speaking -= 1
            return
        gap = rng.expovariate(1 / self.mean_gap_s)
        if rng.random() < 0.01:  # comes back just before, or after, it has closed by itself
            gap = self.idle_s * rng.choice((0.98, 1.02, 1.5))
        self._push(second + gap, room=room)

    def _send(self, key: RoomKey, event: Event, second: float) -> None:
        rng, wait_s = self.rng, self.wait_s
        value = self._value(key, event)
        chance = rng.random()
        if chance >= 0.01:  # else it is lost before it ever reaches the log
            late = 0.0
            if chance < 0.05:
                late = rng.uniform(0, wait_s)
            elif chance < 0.07:
                late = rng.uniform(1, 6) * wait_s
            elif chance < 0.072:
                late = rng.uniform(1, 1.5) * self.idle_s
            self._deliver(key, value, (key, event), second + late)
            if rng.random() < 0.04:
                again = value if rng.random() < 0.5 else self._value(key, event)  # a text may be typed anew
                held = rng.choice((0.0, 0.5 * wait_s, 3 * wait_s, 1.2 * self.idle_s))
                self._deliver(key, again, (key, event), second + late + held)
        if rng.random() < 0.01:
            other = replace(event, channel="other")
            held = rng.choice((-0.1, 0.1, 2)) * wait_s
            self._deliver(key, self._value(key, other), (key, other), second + max(0.0, held))
        if rng.random() < 0.01:
            record, value, reason = self._invalid(key, event)
            self._deliver(key, value, reason, second, record)

    def _deliver(self, key: RoomKey, value: bytes, meant: Meant, second: float, record: bytes | None = None) -> None:
        self.meant[value] = meant
        self._push(second, sent=(key.room_id.encode() if record is None else record, value))

    def _invalid(self, key: RoomKey, event: Event) -> tuple[bytes, bytes, str]:
        """A record with this room's event, broken; its key, its value, the reason."""
        good = self._value(key, event)
        told = orjson.loads(good) | {"broken": self.rng.getrandbits(60)}
        record = key.room_id.encode()
        reason, broken = self.rng.choice((
            ("not_json", good[:-1] + b"%d" % self.rng.getrandbits(60)),
            ("not_json", b"\xff\x00" + good),
            ("not_object", b"[%d, %s]" % (self.rng.getrandbits(60), good)),
            ("missing_field", orjson.dumps({name: told[name] for name in told if name != "customer_id"})),
            ("wrong_type", orjson.dumps(told | {"seq": str(told["seq"])})),
            ("bad_value", orjson.dumps(told | {"seq": 0})),
            ("bad_value", orjson.dumps(told | {"occurred_at": "2026-11-23T00:00:00"})),
            ("too_large", orjson.dumps(told | {"more": "x" * MAX_BYTES})),
            ("key_mismatch", orjson.dumps(told | {"room_id": f"another {self.rng.getrandbits(60)}"})),
        ))  # fmt: skip
        return record, broken, reason

    def _value(self, key: RoomKey, event: Event) -> bytes:
        return wire(key, event, f"글 {self.rng.getrandbits(40)}")


def history_clock(calendar: Calendar, last_day: date, days: int, seconds: float) -> Callable[[float], int]:
    """A story of so many seconds, told about the midnights that end `days` days up to `last_day`, and their cut-offs.

    A fourth of each day's share lies before midnight, a half after it, and a fourth about 00:40.
    """
    share = seconds / days

    def at(second: float) -> int:
        number, within = divmod(second, share)
        day = last_day - timedelta(days=days - 1 - min(int(number), days - 1))
        within += max(0.0, number - days + 1) * share
        midnight = calendar.midnight(day + timedelta(days=1))
        begin = midnight - share * 250 if within < 0.75 * share else midnight + 2_400_000 - share * 875
        return round(begin + within * 1000)

    return at
