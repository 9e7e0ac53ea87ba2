"""A process that makes the exports of a morning and may be killed at any of its steps.

`python -m tests.integration.mornings` reads a line a morning: what time it is (ms), at which step to die (0: never).
It forks, so that importing is done once; the child dies by SIGKILL, as a process does that the machine takes away, and
its exit code is written. Steps are counted where something outside changes or is about to: before and after each row of
the history, each file, each mail, and in the middle of writing a file.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from cli.wiring import log_as_json
from exporter import history, made, post, run
from exporter.delivery import folder, url
from exporter.jobs import load
from settings import load as load_settings


class Steps:
    """Counts steps, and dies at the one that it was told."""

    def __init__(self, dies_at: int) -> None:
        self._left = dies_at

    def step(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, what: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*given: Any, **named: Any) -> Any:
            self.step()
            answer = what(*given, **named)
            self.step()
            return answer

        return stepped

    def copy(self, source: Any, target: Any) -> None:
        whole = source.read()
        target.write(whole[: len(whole) // 2])
        target.flush()
        self.step()
        target.write(whole[len(whole) // 2 :])


def morning(now: int, dies_at: int) -> None:
    """One turn of the exporter, each of its steps counted."""
    steps = Steps(dies_at)
    history.note = steps.around(history.note)
    made.export = steps.around(made.export)  # type: ignore[attr-defined]
    post.send = steps.around(post.send)  # type: ignore[attr-defined]
    folder.replacing = _stepped(folder.replacing, steps)  # type: ignore[attr-defined]
    setattr(folder, "shutil", SimpleNamespace(copyfileobj=steps.copy))  # noqa: B010
    url._move = steps.around(url._move)
    settings = load_settings()
    assert settings.export_jobs is not None
    exporter = run.Exporter(settings, lambda: now, lambda _: contextlib.nullcontext(), lambda _: False)
    exporter.turn(load(settings.export_jobs))


def _stepped(real: Any, steps: Steps) -> Any:
    @contextlib.contextmanager
    def replacing(path: Any) -> Any:
        with real(path) as file:
            steps.step()
            yield file
            steps.step()
        steps.step()

    return replacing


def main() -> None:
    """Mornings from standard input, exit codes to standard output."""
    log_as_json()
    for line in sys.stdin:
        now, dies_at = map(int, line.split())
        child = os.fork()
        if child == 0:
            code = 1
            try:
                morning(now, dies_at)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
