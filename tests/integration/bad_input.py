"""Records that break the contract in every way there is, and valid ones that look as if they did, by name.

What is expected is written down here, not asked of journey.decode.
"""

from typing import Any, NamedTuple

import orjson

from journey.events import MAX_BYTES

NOW = 1_793_404_800_000
ROOM = "r"
HEAD = '{"type":"turn","site_id":"s","bot_id":"b","room_id":"r","customer_id":"c"'
AT = '"occurred_at":"2026-10-31T00:00:00+09:00"'
CLOSE: dict[str, Any] = {
    "type": "room_closed", "site_id": "s", "bot_id": "b", "room_id": ROOM, "customer_id": "c",
    "occurred_at": "2026-10-31T00:00:00+09:00", "closed_by": "auto",
}  # fmt: skip


class Case(NamedTuple):
    """A record's value and key, and the reason that it is a dead letter for; "" where it is an event."""

    value: bytes | None
    expected: str
    key: bytes | None = ROOM.encode()


def turn(**fields: Any) -> bytes:
    """A valid turn with these fields instead; its seq is filled in by whoever sends it (`with_seq`)."""
    head = {"type": "turn", "site_id": "s", "bot_id": "b", "room_id": ROOM, "customer_id": "c", "seq": 0}
    rest = {"occurred_at": "2026-10-31T00:00:00+09:00", "input_kind": "button", "input": "배송", "dialog": "안내"}
    return orjson.dumps({**head, **rest, **fields}).replace(b'"seq":0', b'"seq":@')


def literal(name: str, text: str) -> bytes:
    """A turn in which this JSON text stands for a field."""
    return turn(**{name: "§"}).replace('"§"'.encode(), text.encode())


def with_seq(text: str) -> bytes:
    return turn().replace(b'"seq":@', f'"seq":{text}'.encode())


def sized(size: int) -> bytes:
    """A turn whose value has so many bytes, once a seq of six digits is filled in."""
    bare = turn(padding="")
    return turn(padding="x" * (size - len(bare) - 5))


def nested(depth: int) -> bytes:
    return turn()[:-1] + b',"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


