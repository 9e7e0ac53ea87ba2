"""What time brings to a partition: gaps that have waited long enough, and rooms that have gone silent.

Time here is the log's: P, the greatest received_at of the partition's records so far (DESIGN.md, Delivery 1).
"""

from collections.abc import Iterable, Iterator, Mapping
from heapq import heappop, heappush

from msgspec import Struct

from journey.events import Entry, RoomKey


class Quiet(Struct, frozen=True):
    """A moment at which some partitions have nothing more to read: `now` by this worker's clock (ms).

    `ends`: those partitions, with the offset after the log's last record, up to which all is folded. The clock only
    decides whether a tick is appended; what is due is decided when it is read. `look`: look for silent rooms, too.
    """

    now: int
    ends: dict[tuple[str, int], int]
    look: bool


class Ticks:
    """When this worker has appended ticks, and what came of them.

    A worker whose clock is ahead of the broker's finds things due that are not: the tick that it appends, stamped by
    the broker, does not reach them. That tick, read, tells by how much the clock is ahead; until then nothing more is
    asked of that partition, except every `AGAIN_MS`, in case the clock was set meanwhile.
    """

    AGAIN_MS = 30_000

    def __init__(self) -> None:
        self._sent: dict[tuple[str, int], int] = {}
        self._ahead: dict[tuple[str, int], int] = {}

    def forget(self) -> None:
        """A new assignment."""
        self._sent.clear()
        self._ahead.clear()

    def needed(self, due: Mapping[tuple[str, int], int | None], now: int) -> list[tuple[str, int]]:
        """Of these partitions, with when the next is due in each: those that need a tick now, which is being sent."""
        needed = [place for place, at in due.items() if at is not None and at <= now and self._may(place, at, now)]
        self._sent.update(dict.fromkeys(needed, now))
        return needed

    def _may(self, place: tuple[str, int], at: int, now: int) -> bool:
        since = now - self._sent.get(place, 0)
        return at <= now - self._ahead.get(place, 0) or not 0 <= since < self.AGAIN_MS

    def read(self, place: tuple[str, int], stamped: int) -> None:
        """A tick, this worker's or another's, with the time that the broker gave it."""
        if place in self._sent:
            self._ahead[place] = max(0, self._sent[place] - stamped)


class Waits:
    """The entries of a partition that wait for their predecessors: by when they are due, and by offset."""

    def __init__(self) -> None:
        self._due: list[tuple[int, int, RoomKey, int]] = []
        self._offsets: dict[int, RoomKey] = {}

    def __len__(self) -> int:
        """How many entries wait."""
        return len(self._offsets)

    def add(self, entry: Entry, key: RoomKey, wait: int) -> None:
        """This entry waits for at most `wait` ms of the partition's time."""
        heappush(self._due, (entry.received_at + wait, entry.offset, key, entry.event.seq))
        self._offsets[entry.offset] = key

    def settled(self, folded: Iterable[Entry]) -> None:
        """These entries wait no longer."""
        for entry in folded:
            self._offsets.pop(entry.offset, None)

    def due(self, time: int) -> Iterator[tuple[RoomKey, int]]:
        """The entries that are due at `time`, as room and seq, in the order in which they fell due; each once."""
        while self._due and self._due[0][0] <= time:
            _, offset, key, seq = heappop(self._due)
            if offset in self._offsets:
                yield key, seq

    def first_due(self) -> int | None:
        """When the next entry falls due (ms of the partition's time); None where nothing waits."""
        while self._due and self._due[0][1] not in self._offsets:
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def first_offset(self) -> int | None:
        """The lowest offset of an entry that waits."""
        return min(self._offsets, default=None)
