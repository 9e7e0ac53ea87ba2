"""A partition's poll, and what its records say."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from journey.decode import YEAR_2149, decode
from journey.errors import DeadLetter
from journey.events import Event, RoomKey, Tick

Place = tuple[str, int]
Decoded = tuple[RoomKey, Event] | Tick | DeadLetter


class Poll(Struct, frozen=True):
    """A partition's poll: aiokafka records in the order of offsets; `log_end`: the offset after the log's last."""

    topic: str
    partition: int
    records: list[Any]
    log_end: int

    @property
    def place(self) -> Place:
        return self.topic, self.partition

    @property
    def first(self) -> int:
        offset: int = self.records[0].offset
        return offset

    @property
    def next(self) -> int:
        offset: int = self.records[-1].offset + 1
        return offset


def decode_all(poll: Poll) -> list[Decoded]:
    decoded: list[Decoded] = []
    for record in poll.records:
        try:
            decoded.append(decode(record.value, record.key, record.timestamp))
        except DeadLetter as dead:
            # not `dead` itself: by its traceback it holds this frame, and so all records, until the cycle is collected
            decoded.append(DeadLetter(dead.reason, dead.detail))
    return decoded


def seqs(decoded: Iterable[Decoded]) -> Iterable[tuple[RoomKey, int]]:
    return ((item[0], item[1].seq) for item in decoded if type(item) is tuple)


def dead_letter(poll: Poll, record: Any, dead: DeadLetter) -> tuple[Any, ...]:
    return (*poll.place, record.offset, record.key, record.value, dead.reason, dead.detail, shown(record.timestamp))


def shown(timestamp: int) -> int:
    """A record's own time, which may be anything, as far as a table can hold it (ms)."""
    return min(max(0, timestamp), YEAR_2149)
