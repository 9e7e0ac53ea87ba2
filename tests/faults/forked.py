"""Workers forked from a process that has only imported: a start costs milliseconds of CPU instead of two seconds.

Each is a process of its own, killed, stopped and ended like any other, and runs the command `turnpath worker`. (The
end-to-end tests start it as an operator does.)
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1


def context() -> Any:
    """Processes forked from one that has imported and has no threads."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["tests.faults.preloaded"])
    return made


def with_its_parent() -> None:
    """Be killed by the kernel when the process that this was forked from is gone; and let that go with the tests.

    The forking process lives as long as anybody holds its pipe open, and hands it to each that it forks.
    """
    alive = getattr(forkserver, "_forkserver")._forkserver_alive_fd  # noqa: B009
    if alive is not None:
        os.close(alive)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Forked:
    """A running `turnpath worker`, its output in the file `log`; as stack.process.Process, as far as tests need it."""

    def __init__(self, run: Callable[[], None], log: Path, env: Mapping[str, str], folder: Path) -> None:
        self.log = log
        self._process = context().Process(target=_child, args=(run, str(log), dict(env), str(folder)), daemon=True)
        self._process.start()
        self.pid: int = self._process.pid

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        code: int | None = self._process.exitcode
        return code

    def kill(self) -> None:
        self._process.kill()

    def end(self, limit: float) -> bool:
        """Wait `limit` seconds for its end, then kill it; False if it had to be killed."""
        self._process.join(limit)
        in_time = self.code is not None
        self._process.kill()
        self._process.join()
        return in_time

    def stop(self, limit: float) -> bool:
        """SIGTERM, and `end`."""
        self._process.terminate()
        return self.end(limit)

    def last_words(self, lines: int = 15) -> str:
        """The last lines that it wrote."""
        written = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(written[-lines:])


def _child(run: Callable[[], None], log: str, env: dict[str, str], folder: str) -> None:
    with_its_parent()
    os.environ.update(env)
    os.chdir(folder)
    with open(log, "ab") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    run()
