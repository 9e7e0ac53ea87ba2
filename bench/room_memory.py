"""What an open room costs in the worker's memory, without Kafka and ClickHouse.

    python -m bench.room_memory [--rooms 1000000] [--turns 4] [--keep 200000]

The worker's own batches take the first turns of so many rooms over 12 partitions and write them nowhere. Printed is the
process's resident memory as the rooms come, and what is left of it per room that is kept.
"""

import argparse
import gc
import os
from dataclasses import dataclass
from itertools import islice
from threading import Event as Flag
from typing import Any

from bench.events import stamped
from bench.open_rooms import opened
from bench.parts import memory_mb
from broker.produce import partition_of
from journey.calendar import Calendar
from journey.events import TOPIC_LIVE
from stream.batch import Batches
from stream.poll import Poll

PARTITIONS, AT_ONCE = 12, 30_000


@dataclass(slots=True)
class Sent:
    """A record, as far as the worker looks at it."""

    offset: int
    timestamp: int
    key: bytes
    value: bytes


class Nothing:
    """Tables that are empty, and stay so."""

    def partition_time(self, *_: Any) -> int:
        return 0

    def known_rooms(self, *_: Any) -> dict[Any, set[str]]:
        return {}

    def entries(self, *_: Any) -> list[Any]:
        return []

    def silent_rooms(self, *_: Any) -> list[Any]:
        return []

    def write(self, _: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        """Whatever table it is."""
        return self.write


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rooms", type=int, default=1_000_000)
    options.add_argument("--turns", type=int, default=4)
    options.add_argument("--keep", type=int, default=200_000)
    given = options.parse_args()
    tables: Any = Nothing()
    batches = Batches(
        tables, tables, Calendar("Asia/Seoul"),
        wait=30_000, idle=86_400_000, rooms_in_memory=given.keep, stopping=Flag(),
    )  # fmt: skip
    gc.set_threshold(100_000, 50, 100)
    ends = dict.fromkeys(range(PARTITIONS), 0)
    events = opened(given.rooms, given.turns)
    pid, taken, before = os.getpid(), 0, memory_mb(os.getpid())
    print(f"before: {before:.0f} MB")
    while some := list(islice(events, AT_ONCE)):
        polls: dict[int, list[Sent]] = {}
        for key, event in some:
            partition = partition_of(key, PARTITIONS)
            polls.setdefault(partition, []).append(Sent(ends[partition], 1_800_000_000_000, key, stamped(event)))
            ends[partition] += 1
        batches.run([Poll(TOPIC_LIVE, place, records, ends[place]) for place, records in polls.items()])
        taken += len(some)
        if taken % (20 * AT_ONCE) == 0:
            print(f"{taken / given.turns:,.0f} rooms: {memory_mb(pid):.0f} MB, {_held(batches):,} kept")
    del some, polls
    gc.collect()
    print(f"at the end {memory_mb(pid):.0f} MB, {_held(batches):,} rooms kept")
    print(f"{1e6 * (memory_mb(pid) - before) / _held(batches):,.0f} bytes a room, the batch's own remains among them")


def _held(batches: Batches) -> int:
    return sum(len(rooms.held) for rooms in batches.partitions.values())


if __name__ == "__main__":
    main()
