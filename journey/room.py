"""A room as the rules keep it, and the rows that they write."""

from copy import copy

from msgspec import Struct

from journey.events import Entry

BOT, WAITING, ASSIGNED, AGENT, CLOSED = "bot", "waiting", "assigned", "agent", "closed"

#: The part of a timeout's row; rows of events have parts 0 and 1.
TIMEOUT_PART = 9


class Row(Struct, frozen=True, gc=False):
    """One row of `moves`, without its room's name and version. Times are ms since the epoch.

    A way in (`start`), a way out (next_step, error, agent_connect, bot_end, dropout), or the note agent_served.
    """

    bot_id: str
    seq: int
    part: int
    occurred_at: int
    entered_at: int
    received_at: int
    step: int
    dialog: str
    move: str
    message: str
    next_step: int
    next_dialog: str
    channel: str
    category: str
    scenario_version: str


class Ask(Struct, frozen=True, gc=False):
    """Where an agent was last asked for and has not served yet."""

    step: int
    dialog: str
    bot_id: str
    asked_at: int


class Room:
    """The state of a room: the fold of its events so far. Only the rules change it.

    `path`: the dialogs from step 1 to the current one. `folded`: how many events were folded, late ones too;
    `greatest`: the greatest seq among them. `timeout`: the row that rule 11 wrote, if it did.
    `first_at`: the least occurred_at of all its events, late ones too; `last_at`: the greatest of those not late.
    `last_*`, channel, category, scenario_version: those of the last event that was not late.
    """

    __slots__ = (
        "ask",
        "bot_id",
        "category",
        "channel",
        "closed_by",
        "customer_id",
        "ended_at",
        "ended_from",
        "entered_at",
        "errors",
        "first_at",
        "folded",
        "greatest",
        "is_open",
        "last_at",
        "last_event_received_at",
        "last_received_at",
        "last_seq",
        "opened_at",
        "path",
        "phase",
        "phase_since",
        "scenario_version",
        "timeout",
        "turns",
    )

    def __init__(self, first: Entry) -> None:
        """A room before its first event: `first` names its customer and bot."""
        event = first.event
        self.customer_id = event.customer_id
        self.bot_id = event.bot_id
        self.opened_at = self.phase_since = self.entered_at = event.occurred_at
        self.first_at = self.last_at = event.occurred_at
        self.path: list[str] = []
        self.is_open = False
        self.phase = BOT
        self.ask: Ask | None = None
        self.ended_at: int | None = None
        self.closed_by = self.ended_from = ""
        self.timeout: Row | None = None
        self.channel = self.category = self.scenario_version = ""
        self.turns = self.errors = self.folded = self.greatest = 0
        self.last_seq = event.seq
        self.last_received_at = self.last_event_received_at = first.received_at

    @property
    def step(self) -> int:
        return len(self.path)

    @property
    def dialog(self) -> str:
        return self.path[-1] if self.path else ""

    @property
    def gaps(self) -> int:
        """How many seqs are missing below the greatest one folded."""
        return self.greatest - self.folded

    def enter_phase(self, phase: str, at: int) -> None:
        if phase != self.phase:
            self.phase, self.phase_since = phase, at

    def close(self, at: int, closed_by: str) -> None:
        self.ended_from, self.ended_at, self.closed_by = self.phase, at, closed_by
        self.is_open = False
        self.enter_phase(CLOSED, at)

    def is_idle(self, now: int, idle: int) -> bool:
        """Rule 11: is the room, at `now`, closed by itself?"""
        return self.phase != CLOSED and now - self.last_at >= idle


def close_idle(room: Room, idle: int) -> Row | None:
    """Rule 11: close the room at its last event + idle; the bot_end that this makes, if a visit was open."""
    at = room.last_at + idle
    row = _timeout_row(room, at) if room.is_open else None
    room.close(at, "timeout")
    room.timeout = row
    return row


def as_of(room: Room, now: int | None, idle: int) -> Room:
    """The room as it is at `now`: itself, or closed by timeout if it has been silent that long."""
    if now is None or not room.is_idle(now, idle):
        return room
    closed = copy(room)
    close_idle(closed, idle)
    return closed


def _timeout_row(room: Room, at: int) -> Row:
    return Row(
        room.bot_id,
        room.last_seq,
        TIMEOUT_PART,
        at,
        room.entered_at,
        room.last_event_received_at,
        room.step,
        room.dialog,
        "bot_end",
        "timeout",
        0,
        "",
        room.channel,
        room.category,
        room.scenario_version,
    )
