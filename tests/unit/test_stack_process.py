"""A child ends when it is asked to, when it is killed, and when its parent is gone; none of its group is left."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stack.process import Process
from tests.waiting import running, until

_ROOT = Path(__file__).resolve().parents[2]


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_output_goes_to_the_log_and_the_last_words_are_those_of_this_start(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "part.log"
    Process(python("print('first')"), log).end(60)
    process = Process(
        python("import sys; print('one\\ntwo', flush=True); print('three', file=sys.stderr); sys.exit(3)"), log
    )
    assert process.end(60)
    assert process.code == 3
    assert process.last_words(2).splitlines() == ["two", "three"]
    assert "first" not in process.last_words()
    assert "first" in log.read_text()


@pytest.mark.parametrize("nice", [0, 10])
def test_a_child_gives_way_as_far_as_it_shall(nice: int, tmp_path: Path) -> None:
    """In one session with the others, outside of which nice values may count for nothing; in a group of its own."""
    text = "import os; print(os.nice(0), os.getsid(0), os.getpgid(0) == os.getpid(), flush=True)"
    process = Process(python(text), tmp_path / "log", nice=nice)
    assert process.end(60)
    assert process.last_words().split() == [str(os.nice(0) + nice), str(os.getsid(0)), "True"]


def test_a_child_that_heeds_sigterm_ends_by_it(tmp_path: Path) -> None:
    process = Process(python("import time; print('up', flush=True); time.sleep(600)"), tmp_path / "log")
    until(lambda: "up" in process.last_words())
    assert process.stop(60)
    assert process.code == -signal.SIGTERM


def test_a_child_that_ignores_sigterm_is_killed_with_its_own_children(tmp_path: Path) -> None:
    text = (
        "import signal, subprocess, sys, time; sleep = 'import time; time.sleep(600)'; "
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(subprocess.Popen([sys.executable, '-c', sleep]).pid, flush=True); time.sleep(600)"
    )
    process = Process(python(text), tmp_path / "log")
    until(lambda: process.last_words().strip().isdigit())
    grandchild = int(process.last_words())
    assert not process.stop(0.1)
    assert process.code == -signal.SIGKILL
    until(lambda: not running(grandchild))


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal at a parent's death is Linux's")
def test_a_child_is_killed_when_its_parent_is(tmp_path: Path) -> None:
    text = (
        "import sys, time; from pathlib import Path; from stack.process import Process; "
        "p = Process([sys.executable, '-c', 'import time; time.sleep(600)'], Path(sys.argv[1])); "
        "print(p.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([*python(text), str(tmp_path / "log")], stdout=subprocess.PIPE, text=True, cwd=_ROOT)
    assert parent.stdout
    child = int(parent.stdout.readline())
    # from here on it is the command itself and no longer the launcher, which has asked the kernel
    until(lambda: b"launch.py" not in Path(f"/proc/{child}/cmdline").read_bytes())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    until(lambda: not running(child))


def test_a_command_that_is_not_there_says_so(tmp_path: Path) -> None:
    process = Process(["/no/such/program"], tmp_path / "log")
    assert process.end(60)
    assert process.code
    assert "/no/such/program cannot be run" in process.last_words()


def test_a_long_log_is_put_aside_at_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stack.process._LOG_BYTES", 10)
    log = tmp_path / "part.log"
    Process(python("print('a long first line')"), log).end(60)
    Process(python("print('second')"), log).end(60)
    assert log.read_text().strip() == "second"
    assert "a long first line" in (tmp_path / "part.log.1").read_text()
