"""How a worker is: told by its threads, asked by /health."""

import time
from collections.abc import Callable

from stream.outages import Outages

#: A batch may take its time; a loop that has not come round for so long hangs.
ROUND_S = 60.0


class Health:
    """`reasons` is empty where all is well. `clock`: seconds of some clock that only grows."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._outages: Outages | None = None
        self._turned_at = clock()
        self._assigned = False

    def attend(self, outages: Outages) -> None:
        """These are what the worker waits for."""
        self._outages = outages

    def turned(self) -> None:
        """The worker's loop has come round."""
        self._turned_at = self._clock()

    def assigned(self) -> None:
        """The group has dealt the partitions, and this worker has its share."""
        self._assigned = True

    @property
    def silent_s(self) -> float:
        """Seconds since the loop came round."""
        return self._clock() - self._turned_at

    def reasons(self) -> list[str]:
        """Why the worker does not do its work just now, a sentence each."""
        reasons = [] if self._outages is None else self._outages.reasons()
        if not self._assigned:
            reasons.append("starting: the group has not dealt the partitions yet")
        if not reasons and self.silent_s > ROUND_S:
            reasons.append(f"the worker has not come round for {self.silent_s:.0f} s: see its log, or end it")
        return reasons
