"""A second reading of the event contract, made from DESIGN.md's table.

It shares nothing with journey.decode: another JSON parser, another way to read times.
"""

import json
import re
from collections.abc import Iterator
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
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt _]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"([Zz]|([+-])([0-9]{2}):?([0-9]{2}))"
)


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
    return (local - EPOCH) // timedelta(milliseconds=1) + int(f"{parts[7] or ''}000"[:3]) - offset
