"""One customer's way through a bot's scenario: the events of a room, with the times that people take."""

from random import Random
from typing import Any

from msgspec import Struct

from feed.scenario import CHANNELS, OTHER_BOT, SURVEY, SURVEY_NAME, TEXTS, Bot, Dialog

#: An event's time in ms, and its fields but for those that its room has.
Step = tuple[int, dict[str, Any]]

_HOUR = 3_600_000
_LONGEST = 40


class Customer(Struct, frozen=True):
    """Who walks: `pace` 1 is a person's; 0.1 ten times as quick, and without the long pauses."""

    customer_id: str
    pace: float = 1


def walk(rng: Random, bots: dict[str, Bot], bot: Bot, customer: Customer, opened_at: int) -> list[Step]:
    """The events of a room in the order of seq, `occurred_at` left to the caller: (ms, event)."""
    room = _Walk(rng, bots, bot, customer, opened_at)
    room.shows(bot.first, "none")
    while not room.over and len(room.steps) < _LONGEST:
        room.think()
        _choose(rng, _WAYS if room.leads_on else _WAYS_AT_END)(room)
    return room.steps


class _Walk:
    """A room under way. The methods are what may happen next; each appends events, or ends the room."""

    def __init__(self, rng: Random, bots: dict[str, Bot], bot: Bot, customer: Customer, at: int) -> None:
        self.rng, self.bots, self.bot, self.customer, self.at = rng, bots, bot, customer, at
        self.channel = rng.choice(CHANNELS)
        self.path: list[str] = []
        self.steps: list[Step] = []
        self.over = False

    # what a room is made of
    @property
    def dialog(self) -> Dialog:
        return SURVEY if self.path[-1] == SURVEY_NAME else self.bot.dialogs[self.path[-1]]

    @property
    def leads_on(self) -> bool:
        return self.dialog != Dialog()

    def event(self, kind: str, **fields: Any) -> None:
        common = {"type": kind, "bot_id": self.bot.bot_id, "channel": self.channel, "category": self.bot.category}
        self.steps.append(
            (self.at, {**common, "scenario_version": self.bot.version, "seq": len(self.steps) + 1, **fields})
        )

    def turn(self, kind: str, given: str | None = None, dialog: str | None = None, error: bool | None = None) -> None:
        fields = {"dialog": dialog, "input_kind": kind, "input": given, "error": error}
        self.event("turn", **{name: value for name, value in fields.items() if value is not None})

    def shows(self, dialog: str, kind: str, given: str | None = None, error: bool | None = None) -> None:
        self.path.append(dialog)
        self.turn(kind, given, dialog, error)

    def passes(self, least_s: float, mean_s: float) -> None:
        self.at += max(1, int((least_s + self.rng.expovariate(1 / mean_s)) * 1000 * self.customer.pace))

    def think(self) -> None:
        """People answer within seconds; some come back hours later, a few after the room has closed by itself."""
        self.passes(2, 12)
        chance = self.rng.random()
        if self.customer.pace == 1 and chance < 0.012:
            least, most = (20 * _HOUR, 30 * _HOUR) if chance < 0.003 else (_HOUR // 6, 8 * _HOUR)
            self.at += self.rng.randint(least, most)

    # what the customer does
    def goes_on(self) -> None:
        dialog = self.dialog
        if dialog.then:
            self.shows(dialog.then, "none")
        elif dialog.asks:
            self.types(dialog)
        else:
            self.presses(*self.rng.choice(list(dialog.buttons.items())))

    def presses(self, label: str, target: str) -> None:
        if target.startswith(OTHER_BOT):
            other = self.bots.get(target.removeprefix(OTHER_BOT))
            self.changes_bot(label, other) if other else self.goes_home()
        elif target:
            self.shows(target, "button", label)
        else:  # the survey has no dialog after it
            self.turn("button", label)
            self.ends()

    def changes_bot(self, label: str, other: Bot) -> None:
        self.bot, self.path = other, []
        self.shows(other.first, "button", label)

    def types(self, dialog: Dialog) -> None:
        if self.rng.random() < 0.25:
            self.errs()
        else:
            self.shows(dialog.asks, "text", self.rng.choice(TEXTS), False)

    def errs(self) -> None:
        """The bot did not understand: it says so, with or without the dialog again; older bots only show it again."""
        here, chance = self.path[-1], self.rng.random()
        if chance < 0.7:
            self.turn("text", self.rng.choice(TEXTS), here, True)
        elif chance < 0.85:
            self.turn("text", self.rng.choice(TEXTS), None, True)
        else:
            self.turn("text", self.rng.choice(TEXTS), here)

    def goes_home(self) -> None:
        self.path = []
        self.shows(self.bot.first, "hotkey", "home")

    def goes_back(self) -> None:
        if len(self.path) == 1:
            return self.goes_home()
        self.path.pop()
        self.turn("hotkey", "back", self.path[-1])

    def takes_shortcut(self) -> None:
        if not self.bot.shortcuts:
            return self.goes_home()
        name, dialog = self.rng.choice(list(self.bot.shortcuts.items()))
        self.path = []
        self.shows(dialog, "hotkey", name)

    def gets_notice(self) -> None:
        self.turn("none")

    def ends(self) -> None:
        self.over = True
        closed_by = self.rng.choices(("customer", "auto", "manager", ""), (45, 17, 3, 35))[0]
        if closed_by:
            self.passes(1, 8)
            self.event("room_closed", closed_by=closed_by)

    # agents
    def asks_agent(self) -> None:
        self.turn("hotkey", "agent")
        if self.rng.random() < 0.5:
            self.passes(1, 2)
            self.gets_notice()  # "you are third in the queue"
        self.passes(10, 50)
        _choose(self.rng, _WAITING)(self)

    def is_assigned(self) -> None:
        self.event("agent_assigned")
        self.passes(3, 20)
        if self.rng.random() < 0.93:
            self.is_served()
        else:
            self.gives_up()

    def is_served(self) -> None:
        for _ in range(self.rng.choice((1, 1, 1, 2, 3))):
            self.event("agent_served")
            self.passes(5, 60)
        if self.rng.random() < 0.25:
            self.path = []
            self.shows(SURVEY_NAME, "none")
            return
        self.over = True
        closed_by = self.rng.choices(("agent", "customer", "manager", "auto", ""), (62, 18, 4, 12, 4))[0]
        if closed_by:
            self.event("room_closed", closed_by=closed_by)

    def gives_up(self) -> None:
        """Nobody came in time: the customer leaves, or goes back to the bot."""
        if self.rng.random() < 0.5:
            self.goes_home()
        else:
            self.over = True
            self.event("room_closed", closed_by="customer")


def _choose(rng: Random, ways: dict[Any, int]) -> Any:
    return rng.choices(list(ways), list(ways.values()))[0]


_WAYS = {
    _Walk.goes_on: 71,
    _Walk.errs: 4,
    _Walk.goes_home: 4,
    _Walk.goes_back: 5,
    _Walk.takes_shortcut: 3,
    _Walk.asks_agent: 4,
    _Walk.is_served: 1,  # an agent steps in unasked
    _Walk.gets_notice: 2,
    _Walk.ends: 6,
}
_WAYS_AT_END = {_Walk.ends: 70, _Walk.goes_home: 18, _Walk.goes_back: 5, _Walk.asks_agent: 7}
_WAITING = {_Walk.is_assigned: 84, _Walk.gives_up: 16}
