"""Events, half of them broken at random. Where a mutation breaks a rule on purpose, it knows the reason."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from tests.faults.second_reading import (
    EPOCH,
    IDS,
    LABELS,
    LARGEST,
    ONE_OF,
    Fields,
    Reasons,
)


# -- events ------------------------------------------------------------------------------------------------------------
class Sent(NamedTuple):
    """A record to send. `reasons`: those for which it must become a dead letter, none if it is an event or a copy of
    one; None: whoever broke it does not know."""

    value: bytes | None
    key: bytes | None
    reasons: Reasons | None


ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz0123456789-_",
    "가나다라마바사아자차카타파하 ",
    '😀🚚é\u3000\u200b\x00\x1b\\"/<',
)


class Feed:
    """A stream of events and of broken copies of them, one for each; some 2,000 rooms are open at any time.

    `now`: around when it all happens, ms. The same seed and now give the same stream.
    """

    def __init__(self, seed: int, now: int, rooms: int = 2000) -> None:
        self.rng, self.now = random.Random(seed), now
        self.opened = 0
        self.rooms = [self._room() for _ in range(rooms)]

    def records(self) -> Iterator[Sent]:
        while True:
            event = self._next()
            whole = Sent(dumped(event, self.rng), event["room_id"].encode(), frozenset())
            broken = self._broken(event)
            # a conflict is one only after what it conflicts with
            first = self.rng.random() < 0.5 and "conflict" not in (broken.reasons or ())
            yield from (broken, whole) if first else (whole, broken)

    def _room(self) -> Fields:
        self.opened += 1
        return {
            "site_id": self.rng.choice(("shop", "은행", "s" * 128)), "bot_id": f"bot-{self.rng.randrange(5)}",
            "room_id": f"{self.opened}-{self.word(1, 12)}", "customer_id": self.word(1, 20), "seq": 0,
        }  # fmt: skip

    def word(self, least: int, most: int) -> str:
        alphabet = self.rng.choices(ALPHABETS, (8, 4, 1))[0]
        return "".join(self.rng.choices(alphabet, k=self.rng.randint(least, most)))

    def _next(self) -> Fields:
        rng, place = self.rng, self.rng.randrange(len(self.rooms))
        room = self.rooms[place]
        room["seq"] += 1
        event = {"type": "turn", **room, "occurred_at": self.time()}
        chance = rng.random()
        if chance < 0.1:
            self.rooms[place] = self._room()
            return {**event, "type": "room_closed", "closed_by": rng.choice(ONE_OF["closed_by"])}
        if chance < 0.16:
            return {**event, "type": rng.choice(("agent_assigned", "agent_served"))}
        return event | self._said()

    def _said(self) -> Fields:
        rng = self.rng
        kind = rng.choice(ONE_OF["input_kind"])
        said: Fields = {"input_kind": kind, "dialog": rng.choice(("홈", "A", "B", "C", None))}
        if kind != "none":
            hotkeys = ("home", "back", "agent", "FAQ")
            said["input"] = rng.choice(hotkeys) if kind == "hotkey" else self.word(1, 9)
        for name, values in (("channel", ("web", "")), ("error", (True, False, None)), ("etc", ({"a": [1]}, 1e300))):
            if rng.random() < 0.3:
                said[name] = rng.choice(values)
        return said

    def time(self, ahead: int = 0) -> str:
        """A time of the last hour, or so many ms later, in one of the ways to write it."""
        rng = self.rng
        at = EPOCH + timedelta(milliseconds=self.now + ahead - rng.randrange(3_600_000))
        hours = rng.choice((0, 9, -5))
        local = (at + timedelta(hours=hours)).isoformat(
            timespec=rng.choice(("milliseconds", "microseconds", "seconds"))
        )
        return local.replace("+00:00", "Z" if hours == 0 else f"{hours:+03d}:00")

    def _broken(self, event: Fields) -> Sent:
        _, mutate = self.rng.choice(MUTATIONS)
        return mutate(self, event)


def dumped(event: Fields, rng: random.Random | None = None) -> bytes:
    """The event as JSON; with `rng` in any order of fields, with any white space and any escapes."""
    if rng is not None and rng.random() < 0.3:
        items = list(event.items())
        rng.shuffle(items)
        return json.dumps(dict(items), ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1))).encode()
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


# -- how to break them -------------------------------------------------------------------------------------------------
Mutation = Callable[[Feed, Fields], Sent]
MUTATIONS: list[tuple[str, Mutation]] = []


def breaks(*reasons: str, often: int = 10) -> Callable[[Callable[[Feed, Fields], Any]], Callable[[Feed, Fields], Any]]:
    """A mutation that gives the event changed, or its bytes, or (bytes, key); the reasons are known. None: are not."""

    def register(mutate: Callable[[Feed, Fields], Any]) -> Callable[[Feed, Fields], Any]:
        def apply(feed: Feed, event: Fields) -> Sent:
            key = event["room_id"].encode()
            made = mutate(feed, event)
            value, key = made if isinstance(made, tuple) else (made, key)
            raw = dumped(value, feed.rng) if isinstance(value, dict) else value
            return Sent(raw, key, None if "?" in reasons else frozenset(reasons))

        MUTATIONS.extend([(mutate.__name__, apply)] * often)
        return mutate

    return register


def required(event: Fields) -> list[str]:
    own = {"turn": ["input_kind"], "room_closed": ["closed_by"]}.get(event["type"], [])
    if event.get("input_kind", "none") != "none":
        own = [*own, "input"]
    return ["type", *IDS, "seq", "occurred_at", *own]


@breaks("missing_field", often=30)
def a_field_less(feed: Feed, event: Fields) -> Fields:
    name = feed.rng.choice(required(event))
    if feed.rng.random() < 0.5:
        return {**event, name: None}
    return {key: value for key, value in event.items() if key != name}


@breaks("wrong_type", often=30)
def another_type(feed: Feed, event: Fields) -> Fields:
    values = [1, 1.5, True, ["x"], {"x": "y"}, -7, 2**65]
    names = [name for name in required(event) if name != "seq"] + list(LABELS)
    return {**event, feed.rng.choice(names): feed.rng.choice(values)}


@breaks("wrong_type")
def a_seq_that_is_no_integer(feed: Feed, event: Fields) -> Fields:
    return {**event, "seq": feed.rng.choice(["1", 1.5, 2.0, True, [1], {}, 1e300])}


@breaks("bad_value")
def a_seq_out_of_range(feed: Feed, event: Fields) -> Fields:
    return {**event, "seq": feed.rng.choice([0, -1, 2**31, 2**63, 2**64, 2**70, 10**400])}


@breaks("bad_value")
def an_id_that_is_empty_or_long(feed: Feed, event: Fields) -> tuple[Fields, bytes]:
    changed = {**event, feed.rng.choice(IDS): feed.rng.choice(["", "x" * 129, "😀" * 129])}
    return changed, changed["room_id"].encode()


@breaks("bad_value")
def a_long_name(feed: Feed, event: Fields) -> Fields:
    names = [*LABELS, *(["dialog"] if event["type"] == "turn" else [])]
    return {**event, feed.rng.choice(names): feed.rng.choice(["가" * 257, "😀" * 300])}


@breaks("bad_value")
def an_unknown_word(feed: Feed, event: Fields) -> Fields:
    name = {"turn": "input_kind", "room_closed": "closed_by"}.get(event["type"], "type")
    return {**event, name: feed.rng.choice(["", "TURN", "none ", "timeout", "turn\u200b"])}


@breaks("bad_value", often=20)
def a_time_that_is_none(feed: Feed, event: Fields) -> Fields:
    good = feed.time()
    return {**event, "occurred_at": feed.rng.choice([
        good[:19], good[:10], "", "now", "0000-01-01T00:00:00Z", "2026-02-30T00:00:00Z", "2016-12-31T23:59:60Z",
        "9999-12-31T23:59:59Z", "1999-12-31T23:59:59.999Z", feed.time(172_800_000), good + " ", good + "\x00",
        "2026-11-23T10:00:00+24:00", "2026-11-23T10:00Z", "1793404800000",
    ])}  # fmt: skip


@breaks("key_mismatch", often=20)
def another_key(feed: Feed, event: Fields) -> tuple[Fields, bytes | None]:
    room = event["room_id"].encode()
    return event, feed.rng.choice(
        [None, b"", b"\xff\x00", room + b" ", b"x" + room, event["customer_id"].encode() + b"?"]
    )


@breaks("not_json", often=20)
def cut_off(feed: Feed, event: Fields) -> bytes:
    whole = dumped(event)
    return whole[: feed.rng.randrange(len(whole))]


@breaks("not_json")
def not_utf8(feed: Feed, event: Fields) -> bytes:
    bad = feed.rng.choice([b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x28\xa1"])
    return dumped({**event, "etc": "§"}).replace("§".encode(), bad)


@breaks("not_json")
def no_json_literal(feed: Feed, event: Fields) -> bytes:
    bad = feed.rng.choice(
        [b"NaN", b"-Infinity", b"01", b"+1", b".5", b"1.", b"'x'", b"undefined", b'"\x00"', rb'"\ud800"']
    )
    return dumped({**event, "etc": 77_777}).replace(b"77777", bad)


@breaks("not_json")
def something_around_it(feed: Feed, event: Fields) -> bytes:
    before, after = feed.rng.choice([(b"", b"x"), (b"\xef\xbb\xbf", b""), (b"", b"\0"), (b"", b"{}"), (b"[", b"")])
    return before + dumped(event) + after


@breaks("not_json")
def nothing(feed: Feed, event: Fields) -> tuple[bytes | None, bytes | None]:
    return feed.rng.choice([None, b"", b" \n"]), feed.rng.choice([None, b"", event["room_id"].encode()])


@breaks("not_json", often=1)
def very_deep(feed: Feed, event: Fields) -> bytes:
    depth = feed.rng.choice([600, 5000])
    brackets = feed.rng.choice([(b"[", b"]"), (b'{"a":', b"1}")])
    filling = brackets[0] * depth + (b"" if brackets[0] == b"[" else b"1") + brackets[1].replace(b"1", b"") * depth
    return dumped({**event, "etc": 77_777}).replace(b"77777", filling)


@breaks("not_object")
def no_object(feed: Feed, event: Fields) -> bytes:
    return feed.rng.choice([b"null", b"[]", b"1e999", b'"x"', b"[" + dumped(event) + b"]", b"false"])


@breaks("too_large", often=1)
def too_large(feed: Feed, event: Fields) -> bytes:
    bare = len(dumped({**event, "etc": ""}))
    return dumped({**event, "etc": "x" * (LARGEST - bare + feed.rng.choice([1, 1, 2, 3000]))})


@breaks("conflict", often=20)
def another_event_with_its_seq(feed: Feed, event: Fields) -> Fields:
    name = feed.rng.choice(["customer_id", "bot_id", "category"])
    return {**event, name: f"{event.get(name) or ''}!"}


@breaks()
def a_copy(feed: Feed, event: Fields) -> Fields:
    """No dead letter: unknown fields and another way to write it do not make it another event."""
    return {**event, "more": feed.rng.choice([None, 1e-400, [[[]]], "x" * 3000])}


@breaks("?", often=30)
def a_byte_changed(feed: Feed, event: Fields) -> bytes:
    raw = bytearray(dumped(event))
    raw[feed.rng.randrange(len(raw))] = feed.rng.randrange(256)
    return bytes(raw)


@breaks("?", often=20)
def a_bit_flipped_in_a_digit(feed: Feed, event: Fields) -> bytes:
    raw = bytearray(dumped(event))
    digits = [at for at, byte in enumerate(raw) if 0x30 <= byte < 0x3A]
    raw[feed.rng.choice(digits)] ^= 1 << feed.rng.randrange(7)
    return bytes(raw)


@breaks("?")
def bytes_left_out_or_twice(feed: Feed, event: Fields) -> bytes:
    raw, rng = dumped(event), feed.rng
    start = rng.randrange(len(raw))
    end = min(len(raw), start + rng.randint(1, 30))
    made = raw[:start] + raw[end:] if rng.random() < 0.5 else raw[:end] + raw[start:]
    # a field twice, once in order and once not: the contract does not say what that is
    return made[:-1] if made.count(b'":') > raw.count(b'":') else made
