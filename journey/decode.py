"""From the bytes of a record to an event, or the reason why it is none."""

import re
from sys import intern
from typing import Any

import msgspec

from journey.errors import DeadLetter
from journey.events import (
    MAX_BYTES,
    AgentAssigned,
    AgentServed,
    BotChange,
    Event,
    RoomClosed,
    RoomKey,
    Tick,
    Turn,
)

#: A Date of ClickHouse ends in June 2149, and wraps silently: an event, and what silence makes of it, lies before.
YEAR_2000, YEAR_2149 = 946_684_800_000, 5_648_745_600_000
DAY = 86_400_000

#: How deep arrays and objects may lie in one another, in fields that nobody reads. The parser's own limit is what is
#: left of Python's stack: whether a record is an event would depend on who asks, and not on the log alone.
DEEPEST = 500

_events = msgspec.json.Decoder(Turn | AgentAssigned | AgentServed | RoomClosed | Tick)
_bots = msgspec.json.Decoder(BotChange)
_any = msgspec.json.Decoder(msgspec.Raw)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
#: What msgspec says where a value is of another JSON type; everything else it says is about the value.
_OTHER_TYPE = re.compile(
    r"Expected `[^`]*`(, got `\w+`)?( - at `[^`]*`)?$|Number out of range - at `\$\.(?!seq`)",
)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def decode(value: bytes | None, key: bytes | None, received_at: int) -> tuple[RoomKey, Event] | Tick:
    """The event of a record of `chatbot.turns`; raises DeadLetter where it breaks the contract.

    `received_at` is the record's time in ms; `occurred_at` may be a day ahead of it.
    """
    wire = _parse(_events, value)
    if type(wire) is Tick:
        return wire
    if key is None or key != wire.room_id.encode():
        raise DeadLetter("key_mismatch", f"the record's key is {key!r}, its room_id {wire.room_id!r}")
    event = _event(wire, milliseconds(wire.occurred_at, received_at))
    return RoomKey(intern(wire.site_id), wire.room_id), event


def decode_bot(value: bytes | None, key: bytes | None, received_at: int) -> tuple[BotChange, int]:
    """The change of a record of `chatbot.bots`, and its occurred_at in ms; raises DeadLetter as `decode` does."""
    change: BotChange = _parse(_bots, value)
    if key is None or key != f"{change.site_id}:{change.bot_id}".encode():
        raise DeadLetter("key_mismatch", f"the record's key is {key!r}, not {change.site_id}:{change.bot_id}")
    return change, milliseconds(change.occurred_at, received_at)


def milliseconds(occurred_at: Any, received_at: int) -> int:
    """A time of the contract in ms since the epoch, cut below the millisecond."""
    if received_at >= YEAR_2149:  # the sender's mistake in an import: it would close every room of the partition
        raise DeadLetter("bad_value", f"the record's own time is {received_at} ms, beyond the year 2148")
    at: int = round(occurred_at.timestamp() * 1e6) // 1000
    if not YEAR_2000 <= at <= received_at + DAY:
        raise DeadLetter(
            "bad_value",
            f"occurred_at {occurred_at.isoformat()} is not from the year 2000 to a day after it was received",
        )
    return at


def _event(wire: Any, at: int) -> Event:
    kind = type(wire)
    dialog = given = error = None
    input_kind = closed_by = ""
    if kind is Turn:
        if wire.input is None and wire.input_kind != "none":
            raise DeadLetter("missing_field", f"input is missing, and input_kind is {wire.input_kind}")
        input_kind, error = wire.input_kind, wire.error
        dialog = None if wire.dialog is None else intern(wire.dialog)
        if input_kind == "button" or input_kind == "hotkey":
            given = intern(wire.input)
            if len(given) > 256:
                raise DeadLetter("bad_value", "the name of a button or hotkey has more than 256 characters")
    elif kind is RoomClosed:
        closed_by = wire.closed_by
    return Event(
        _TYPES[kind],
        wire.seq,
        at,
        intern(wire.bot_id),
        wire.customer_id,
        intern(wire.channel or ""),
        intern(wire.category or ""),
        intern(wire.scenario_version or ""),
        dialog,
        input_kind,
        given or "",
        error,
        closed_by,
    )


_TYPES: dict[Any, str] = {
    Turn: "turn",
    AgentAssigned: "agent_assigned",
    AgentServed: "agent_served",
    RoomClosed: "room_closed",
}


def _parse(decoder: Any, value: bytes | None) -> Any:
    if value is None:
        raise DeadLetter("not_json", "the record has no value")
    if len(value) > MAX_BYTES:
        raise DeadLetter("too_large", f"{len(value)} bytes, more than {MAX_BYTES}")
    if len(value) > 2 * DEEPEST and _is_deeper(value):
        raise DeadLetter("not_json", f"nested deeper than {DEEPEST}")
    try:
        return decoder.decode(value.decode())
    except UnicodeDecodeError as error:
        raise DeadLetter("not_json", str(error)) from None
    except ValueError as error:
        raise _breach(value, str(error)) from None


def _is_deeper(value: bytes) -> bool:
    """Is this nested deeper than DEEPEST, what lies in strings left out?"""
    if value.count(b"[") + value.count(b"{") <= DEEPEST:
        return False
    depth = 0
    for byte in _STRING.sub(b"", value):
        depth += (byte in b"[{") - (byte in b"]}")
        if depth > DEEPEST:
            return True
    return False


def _breach(value: bytes, said: str) -> DeadLetter:
    """Which rule of the contract was broken: first whether it is JSON at all, then an object, then its fields."""
    try:
        _any.decode(value)
    except msgspec.DecodeError as not_json:
        return DeadLetter("not_json", str(not_json))
    if not value.lstrip().startswith(b"{"):
        return DeadLetter("not_object", "the value is JSON, and no object")
    if "missing required field" in said or _is_null(_fields.decode(value), said):
        return DeadLetter("missing_field", said)
    if _OTHER_TYPE.match(said):
        return DeadLetter("wrong_type", said)
    return DeadLetter("bad_value", said)


def _is_null(found: dict[str, msgspec.Raw], said: str) -> bool:
    """null is as absent, also where msgspec calls it a wrong type."""
    at = re.search(r" - at `\$\.(\w+)`$", said)
    return at is not None and at[1] in found and bytes(found[at[1]]) == b"null"
