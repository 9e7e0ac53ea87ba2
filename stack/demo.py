"""`make demo`: some past days once, sealed; then live traffic for as long as the stack runs."""

import time
from pathlib import Path

from settings import Settings
from stack.parts import Part, command_part
from stack.supervisor import Supervisor

_DAYS = 7
_RATE = 5


class Demo:
    """What the demo adds to a running stack; a file in the data folder notes that the past is in it already."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._noted: Path = settings.data / "demo-imported"

    def start(self, supervisor: Supervisor) -> None:
        """Import and seal the past unless that is done, then start the live traffic."""
        if not self._noted.exists():
            past = self._part("simulate", "--history", "--days", str(_DAYS), "--seed", "1")
            supervisor.run(past, f"importing {_DAYS} made-up days (once)")
            supervisor.run(self._part("seal"), "sealing them")
            self._noted.touch()
        # Another seed each time: the rooms of the last run are still there.
        seed = str(int(time.time()))
        supervisor.start([self._part("simulate", "--rate", str(_RATE), "--seed", seed)])

    def _part(self, *arguments: str) -> Part:
        return command_part(self._settings, *arguments)
