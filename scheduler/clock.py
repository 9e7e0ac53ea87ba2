"""The clock of the scheduler; nothing else of it looks at the time, so that a test can bring its own."""

import time
from typing import Protocol


class Clock(Protocol):
    """`now`: ms since the epoch; `sleep`: wait so many seconds."""

    def now(self) -> int: ...
    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
