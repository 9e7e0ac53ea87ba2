"""The event contract as JSON Schema, made from the structs that decode it: docs/events.schema.json.

`python -m feed.schema` prints it; a test holds the file equal to it.
"""

import sys
from typing import Any

import msgspec
import orjson

from journey.events import AgentAssigned, AgentServed, BotChange, RoomClosed, Turn

_TIME = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$"


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of an event of `chatbot.turns`; `#/$defs/BotChange` is that of `chatbot.bots`.

    It cannot say all: that seq counts on within a room, the key, the greatest size, and how far ahead a time may be.
    """
    refs, made = msgspec.json.schema_components(
        (Turn, AgentAssigned, AgentServed, RoomClosed, BotChange), ref_template="#/$defs/{name}"
    )
    for struct in made.values():
        struct["properties"]["occurred_at"]["pattern"] = _TIME
    made["Turn"]["allOf"] = [_input_needed(), _input_named()]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An event of the topic chatbot.turns",
        "description": "Made by `python -m feed.schema`; docs/events.md says what the fields mean.",
        "oneOf": [ref for ref in refs if ref["$ref"] != "#/$defs/BotChange"],
        "$defs": made,
    }


def _input_needed() -> dict[str, Any]:
    """`input` is there unless input_kind is none: msgspec has no word for what hangs on another field."""
    return {
        "if": {"properties": {"input_kind": {"const": "none"}}},
        "else": {"required": ["input"], "properties": {"input": {"type": "string"}}},
    }


def _input_named() -> dict[str, Any]:
    """The names of buttons and hotkeys are as short as those of dialogs; text may be long."""
    return {
        "if": {"properties": {"input_kind": {"enum": ["button", "hotkey"]}}},
        "then": {"properties": {"input": {"maxLength": 256}}},
    }


def text() -> bytes:
    """The schema as the file has it."""
    return orjson.dumps(schema(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    sys.stdout.buffer.write(text())
