"""The rules, from events to moves (DESIGN.md, Rules). The table at the end is what is tried, in that order.

Numbers are DESIGN.md's. In the texts n, A are the room's current step and dialog, D the event's dialog.
"""

from collections.abc import Callable
from typing import NamedTuple

from journey.events import Entry, Event
from journey.room import AGENT, ASSIGNED, BOT, WAITING, Ask, Room, Row, close_idle

NOWHERE = (0, "")

#: A step is a UInt16 in the tables: a room that never ends goes on at this one.
MOST_STEPS = 65_535

Rows = list[Row]


class Rule(NamedTuple):
    """`applies` only looks; `act` changes the room and appends its rows; `goes_on`: those after it are tried."""

    number: int
    says: str
    applies: Callable[[Room, Event], bool]
    act: Callable[[Room, Entry, Rows], None]
    goes_on: bool = False


def step(room: Room, entry: Entry, idle: int) -> Rows:
    """Fold the next event (by seq) into the room: the rows that it makes; `room` is changed.

    `idle`: ms after which rule 11 closes the room.
    """
    event = entry.event
    rows: Rows = []
    room.folded += 1
    room.greatest = event.seq
    if entry.received_at > room.last_received_at:
        room.last_received_at = entry.received_at
    if event.occurred_at < room.first_at:
        room.first_at = event.occurred_at
    if room.ended_at is not None:
        return []  # closed: the event is late
    if event.occurred_at - room.last_at >= idle:  # rule 11: closed by itself before this event came
        row = close_idle(room, idle)
        return [] if row is None else [row]
    _note(room, entry)
    for rule in TABLE[event.type]:
        if rule.applies(room, event):
            rule.act(room, entry, rows)
            if not rule.goes_on:
                break
    return rows


def _note(room: Room, entry: Entry) -> None:
    event = entry.event
    room.last_seq, room.last_event_received_at = event.seq, entry.received_at
    room.channel, room.category, room.scenario_version = event.channel, event.category, event.scenario_version
    if event.occurred_at > room.last_at:
        room.last_at = event.occurred_at
    if event.type == "turn":
        room.turns += 1


def _row(
    rows: Rows,
    entry: Entry,
    bot_id: str,
    entered_at: int,
    origin: tuple[int, str],
    move: str,
    message: str,
    target: tuple[int, str] = NOWHERE,
) -> None:
    event = entry.event
    rows.append(
        Row(
            bot_id,
            event.seq,
            len(rows),
            event.occurred_at,
            entered_at,
            entry.received_at,
            origin[0],
            origin[1],
            move,
            message,
            target[0],
            target[1],
            event.channel,
            event.category,
            event.scenario_version,
        )
    )


def _way_out(room: Room, entry: Entry, rows: Rows, move: str, message: str, target: tuple[int, str] = NOWHERE) -> None:
    """A row from (n, A); where it leads to a dialog, the next visit begins there."""
    path = room.path
    _row(rows, entry, room.bot_id, room.entered_at, (len(path), path[-1]), move, message, target)
    if target == NOWHERE:
        room.is_open = False
    else:
        room.entered_at = entry.event.occurred_at


def _ask(room: Room, entry: Entry, rows: Rows, message: str) -> None:
    room.ask = Ask(room.step, room.dialog, room.bot_id, entry.event.occurred_at)
    _way_out(room, entry, rows, "agent_connect", message)


# 1 ------------------------------------------------------------------------------------------------------------------
def _enters(room: Room, event: Event) -> bool:
    return not room.is_open and event.dialog is not None


def _enter(room: Room, entry: Entry, rows: Rows) -> None:
    event = entry.event
    assert event.dialog is not None
    room.path, room.is_open, room.ask = [event.dialog], True, None
    room.enter_phase(BOT, event.occurred_at)
    room.entered_at = event.occurred_at
    _row(rows, entry, room.bot_id, event.occurred_at, NOWHERE, "start", "", (1, event.dialog))


# 2 ------------------------------------------------------------------------------------------------------------------
def _asks_agent(room: Room, event: Event) -> bool:
    return event.input_kind == "hotkey" and event.input == "agent"


def _ask_agent(room: Room, entry: Entry, rows: Rows) -> None:
    if room.is_open:
        _ask(room, entry, rows, "agent")
    elif room.phase != BOT:
        return
    room.enter_phase(WAITING, entry.event.occurred_at)


# 3 ------------------------------------------------------------------------------------------------------------------
def _shows_nothing(room: Room, event: Event) -> bool:
    return event.dialog is None


