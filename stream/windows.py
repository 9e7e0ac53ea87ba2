"""What time brings to a partition: gaps that have waited long enough, and rooms that have gone silent.

Time here is the log's: P, the greatest received_at of the partition's records so far (DESIGN.md, Delivery 1).
"""

from collections.abc import Iterable, Iterator
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


class Waits:
    """The entries of a partition that wait for their predecessors: by when they are due, and by offset."""

    def __init__(self) -> None:
        self._due: list[tuple[int, int, RoomKey]] = []
        self._offsets: dict[int, RoomKey] = {}

    def add(self, entry: Entry, key: RoomKey, wait: int) -> None:
        """This entry waits for at most `wait` ms of the partition's time."""
        heappush(self._due, (entry.received_at + wait, entry.offset, key))
        self._offsets[entry.offset] = key

    def settled(self, folded: Iterable[Entry]) -> None:
        """These entries wait no longer."""
        for entry in folded:
            self._offsets.pop(entry.offset, None)

    def due(self, time: int) -> Iterator[RoomKey]:
        """The rooms with an entry that is due at `time`, in the order in which they fell due."""
        while self._due and self._due[0][0] <= time:
            _, offset, key = heappop(self._due)
            if offset in self._offsets:
                yield key

    def first_due(self) -> int | None:
        """When the next entry falls due (ms of the partition's time); None where nothing waits."""
        while self._due and self._due[0][1] not in self._offsets:
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def first_offset(self) -> int | None:
        """The lowest offset of an entry that waits."""
        return min(self._offsets, default=None)
