"""Which of a room's received events are folded at a partition's time (DESIGN.md, Delivery 2)."""

from collections.abc import Mapping

from journey.events import Entry


def folded_until(received: Mapping[int, Entry], time: int, wait: int) -> int:
    """The greatest seq folded: up to the greatest that has waited, and on from there as far as none is missing.

    `received`: seq -> entry; `time`: the partition's time in ms; `wait`: ms that an event waits for predecessors.
    """
    due = time - wait
    until = max((seq for seq, entry in received.items() if entry.received_at <= due), default=0)
    while until + 1 in received:
        until += 1
    return until


def folded(received: Mapping[int, Entry], time: int, wait: int) -> list[Entry]:
    """The entries that are folded at `time`, in the order of seq; the others wait."""
    until = folded_until(received, time, wait)
    return [received[seq] for seq in sorted(received) if seq <= until]
