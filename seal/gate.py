"""Is everything consumed that was received by the cut-off? What is committed has been written (Delivery 6)."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

from broker.consumed import behind, needed, reaches
from journey.errors import SealFailed
from journey.events import TOPIC_BOTS, TOPIC_IMPORT, TOPIC_LIVE
from seal.metrics import step

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0

#: (topic, partition, committed offset)
Reached = list[tuple[str, int, int]]


@step("wait")
def await_consumed(kafka: str, cut_off: int, wait: timedelta, said: Callable[[str], None]) -> Reached:
    """Wait until the workers have consumed all that was received by the cut-off (ms), which has passed.

    Of the live topic that is each partition's first record after it; where there is none, the end that the partition
    has now. Of the imports and of the bots' changes it is the end: an import carries the times that its sender gives,
    and a bot's state is what is known when the seal begins. A partition without records has nothing to wait for.
    Raises SealFailed after `wait`, naming the partitions, and Unreachable.
    """
    return asyncio.run(_await_consumed(kafka, waited_for(cut_off), wait.total_seconds(), said))


def waited_for(cut_off: int) -> dict[str, int | None]:
    """topic -> the time (ms) up to which it must have been consumed; None: its end."""
    return {TOPIC_LIVE: cut_off + 1, TOPIC_IMPORT: None, TOPIC_BOTS: None}


async def _await_consumed(
    kafka: str, until: dict[str, int | None], wait_s: float, said: Callable[[str], None]
) -> Reached:
    need = await needed(kafka, until)
    limit, pause = time.monotonic() + wait_s, _FIRST_PAUSE_S
    while missing := await behind(kafka, need):
        if time.monotonic() >= limit:
            raise SealFailed(_too_late(missing, wait_s))
        said(f"waiting for the workers: {_records(missing)} in {len(missing)} partitions")
        await asyncio.sleep(min(pause, max(0.0, limit - time.monotonic())))
        pause = min(2 * pause, _LONGEST_PAUSE_S)
    return [(r.topic, r.partition, r.committed) for r in await reaches(kafka, *until)]


def _records(missing: dict[tuple[str, int], tuple[int, int]]) -> str:
    return f"{sum(offset - committed for committed, offset in missing.values()):,} records to go"


def _too_late(missing: dict[tuple[str, int], tuple[int, int]], wait_s: float) -> str:
    named = ", ".join(
        f"{topic}[{partition}] at {committed} of {offset}"
        for (topic, partition), (committed, offset) in sorted(missing.items())
    )
    return (
        f"the workers have not reached the cut-off within {wait_s:.0f} s: {named}. Nothing was published. See that "
        "workers run (`turnpath doctor`) and seal again; TURNPATH_SEAL_WAIT is how long a seal waits"
    )