CASES: dict[str, Case] = {
    # not JSON at all
    "cut off": Case(turn()[:-20], "not_json"),
    "empty": Case(b"", "not_json"),
    "blank": Case(b" \n", "not_json"),
    "tombstone": Case(None, "not_json"),
    "tombstone without a key": Case(None, "not_json", None),
    "not UTF-8": Case(turn(dialog="?").replace(b"?", b"\xff"), "not_json"),
    "not UTF-8 where nobody looks": Case(turn(x="?").replace(b"?", b"\xc3\x28"), "not_json"),
    "overlong UTF-8": Case(turn(x="?").replace(b"?", b"\xc0\x80"), "not_json"),
    "a surrogate in UTF-8": Case(turn(x="?").replace(b"?", b"\xed\xa0\x80"), "not_json"),
    "UTF-16": Case(turn().decode().encode("utf-16"), "not_json"),
    "a byte order mark": Case(b"\xef\xbb\xbf" + turn(), "not_json"),
    "garbage after it": Case(turn() + b" x", "not_json"),
    "two in one": Case(turn() + turn(), "not_json"),
    "a null byte after it": Case(turn() + b"\0", "not_json"),
    "a raw null byte in a string": Case(turn(dialog="?").replace(b"?", b"\0"), "not_json"),
    "a raw line feed in a string": Case(turn(dialog="?").replace(b"?", b"\n"), "not_json"),
    "a lone surrogate": Case(literal("dialog", r'"\ud800"'), "not_json"),
    "a lone surrogate where nobody looks": Case(literal("x", r'"\udc00 "'), "not_json"),
    "NaN": Case(with_seq("NaN"), "not_json"),
    "NaN where nobody looks": Case(literal("x", "NaN"), "not_json"),
    "Infinity": Case(literal("x", "-Infinity"), "not_json"),
    "a leading zero": Case(with_seq("01"), "not_json"),
    "a trailing comma": Case(turn()[:-1] + b",}", "not_json"),
    "single quotes": Case(b"{'type':'tick'}", "not_json"),
    "a comment": Case(turn() + b"// x", "not_json"),
    "only binary": Case(bytes(range(256)), "not_json"),
    "30,000 deep": Case(turn()[:-1] + b',"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}", "not_json"),
    "501 deep": Case(nested(501), "not_json"),
    "an escape for a terminal": Case(b"\x1b]0;mine\x07\x1b[2J", "not_json"),
    # JSON, and no object
    "null": Case(b"null", "not_object"),
    "an array": Case(b"[" + turn(seq=1).replace(b"@", b"1") + b"]", "not_object"),
    "a string": Case(b'"turn"', "not_object"),
    "a huge number": Case(b"1e999", "not_object"),
    # fields that are not there
    "an empty object": Case(b"{}", "missing_field"),
    **{
        f"{name} {said}": Case(turn(**{name: None}) if said == "null" else turn().replace(text, b""), "missing_field")
        for name, text in (
            ("site_id", b'"site_id":"s",'),
            ("bot_id", b'"bot_id":"b",'),
            ("room_id", b'"room_id":"r",'),
            ("customer_id", b'"customer_id":"c",'),
            ("input_kind", b'"input_kind":"button",'),
            ("occurred_at", AT.encode() + b","),
        )
        for said in ("absent", "null")
    },
    "type absent": Case(turn().replace(b'"type":"turn",', b""), "missing_field"),
    "type null": Case(turn(type=None), "missing_field"),
    "seq null": Case(with_seq("null"), "missing_field"),
    "input null": Case(turn(input=None), "missing_field"),
    "input absent after a hotkey": Case(turn(input_kind="hotkey", input=None), "missing_field"),
    "closed_by null": Case(turn(type="room_closed"), "missing_field"),
    # another JSON type
    "seq a string": Case(with_seq('"1"'), "wrong_type"),
    "seq a float": Case(with_seq("1.5"), "wrong_type"),
    "seq a float that is whole": Case(with_seq("1.0"), "wrong_type"),
    "seq true": Case(with_seq("true"), "wrong_type"),
    "seq an array": Case(with_seq("[1]"), "wrong_type"),
    "a number for an id": Case(turn(customer_id=1), "wrong_type"),
    "a huge number for a name": Case(literal("channel", "1e400"), "wrong_type"),
    "an object for a name": Case(turn(dialog={"a": 1}), "wrong_type"),
    "a string for error": Case(turn(error="true"), "wrong_type"),
    "1 for error": Case(turn(error=1), "wrong_type"),
    "a number for a time": Case(turn(occurred_at=1_793_404_800), "wrong_type"),
    "false for a type": Case(turn(type=False), "wrong_type"),
    # the right type, and no value of it
    "an unknown type": Case(turn(type="turned"), "bad_value"),
    "two types": Case(turn()[:-1] + b',"type":"agent_served"}', "bad_value"),
    "seq 0": Case(with_seq("0"), "bad_value"),
    "seq -1": Case(with_seq("-1"), "bad_value"),
    "seq 2^31": Case(with_seq(str(2**31)), "bad_value"),
    "seq 2^70": Case(with_seq(str(2**70)), "bad_value"),
    "seq of 400 digits": Case(with_seq("9" * 400), "bad_value"),
    "seq 1e400": Case(with_seq("1e400"), "bad_value"),
    "an empty id": Case(turn(site_id=""), "bad_value"),
    "an id of 129 characters": Case(turn(customer_id="가" * 129), "bad_value"),
    "a dialog of 257 characters": Case(turn(dialog="😀" * 257), "bad_value"),
    "a button of 257 characters": Case(turn(input="가" * 257), "bad_value"),
    "a channel of 257 characters": Case(turn(channel="x" * 257), "bad_value"),
    "an empty dialog": Case(turn(dialog=""), "bad_value"),
    "an empty input": Case(turn(input=""), "bad_value"),
    "an unknown input_kind": Case(turn(input_kind="voice"), "bad_value"),
    "an unknown closed_by": Case(turn(type="room_closed", closed_by="nobody"), "bad_value"),
    "a time without an offset": Case(turn(occurred_at="2026-10-31T00:00:00"), "bad_value"),
    "a day alone": Case(turn(occurred_at="2026-10-31"), "bad_value"),
    "the year 9999": Case(turn(occurred_at="9999-12-31T23:59:59-23:59"), "bad_value"),
    "the year 1999": Case(turn(occurred_at="1999-12-31T23:59:59.999Z"), "bad_value"),
    "the year 1": Case(turn(occurred_at="0001-01-01T00:00:00+23:59"), "bad_value"),
    "a leap second": Case(turn(occurred_at="2016-12-31T23:59:60Z"), "bad_value"),
    "24 o'clock": Case(turn(occurred_at="2026-10-30T24:00:00Z"), "bad_value"),
    "the 30th of February": Case(turn(occurred_at="2026-02-30T00:00:00Z"), "bad_value"),
    "a day and a millisecond ahead": Case(turn(occurred_at="2026-11-01T00:00:00.001Z"), "bad_value"),
    # the key
    "no key": Case(turn(), "key_mismatch", None),
    "an empty key": Case(turn(), "key_mismatch", b""),
    "the customer for a key": Case(turn(), "key_mismatch", b"c"),
    "a key that is no UTF-8": Case(turn(), "key_mismatch", b"\xff\xfe"),
    # the size
    "one byte more than 64 KiB": Case(sized(MAX_BYTES + 1), "too_large"),
    "1,000,000 bytes": Case(sized(1_000_000), "too_large"),
    "100,000 brackets": Case(b"[" * 100_000, "too_large"),
    # events, though one might think otherwise
    "a turn": Case(turn(), ""),
    "64 KiB": Case(sized(MAX_BYTES), ""),
    "500 deep": Case(nested(500), ""),
    "brackets in a text": Case(turn(x="[" * 9_000 + '"\\'), ""),
    "a null byte, escaped": Case(literal("dialog", r'"a\u0000b"'), ""),
    "control characters, escaped": Case(literal("dialog", r'"\u001b[31m\u009b\u202e\u007f"'), ""),
    "a pair of surrogates": Case(literal("dialog", r'"\ud83d\ude00"'), ""),
    "unknown fields": Case(turn(mood={"a": [1, None, {}]}, seqq="x"), ""),
    "a field of another type's": Case(turn(closed_by=7), ""),
    "huge numbers where nobody looks": Case(literal("x", f"[1e400,-1e-400,{2**70},{'9' * 4000}]"), ""),
    "ids of 128 characters": Case(turn(customer_id="😀" * 128), ""),
    "names of 256 characters": Case(turn(dialog="가" * 256, input="😀" * 256, channel="é" * 256), ""),
    "a long text": Case(turn(input_kind="text", input="가" * 20_000), ""),
    "white space around it": Case(b" \r\n\t" + turn() + b"\n ", ""),
    "a field twice: the last counts": Case(turn()[:-1] + b',"dialog":"second"}', ""),
    "the type last": Case(turn().replace(b'"type":"turn",', b"")[:-1] + b',"type":"turn"}', ""),
    "escapes in names": Case(turn().replace(b'"dialog"', rb'"d\u0069alog"'), ""),
    "null for what may be absent": Case(turn(dialog=None, channel=None, error=None), ""),
    "a day ahead": Case(turn(occurred_at="2026-11-01T00:00:00.000Z"), ""),
    "the year 2000": Case(turn(occurred_at="2000-01-01T00:00:00Z"), ""),
    "an offset of nearly a day": Case(turn(occurred_at="2026-10-31T00:00:00+23:59"), ""),
    "twelve digits of a second": Case(turn(occurred_at="2026-10-31T00:00:00.123456789012+09:00"), ""),
}


def records() -> list[tuple[str, Case, bytes | None]]:
    """All cases in their order, each value with a seq of its own: those of the events are 100001, 100002 …"""
    seq, made = 100_000, []
    for name, case in CASES.items():
        seq += not case.expected
        number = seq if not case.expected else 999_999
        made.append((name, case, None if case.value is None else case.value.replace(b"@", b"%d" % number)))
    return made
