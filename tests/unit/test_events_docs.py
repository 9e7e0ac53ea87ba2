"""docs/events.md and docs/events.schema.json say what the code does: the examples are run."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from feed.check import Check
from feed.schema import schema, text
from journey.decode import decode, decode_bot
from journey.errors import DeadLetter
from journey.events import MAX_BYTES, REASONS, Tick

DOCS = Path(__file__).parents[2] / "docs"
#: 2026-11-23T12:00+09:00, after every example
NOW = 1_795_402_800_000


class Example(NamedTuple):
    """A ```json block: its mark, the key it was sent with if that is said, the record's value."""

    mark: str
    key: str | None
    value: bytes


def examples() -> Iterator[Example]:
    blocks = re.findall(r"```json (\w+)(?: key=(\S+))?\n(.*?)\n```", (DOCS / "events.md").read_text(), re.S)
    for mark, key, value in blocks:
        yield Example(mark, key or None, value.encode())


EXAMPLES = list(examples())
VALID = [e for e in EXAMPLES if e.mark == "valid"]
BROKEN = [e for e in EXAMPLES if e.mark in REASONS and e.mark != "conflict"]
VALIDATOR = Draft202012Validator(schema(), format_checker=FormatChecker())


def key_of(example: Example) -> bytes:
    if example.key is not None:
        return example.key.encode()
    found = re.search(rb'"room_id":"([^"]*)"', example.value)
    return found[1] if found else b""


def test_every_block_is_marked() -> None:
    marks = {e.mark for e in EXAMPLES}
    assert (DOCS / "events.md").read_text().count("```json") == len(EXAMPLES)
    assert marks == {"valid", "tick", "bot", "conflict"} | {e.mark for e in BROKEN}


def test_every_reason_is_told() -> None:
    told = (DOCS / "events.md").read_text().partition("## What breaks the contract")[2]
    assert re.findall(r"^`(\w+)`: ", told, re.M) == list(REASONS)
    assert {e.mark for e in BROKEN} == set(REASONS) - {"conflict", "other_topic", "too_large"}


@pytest.mark.parametrize("example", VALID, ids=lambda e: str(orjson.loads(e.value)["seq"]))
def test_valid_example(example: Example) -> None:
    decode(example.value, key_of(example), NOW)
    VALIDATOR.validate(orjson.loads(example.value))


@pytest.mark.parametrize("example", BROKEN, ids=lambda e: e.mark)
def test_broken_example(example: Example) -> None:
    with pytest.raises(DeadLetter) as breach:
        decode(example.value, key_of(example), NOW)
    assert breach.value.reason == example.mark


@pytest.mark.parametrize("example", [e for e in BROKEN if e.mark not in ("not_json", "key_mismatch")], ids=str)
def test_schema_refuses_the_broken(example: Example) -> None:
    assert not VALIDATOR.is_valid(orjson.loads(example.value))


def test_the_valid_ones_are_a_whole_room_and_the_conflict_is_one() -> None:
    check = Check(NOW)
    conflict = next(e for e in EXAMPLES if e.mark == "conflict")
    lines = [(number, e.value) for number, e in enumerate([*VALID, *VALID, conflict], 1)]
    (finding,) = check.findings(lines)
    checked = check.end()
    assert (finding.line, finding.reason) == (len(lines), "conflict")
    assert (checked.duplicates, checked.rooms_with_gaps) == (len(VALID), 0)


def test_too_large() -> None:
    event = orjson.loads(VALID[0].value)
    padded = orjson.dumps(event | {"padding": "x" * MAX_BYTES})
    with pytest.raises(DeadLetter, match="too_large"):
        decode(padded, event["room_id"].encode(), NOW)


def test_tick_and_bot() -> None:
    tick = next(e for e in EXAMPLES if e.mark == "tick")
    assert isinstance(decode(tick.value, None, NOW), Tick)
    bot = next(e for e in EXAMPLES if e.mark == "bot")
    change, _ = decode_bot(bot.value, b"shop:delivery", NOW)
    assert change.name == "배송 조회"
    of_bots = schema() | {"$ref": "#/$defs/BotChange"}
    del of_bots["oneOf"]
    Draft202012Validator(of_bots).validate(orjson.loads(bot.value))


def test_schema_file_is_the_generated_one() -> None:
    assert (DOCS / "events.schema.json").read_bytes() == text(), "run `python -m feed.schema > docs/events.schema.json`"
    Draft202012Validator.check_schema(schema())


_TURN: dict[str, Any] = {
    "type": "turn",
    "site_id": "s",
    "bot_id": "b",
    "room_id": "r",
    "customer_id": "c",
    "seq": 1,
    "occurred_at": "2026-11-23T10:00:00+09:00",
    "input_kind": "button",
    "input": "예",
    "dialog": "홈",
}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"dialog": None},
        {"dialog": ""},
        {"dialog": "x" * 256},
        {"dialog": "x" * 257},
        {"input": None},
        {"input": ""},
        {"input": "x" * 257},
        {"input_kind": "hotkey", "input": "x" * 257},
        {"input_kind": "text", "input": "x" * 1000},
        {"input_kind": "none", "input": None},
        {"input_kind": "none"},
        {"input_kind": "voice"},
        {"error": True},
        {"error": "true"},
        {"error": None},
        {"seq": 0},
        {"seq": 2**31 - 1},
        {"seq": 2**31},
        {"seq": None},
        {"site_id": ""},
        {"site_id": "x" * 128},
        {"customer_id": "x" * 129},
        {"channel": ""},
        {"channel": None},
        {"category": "x" * 257},
        {"occurred_at": "2026-11-23T01:00:00Z"},
        {"occurred_at": "2026-11-23T10:00:00.123456+09:00"},
        {"occurred_at": "2026-11-23T10:00:00"},
        {"occurred_at": "23.11.2026"},
        {"occurred_at": 1795402800},
        {"type": "closed"},
        {"type": None},
        {"type": "room_closed"},
        {"type": "room_closed", "closed_by": "auto"},
        {"type": "room_closed", "closed_by": "nobody"},
        {"type": "agent_served"},
        {"anything": {"else": 1}},
    ],
    ids=str,
)
def test_schema_and_decoder_agree(change: dict[str, Any]) -> None:
    event = _TURN | change
    try:
        decode(orjson.dumps(event), b"r", NOW)
        valid = True
    except DeadLetter:
        valid = False
    assert VALIDATOR.is_valid(event) == valid
