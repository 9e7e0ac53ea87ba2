"""Events, half of them broken at random; and a second reading of the event contract, made from DESIGN.md's table.

The reading here shares nothing with journey.decode: another JSON parser, another way to read times. Where a mutation
breaks a rule on purpose, it knows the reason without any reading.
"""

import json
import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

Reasons = frozenset[str]
Content = tuple[Any, ...]
Fields = dict[str, Any]

LARGEST, DEEPEST, LATEST_AHEAD = 65_536, 500, 86_400_000
TYPES = ("turn", "agent_assigned", "agent_served", "room_closed")
ONE_OF = {"input_kind": ("none", "button", "text", "hotkey"), "closed_by": ("customer", "agent", "manager", "auto")}
IDS = ("site_id", "bot_id", "room_id", "customer_id")
LABELS = ("channel", "category", "scenario_version")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt _]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"([Zz]|([+-])([0-9]{2}):?([0-9]{2}))"
)


# -- the second reading ------------------------------------------------------------------------------------------------
class Read(NamedTuple):
    """A record's meaning: the room and content of an event, or the reasons why it is none (any may be given)."""

    room: tuple[str, str] | None
    content: Content
    reasons: Reasons


def read(value: bytes | None, key: bytes | None, received_at: int) -> Read:
    """What DESIGN.md's table says of a record of chatbot.turns."""
    if value is None:
        return _wrong("not_json")
    if len(value) > LARGEST:
        return _wrong("too_large")
    try:
        found = json.loads(value.decode(), parse_constant=_no_constant, parse_int=_number, object_pairs_hook=_pairs)
        if _depth(found) > DEEPEST or (b"\\u" in value and _has_surrogate(found)):
            return _wrong("not_json")
    except (ValueError, RecursionError):
        return _wrong("not_json")
    return _of_object(found, key, received_at) if isinstance(found, dict) else _wrong("not_object")


def _wrong(*reasons: str) -> Read:
    return Read(None, (), frozenset(reasons))


def _no_constant(said: str) -> Any:
    raise ValueError(said)


def _number(digits: str) -> int:
    return int(digits[:40]) if len(digits) > 40 else int(digits)


def _pairs(pairs: list[tuple[str, Any]]) -> Fields:
    """The last of a name counts, but an event has one type."""
    found = dict(pairs)
    types = [value for name, value in pairs if name == "type"]
    if len(types) > 1 and any(value != types[0] for value in types):
        found["type"] = "two types"
    return found


def _depth(found: Any) -> int:
    """How deep arrays and objects lie in one another."""
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def _has_surrogate(found: Any) -> bool:
    if isinstance(found, str):
        return any(0xD800 <= ord(char) < 0xE000 for char in found)
    if isinstance(found, dict):
        return any(map(_has_surrogate, found)) or any(map(_has_surrogate, found.values()))
    return isinstance(found, list) and any(map(_has_surrogate, found))


def _of_object(found: Fields, key: bytes | None, received_at: int) -> Read:
    kind = found.get("type")
    if kind not in TYPES:
        return _wrong("missing_field" if kind is None else "bad_value" if isinstance(kind, str) else "wrong_type")
    wrong = set(_breaches(found, kind))
    at = None
    if isinstance(found.get("occurred_at"), str):
        at = milliseconds(found["occurred_at"])
        if at is None or not 946_684_800_000 <= at <= received_at + LATEST_AHEAD:
            wrong.add("bad_value")
    if isinstance(found.get("room_id"), str) and (key is None or key != found["room_id"].encode()):
        wrong.add("key_mismatch")
    if wrong:
        return _wrong(*wrong)
    return Read((found["site_id"], found["room_id"]), _content(found, kind, at), frozenset())


def _breaches(found: Fields, kind: str) -> Iterator[str]:
    for name in IDS:
        yield from _text(found, name, 1, 128, must=True)
    seq = found.get("seq")
    if type(seq) is not int:
        yield "missing_field" if seq is None else "wrong_type"
        if seq == float("inf") or seq == float("-inf"):
            yield "bad_value"  # 1e400: whether it is of the wrong type or only too large is a matter of taste
    elif not 1 <= seq < 2**31:
        yield "bad_value"
    yield from _text(found, "occurred_at", 0, 10**9, must=True)
    for name in LABELS:
        yield from _text(found, name, 0, 256)
    if kind == "turn":
        yield from _turn(found)
    if kind == "room_closed":
        yield from _choice(found, "closed_by")


def _turn(found: Fields) -> Iterator[str]:
    yield from _choice(found, "input_kind")
    kind = found.get("input_kind")
    named = kind in ("button", "hotkey")
    yield from _text(found, "dialog", 1, 256)
    yield from _text(found, "input", 1, 256 if named else 10**9, must=named or kind == "text")
    if type(found.get("error")) not in (bool, type(None)):
        yield "wrong_type"


def _text(found: Fields, name: str, least: int, most: int, must: bool = False) -> Iterator[str]:
    text = found.get(name)
    if text is None:
        yield from ["missing_field"] if must else []
    elif not isinstance(text, str):
        yield "wrong_type"
    elif not least <= len(text) <= most:
        yield "bad_value"


def _choice(found: Fields, name: str) -> Iterator[str]:
    given = found.get(name)
    if given is None or not isinstance(given, str):
        yield "missing_field" if given is None else "wrong_type"
    elif given not in ONE_OF[name]:
        yield "bad_value"


def _content(found: Fields, kind: str, at: int | None) -> Content:
    """In the order of journey.events.Event; typed text is no part of it."""
    turn = found if kind == "turn" else {}
    given = turn.get("input") if turn.get("input_kind") in ("button", "hotkey") else ""
    said = (turn.get("dialog"), turn.get("input_kind") or "", given, turn.get("error"))
    closed_by = found["closed_by"] if kind == "room_closed" else ""
    described = (found.get(name) or "" for name in LABELS)
    return kind, found["seq"], at, found["bot_id"], found["customer_id"], *described, *said, closed_by


def milliseconds(text: str) -> int | None:
    """An RFC 3339 time with an offset in ms since the epoch; None for anything else."""
    parts = _TIME.fullmatch(text)
    if not parts:
        return None
    try:
        local = datetime(*map(int, parts.groups()[:6]), tzinfo=UTC)  # type: ignore[misc,arg-type]
    except ValueError:
        return None
    sign, hours, minutes = parts[9], int(parts[10] or 0), int(parts[11] or 0)
    if hours > 23 or minutes > 59:
        return None
    offset = (-1 if sign == "-" else 1) * (hours * 60 + minutes) * 60_000
    return (local - _EPOCH) // timedelta(milliseconds=1) + int(f"{parts[7] or ''}000"[:3]) - offset


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
        at = _EPOCH + timedelta(milliseconds=self.now + ahead - rng.randrange(3_600_000))
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
