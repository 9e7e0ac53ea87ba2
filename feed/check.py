"""Are these events valid? Judges the lines of a file as the worker would, and says what only a whole file shows."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator

import msgspec

from feed.lines import Line
from feed.replay import head
from journey.decode import decode
from journey.errors import DeadLetter
from journey.events import Event, RoomKey, Tick

#: How many events are held to find copies and gaps; beyond it the room that has been silent longest is let go.
REMEMBERED = 500_000
_GAPS_TOLD = 10


class Finding(msgspec.Struct, frozen=True):
    """A line that would become a dead letter; `reason` is one of journey.events.REASONS."""

    line: int
    reason: str
    detail: str


class Checked(msgspec.Struct):
    """What was found so far. `gaps`: the first few, in words; `let_go`: rooms no longer held while others came."""

    lines: int = 0
    invalid: int = 0
    duplicates: int = 0
    conflicts: int = 0
    rooms_with_gaps: int = 0
    let_go: int = 0
    gaps: list[str] = []


class _Known(msgspec.Struct, frozen=True, gc=False):
    content: int
    line: int


class Check:
    """Judges lines one after another; `findings` may be called for block after block, `end` once after them.

    `received_at`: when the events are taken to arrive, in ms; None: each at its own time, as history."""

    def __init__(self, received_at: int | None, remembered: int = REMEMBERED) -> None:
        self.checked = Checked()
        self._received_at, self._room_for = received_at, remembered
        self._rooms: OrderedDict[RoomKey, dict[int, _Known]] = OrderedDict()
        self._held = 0

    def findings(self, lines: Iterable[Line]) -> Iterator[Finding]:
        for number, line in lines:
            self.checked.lines += 1
            try:
                self._judge(number, line)
            except DeadLetter as breach:
                if breach.reason == "conflict":
                    self.checked.conflicts += 1
                else:
                    self.checked.invalid += 1
                yield Finding(number, breach.reason, breach.detail)

    def end(self) -> Checked:
        while self._rooms:
            self._let_go()
        return self.checked

    def _judge(self, number: int, line: bytes) -> None:
        key, at = head(line)
        found = decode(line, key, at or 0 if self._received_at is None else self._received_at)
        if not isinstance(found, Tick):
            self._know(number, *found)

    def _know(self, number: int, room: RoomKey, event: Event) -> None:
        """Remember the event, and compare it with what is known of its seq."""
        known = self._rooms.setdefault(room, {})
        self._rooms.move_to_end(room)
        content = hash(msgspec.structs.astuple(event))
        first = known.setdefault(event.seq, _Known(content, number))
        if first.line == number:
            self._held += 1
            while self._held > self._room_for and len(self._rooms) > 1:
                self._let_go()
                self.checked.let_go += 1
        elif first.content == content:
            self.checked.duplicates += 1
        else:
            said = f"room {room.room_id!r} has another event with seq {event.seq}, in line {first.line}"
            raise DeadLetter("conflict", said)

    def _let_go(self) -> None:
        room, known = self._rooms.popitem(last=False)
        self._held -= len(known)
        missing = max(known) - len(known)
        if not missing:
            return
        self.checked.rooms_with_gaps += 1
        if len(self.checked.gaps) < _GAPS_TOLD:
            first = next(seq for seq in range(1, max(known)) if seq not in known)
            more = f" and {missing - 1} more" if missing > 1 else ""
            self.checked.gaps.append(f"room {room.room_id!r} of site {room.site_id!r} lacks seq {first}{more}")