def _nothing(room: Room, entry: Entry, rows: Rows) -> None:
    return None


# 4 ------------------------------------------------------------------------------------------------------------------
def _is_error(room: Room, event: Event) -> bool:
    if not room.is_open:
        return False
    repeats = event.error is None and event.input_kind == "text" and event.dialog == room.path[-1]
    return event.error is True or repeats


def _error(room: Room, entry: Entry, rows: Rows) -> None:
    dialog = entry.event.dialog or room.dialog
    _way_out(room, entry, rows, "error", "error", (room.step, dialog))
    room.path[-1] = dialog
    room.errors += 1


# 5 ------------------------------------------------------------------------------------------------------------------
def _is_hotkey(room: Room, event: Event) -> bool:
    return event.input_kind == "hotkey"


def _jump(room: Room, entry: Entry, rows: Rows) -> None:
    dialog, hotkey = entry.event.dialog, entry.event.input
    assert dialog is not None
    path = _path_after(room.path, hotkey, dialog)
    _way_out(room, entry, rows, "dropout", hotkey, (len(path), dialog))
    room.path = path


def _path_after(path: list[str], hotkey: str, dialog: str) -> list[str]:
    above = path[:-1]
    if hotkey == "home":
        return [dialog]
    if dialog in above:
        return path[: len(above) - above[::-1].index(dialog)]
    if hotkey == "back":
        return [*path[:-2], dialog]
    return [dialog]


# 6 ------------------------------------------------------------------------------------------------------------------
_SAID = {"text": "(text)", "none": "(auto)"}


def _always(room: Room, event: Event) -> bool:
    return True


def _next_step(room: Room, entry: Entry, rows: Rows) -> None:
    event = entry.event
    assert event.dialog is not None
    message = _SAID.get(event.input_kind, event.input)
    deepest = room.step >= MOST_STEPS
    _way_out(room, entry, rows, "next_step", message, (room.step + (not deepest), event.dialog))
    if deepest:
        room.path[-1] = event.dialog
    else:
        room.path.append(event.dialog)


# 7, 8, 9 ------------------------------------------------------------------------------------------------------------
def _assign(room: Room, entry: Entry, rows: Rows) -> None:
    if room.phase == WAITING:
        room.enter_phase(ASSIGNED, entry.event.occurred_at)


def _serve(room: Room, entry: Entry, rows: Rows) -> None:
    if room.is_open:
        _ask(room, entry, rows, "(takeover)")
    ask = room.ask
    if ask is not None:
        _row(rows, entry, ask.bot_id, ask.asked_at, (ask.step, ask.dialog), "agent_served", "agent")
        room.ask = None
    room.enter_phase(AGENT, entry.event.occurred_at)


def _close(room: Room, entry: Entry, rows: Rows) -> None:
    if room.is_open:
        _way_out(room, entry, rows, "bot_end", entry.event.closed_by)
    room.close(entry.event.occurred_at, entry.event.closed_by)


# 10 -----------------------------------------------------------------------------------------------------------------
def _is_other_bot(room: Room, event: Event) -> bool:
    return event.bot_id != room.bot_id


def _change_bot(room: Room, entry: Entry, rows: Rows) -> None:
    if room.is_open:
        _way_out(room, entry, rows, "dropout", "(bot)")
    room.bot_id, room.path, room.is_open, room.ask = entry.event.bot_id, [], False, None
    room.enter_phase(BOT, entry.event.occurred_at)


# A room that is closed, or closes by rule 11, takes no more events: `step` looks at that first, whatever the event.
TABLE: dict[str, tuple[Rule, ...]] = {
    "turn": (
        Rule(2, "hotkey agent: agent_connect, phase waiting", _asks_agent, _ask_agent),
        Rule(10, "another bot: dropout (bot), a new path", _is_other_bot, _change_bot, goes_on=True),
        Rule(1, "no visit open, D shown: start at (1, D)", _enters, _enter),
        Rule(4, "input error: error, D or A again at n", _is_error, _error),
        Rule(3, "no dialog shown: nothing", _shows_nothing, _nothing),
        Rule(5, "another hotkey: dropout to where it leads", _is_hotkey, _jump),
        Rule(6, "any other turn: next_step to (n + 1, D)", _always, _next_step),
    ),
    "agent_assigned": (Rule(7, "waiting becomes assigned", _always, _assign),),
    "agent_served": (Rule(8, "(takeover) if a visit is open; agent_served", _always, _serve),),
    "room_closed": (Rule(9, "bot_end if a visit is open; closed", _always, _close),),
}
