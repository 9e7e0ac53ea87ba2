"""The event contract (DESIGN.md, Events): what is on the wire, and the one form in which the rules see it."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

TOPIC_LIVE = "chatbot.turns"
TOPIC_IMPORT = "chatbot.turns.import"
TOPIC_BOTS = "chatbot.bots"

MAX_BYTES = 64 * 1024

#: Why a record became a dead letter; the set is closed.
REASONS = (
    "not_json",
    "not_object",
    "missing_field",
    "wrong_type",
    "bad_value",
    "key_mismatch",
    "too_large",
    "conflict",
    "other_topic",
)

Id = Annotated[str, Meta(min_length=1, max_length=128)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
Label = Annotated[str, Meta(max_length=256)]
Time = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset, kept to the millisecond")]
Seq = Annotated[int, Meta(ge=1, lt=2**31, description="1, 2, 3 … within the room, over all its events")]

InputKind = Literal["none", "button", "text", "hotkey"]
ClosedBy = Literal["customer", "agent", "manager", "auto"]


class _Wire(Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    """What every event of a room carries."""

    site_id: Id
    bot_id: Id
    room_id: Id
    customer_id: Id
    seq: Seq
    occurred_at: Time
    channel: Label | None = None
    category: Label | None = None
    scenario_version: Label | None = None


class Turn(_Wire, frozen=True, kw_only=True, tag="turn", gc=False):
    """What the customer sent, and the dialog that the bot showed in answer."""

    input_kind: InputKind
    dialog: Name | None = None
    input: Annotated[str, Meta(min_length=1)] | None = None
    error: bool | None = None


class AgentAssigned(_Wire, frozen=True, kw_only=True, tag="agent_assigned", gc=False):
    """An agent took the room on."""


class AgentServed(_Wire, frozen=True, kw_only=True, tag="agent_served", gc=False):
    """An agent spoke to the customer."""


class RoomClosed(_Wire, frozen=True, kw_only=True, tag="room_closed", gc=False):
    """The consultation ended."""

    closed_by: ClosedBy


class Tick(Struct, frozen=True, tag_field="type", tag="tick", gc=False):
    """Written by a worker to move its partition's time (DESIGN.md, Delivery 1); producers send none."""


class BotChange(Struct, frozen=True, kw_only=True, gc=False):
    """A change of a bot: topic chatbot.bots, key `site_id:bot_id`."""

    site_id: Id
    bot_id: Id
    name: Label
    in_use: bool
    occurred_at: Time
    channel: Label | None = None
    category: Label | None = None


class Event(Struct, frozen=True, gc=False):
    """An event as the rules see it, without its room's name.

    Two copies of an event are equal exactly where their content is; typed text is left out of it (`input` is ""
    for input_kind text): no rule needs it and it is not stored. `occurred_at`: ms since the epoch.
    """

    type: str
    seq: int
    occurred_at: int
    bot_id: str
    customer_id: str
    channel: str = ""
    category: str = ""
    scenario_version: str = ""
    dialog: str | None = None
    input_kind: str = ""
    input: str = ""
    error: bool | None = None
    closed_by: str = ""


class Entry(Struct, frozen=True, gc=False):
    """An event with its place in the log: `offset` in its partition, `received_at` in ms since the epoch."""

    event: Event
    offset: int
    received_at: int


class RoomKey(Struct, frozen=True, gc=False, order=True):
    """Which room: two sites may use the same room id."""

    site_id: str
    room_id: str
