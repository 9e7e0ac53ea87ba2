"""Every breach of the event contract gives one of the closed set of reasons; what is valid comes out whole."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey.decode import DAY, YEAR_2000, YEAR_2149, decode, decode_bot
from journey.errors import DeadLetter
from journey.events import MAX_BYTES, REASONS, Event, RoomKey, Tick

NOW = 1_793_404_800_000
TURN: dict[str, Any] = {
    "type": "turn", "site_id": "s", "bot_id": "b", "room_id": "r", "customer_id": "c", "seq": 1,
    "occurred_at": "2026-10-31T00:00:00.123+09:00", "input_kind": "button", "input": "배송", "dialog": "안내",
}  # fmt: skip
BOT = {"site_id": "s", "bot_id": "b", "name": "배송봇", "in_use": True, "occurred_at": "2026-10-31T00:00:00Z"}
ABSENT = object()


def value(base: dict[str, Any] = TURN, **fields: Any) -> bytes:
    merged = {name: given for name, given in {**base, **fields}.items() if given is not ABSENT}
    return json.dumps(merged, ensure_ascii=False).encode()


def event(**fields: Any) -> Event:
    decoded = decode(value(**fields), b"r", NOW)
    assert isinstance(decoded, tuple)
    assert decoded[0] == RoomKey("s", "r")
    return decoded[1]


def reason(raw: bytes | None, key: bytes | None = b"r") -> str:
    with pytest.raises(DeadLetter) as caught:
        decode(raw, key, NOW)
    assert caught.value.reason in REASONS
    assert caught.value.detail
    return caught.value.reason


def test_a_turn_comes_out_whole() -> None:
    assert event(channel="web", scenario_version="v2", error=False) == Event(
        "turn", 1, 1_793_372_400_123, "b", "c", "web", "", "v2", "안내", "button", "배송", False
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"type": "agent_assigned"}, "agent_assigned"),
        ({"type": "agent_served"}, "agent_served"),
        ({"type": "room_closed", "closed_by": "auto"}, "room_closed"),
    ],
)
def test_the_other_types(fields: dict[str, Any], expected: str) -> None:
    assert event(**fields).type == expected


def test_a_tick_has_nothing_else() -> None:
    assert decode(b'{"type":"tick"}', None, NOW) == Tick()


def test_typed_text_is_left_out_and_makes_no_difference() -> None:
    said, other = (event(input_kind="text", input=text) for text in ("주민번호 1234", "아무 말"))
    assert said.input == ""
    assert said == other


def test_null_is_as_absent_and_unknown_fields_are_ignored() -> None:
    assert event(dialog=None, channel=None, error=None, mood={"deep": [1, 2]}) == event(dialog=ABSENT)


def test_input_of_input_kind_none_is_not_looked_at() -> None:
    assert event(input_kind="none", input="x") == event(input_kind="none", input=ABSENT)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2026-10-30T15:00:00.123Z", 1_793_372_400_123),
        ("2026-10-30T15:00:00.1239Z", 1_793_372_400_123),
        ("2026-10-31T00:00:00+09:00", 1_793_372_400_000),
        ("2000-01-01T00:00:00Z", YEAR_2000),
    ],
)
def test_times_are_kept_to_the_millisecond(text: str, milliseconds: int) -> None:
    assert event(occurred_at=text).occurred_at == milliseconds


@pytest.mark.parametrize("raw", [None, b"", b"{", b"nope", b"\xff\xfe", b'{"type":"turn"} x', b'{"seq":NaN}'])
def test_not_json(raw: bytes | None) -> None:
    assert reason(raw) == "not_json"


def test_broken_utf8_in_a_field_that_nobody_reads_is_not_json() -> None:
    assert reason(value(x="?").replace(b"?", b"\xff")) == "not_json"


def test_a_lone_surrogate_is_not_json() -> None:
    assert reason(value(dialog="?").replace(b"?", rb"\ud800")) == "not_json"


def test_nesting_without_end_ends_no_worker() -> None:
    assert reason(b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}") == "not_json"


def nested(depth: int) -> bytes:
    return value(x=0).replace(b'"x": 0', b'"x": ' + b"[" * (depth - 1) + b"]" * (depth - 1))


@pytest.mark.parametrize("frames", [0, 300])
def test_whether_it_is_too_deep_does_not_depend_on_who_asks(frames: int) -> None:
    """A worker and the one that comes after it judge a record alike: the limit is not what is left of the stack."""
    if frames:
        return test_whether_it_is_too_deep_does_not_depend_on_who_asks(frames - 1)
    assert isinstance(decode(nested(500), b"r", NOW), tuple)
    for depth in (501, 600, 950, 20_000):
        assert reason(nested(depth)) == "not_json"


def test_brackets_in_a_text_are_not_nesting() -> None:
    assert event(x='[{"\\' * 3000)


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [
        ("seq", "1e400", "bad_value"), ("seq", "9" * 400, "bad_value"), ("seq", "1" + "0" * 5000, "bad_value"),
        ("channel", "1e400", "wrong_type"), ("dialog", "-1e999", "wrong_type"),
    ],
)  # fmt: skip
def test_numbers_that_no_computer_holds_are_json(name: str, number: str, expected: str) -> None:
    fields: dict[str, Any] = {name: "@"}
    assert reason(value(**fields).replace(b'"@"', number.encode())) == expected
    assert event(x=0) == decode(value(x="@").replace(b'"@"', number.encode()), b"r", NOW)[1]  # type: ignore[index]


@pytest.mark.parametrize("raw", [b"null", b"[]", b"1", b'"turn"', b"true"])
def test_not_object(raw: bytes) -> None:
    assert reason(raw) == "not_object"


@pytest.mark.parametrize("absent", [ABSENT, None])
@pytest.mark.parametrize(
    "name", ["type", "site_id", "bot_id", "room_id", "customer_id", "seq", "occurred_at", "input_kind", "input"]
)
def test_missing_field(name: str, absent: Any) -> None:
    assert reason(value(**{name: absent})) == "missing_field"


def test_missing_closed_by() -> None:
    assert reason(value(type="room_closed")) == "missing_field"


@pytest.mark.parametrize(
    "fields",
    [
        {"site_id": 1}, {"seq": "1"}, {"seq": 1.5}, {"seq": True}, {"dialog": ["a"]}, {"error": "true"}, {"error": 1},
        {"occurred_at": 1}, {"input_kind": 3}, {"type": 1}, {"channel": {}},
    ],
)  # fmt: skip
def test_wrong_type(fields: dict[str, Any]) -> None:
    assert reason(value(**fields)) == "wrong_type"


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "turns"}, {"site_id": ""}, {"room_id": "r" * 129}, {"seq": 0}, {"seq": -1}, {"seq": 2**31},
        {"seq": 10**30}, {"dialog": ""}, {"dialog": "d" * 257}, {"input": ""}, {"input": "b" * 257},
        {"input_kind": "voice"}, {"channel": "c" * 257}, {"type": "room_closed", "closed_by": "nobody"},
        {"occurred_at": "2026-10-31T00:00:00"}, {"occurred_at": "yesterday"}, {"occurred_at": "2026-10-31"},
        {"occurred_at": "1999-12-31T23:59:59.999Z"}, {"occurred_at": "9999-12-31T23:59:59Z"},
        {"occurred_at": "2026-11-01T00:00:00.001Z"},
    ],
)  # fmt: skip
def test_bad_value(fields: dict[str, Any]) -> None:
    assert reason(value(**fields)) == "bad_value"


def test_a_day_ahead_of_its_receipt_is_allowed() -> None:
    assert event(occurred_at="2026-10-31T23:59:59.999+00:00").occurred_at <= NOW + DAY


def test_long_text_and_the_longest_names_are_valid() -> None:
    assert event(input_kind="text", input="가" * 20_000).input == ""
    assert event(dialog="d" * 256, input="b" * 256).dialog == "d" * 256


@pytest.mark.parametrize("key", [None, b"", b"other", b"R"])
def test_key_mismatch(key: bytes | None) -> None:
    assert reason(value(), key) == "key_mismatch"


def test_too_large_by_one_byte() -> None:
    room = MAX_BYTES - len(value(x=""))
    assert event(x="y" * room)
    assert reason(value(x="y" * (room + 1))) == "too_large"


def test_null_bytes_are_text_like_any_other() -> None:
    assert event(dialog="a\x00b").dialog == "a\x00b"


def test_a_bots_change() -> None:
    change, at = decode_bot(value(BOT), b"s:b", NOW)
    assert (change.name, change.in_use, at) == ("배송봇", True, 1_793_404_800_000)


@pytest.mark.parametrize(
    ("raw", "key", "expected"),
    [
        (value(BOT), b"s:c", "key_mismatch"),
        (value(BOT, in_use=ABSENT), b"s:b", "missing_field"),
        (value(BOT, in_use=1), b"s:b", "wrong_type"),
        (value(BOT, bot_id=""), b"s:b", "bad_value"),
        (None, b"s:b", "not_json"),
    ],
)
def test_a_bots_change_that_breaks_the_contract(raw: bytes | None, key: bytes, expected: str) -> None:
    with pytest.raises(DeadLetter) as caught:
        decode_bot(raw, key, NOW)
    assert caught.value.reason == expected


def test_what_is_taken_in_lies_on_days_that_clickhouse_has() -> None:
    """Its Date ends in June 2149 and begins anew after it: moves of 2190 lay in 2010."""
    value = b'{"type":"turn","site_id":"s","bot_id":"b","room_id":"r","customer_id":"c","seq":1,'
    value += b'"occurred_at":"2026-11-01T00:00:00Z","dialog":"A","input_kind":"none"}'
    assert isinstance(decode(value, b"r", YEAR_2149 - 1), tuple)
    with pytest.raises(DeadLetter, match="bad_value"):
        decode(value, b"r", YEAR_2149)
    last = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=65_535)
    assert last.timestamp() * 1000 > YEAR_2149 + 100 * DAY
