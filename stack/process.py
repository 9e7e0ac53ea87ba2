"""One child process: a group of its own, its output in a log, gone when its parent is gone."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_LAUNCH = Path(__file__).with_name("launch.py")
_LOG_BYTES = 20_000_000


def launched(command: Sequence[str], nice: int = 0) -> list[str]:
    """`command`, run so that it does not outlive this process (call it from the thread that lives longest).

    `nice`: how far it leaves the processor to others, 0 to 19.
    """
    return [sys.executable, "-S", "-E", str(_LAUNCH), str(os.getpid()), str(nice), *command]


class Process:
    """A running `command`; its standard output and error go to the end of the file `log`.

    Start it in a thread that lives as long as it shall: the kernel kills it when that thread ends.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        nice: int = 0,
    ) -> None:
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))
        with log.open("ab") as output:
            self._begin = output.tell()
            self._popen = subprocess.Popen(
                launched(command, nice),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                # of its parent's session: Linux may share the processor between sessions first (autogroup), and nice
                # values, of which those of ClickHouse's threads differ, count only within one
                process_group=0,
            )
        self.pid = self._popen.pid

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._popen.poll()

    def ask_to_stop(self) -> None:
        """SIGTERM to it and all that it started."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to it and all that it started; `end` waits for it."""
        self._signal(signal.SIGKILL)

    def end(self, limit: float) -> bool:
        """Wait `limit` seconds for its end, then kill it; False if it had to be killed. Leaves none of its group."""
        try:
            self._popen.wait(max(limit, 0))
            return True
        except subprocess.TimeoutExpired:
            return False
        finally:
            self.kill()
            self._popen.wait()

    def stop(self, limit: float) -> bool:
        """`ask_to_stop` and `end`."""
        self.ask_to_stop()
        return self.end(limit)

    def last_words(self, lines: int = 15) -> str:
        """The last lines that it wrote to its log since its start."""
        with self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._begin, size - 20_000))
            written = log.read().decode(errors="replace").splitlines()
        return "\n".join(written[-lines:])

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
