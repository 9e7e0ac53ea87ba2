"""Parts are started in order, started again when they die, given up when they die too often, stopped in reverse."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from journey.errors import Crash, Unreachable
from stack import health
from stack.parts import Part
from stack.ports import free_port
from stack.supervisor import Patience, Stopped, Supervisor
from tests.waiting import running, until

QUICK = Patience(first_wait=0.01, longest_wait=0.02, deaths=3, look_every=0.05, silence=0.1, stop=30, same=0)
SERVE = (
    "import http.server, sys, signal\n"
    "def stop(*_):\n"
    "    print('stopped', file=open(sys.argv[2], 'a'), flush=True); sys.exit(0)\n"
    "signal.signal(signal.SIGTERM, stop)\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(200); self.end_headers()\n"
    "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), H).serve_forever()\n"
)


def server(name: str, notes: Path) -> Part:
    """A part that answers by HTTP; when it is asked to end it writes `stopped` to notes/<name>."""
    address = f"127.0.0.1:{free_port()}"
    port = address.partition(":")[2]
    return Part(
        name,
        lambda: [sys.executable, "-c", SERVE, port, str(notes / name)],
        lambda: health.http_page(address),
        (address,),
        setting="TURNPATH_TEST",
    )


def doing(name: str, text: str) -> Part:
    return Part(name, lambda: [sys.executable, "-c", text], lambda: True)


class Told(list[str]):
    """What the supervisor said."""

    def of(self, *words: str) -> bool:
        return any(all(word in line for word in words) for line in self)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def supervisor(tmp_path: Path, told: Told) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path, told.append, QUICK)
    yield made
    made.stop()


def watching(supervisor: Supervisor, test: Callable[[], None]) -> None:
    """Run `test` in a thread beside `watch`: children belong to the thread that started them, which must live on."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            test()
        except BaseException as error:
            failed.append(error)
        finally:
            supervisor.ask_to_stop()

    thread = threading.Thread(target=run)
    thread.start()
    supervisor.watch()
    thread.join()
    if failed:
        raise failed[0]


def pids(supervisor: Supervisor) -> list[int]:
    return [child.process.pid for child in supervisor._children()]


def test_parts_answer_when_start_returns_and_stop_in_reverse(
    supervisor: Supervisor, told: Told, tmp_path: Path
) -> None:
    first, second = server("first", tmp_path), server("second", tmp_path)
    supervisor.start([first])
    supervisor.start([second])
    assert first.answers()
    assert second.answers()
    assert [line.split(" ")[0] for line in told] == ["first", "second"]
    started = pids(supervisor)
    supervisor.stop()
    assert not any(running(pid) for pid in started)
    ended = [(tmp_path / name).stat().st_mtime_ns for name in ("second", "first")]
    assert ended == sorted(ended)


def test_what_dies_is_started_again_and_said(supervisor: Supervisor, told: Told, tmp_path: Path) -> None:
    part = server("page", tmp_path)
    supervisor.start([part])
    (before,) = pids(supervisor)

    def test() -> None:
        os.kill(before, signal.SIGKILL)
        until(lambda: told.of("page is up again"))

    watching(supervisor, test)
    assert part.answers()
    assert pids(supervisor) != [before]
    assert told.of("page ended (killed by signal 9)", "started again")


def test_what_dies_again_and_again_is_given_up_with_its_last_words(supervisor: Supervisor) -> None:
    supervisor.start([doing("worker", "import sys; sys.exit('no good')")])
    with pytest.raises(Crash, match="worker died 3 times") as raised:
        supervisor.watch()
    assert "| no good" in str(raised.value)


def test_a_wrong_setting_is_not_tried_again(supervisor: Supervisor, told: Told) -> None:
    supervisor.start([doing("worker", "import sys; print('write it so'); sys.exit(3)")])
    with pytest.raises(Crash, match="write it so"):
        supervisor.watch()
    assert not told.of("again")


def test_a_part_that_hangs_is_named(supervisor: Supervisor, told: Told, tmp_path: Path) -> None:
    supervisor.start([server("page", tmp_path)])
    (pid,) = pids(supervisor)

    def test() -> None:
        os.kill(pid, signal.SIGSTOP)
        until(lambda: told.of("page runs, but has not answered"))
        os.kill(pid, signal.SIGCONT)
        until(lambda: told.of("page is up again"))

    watching(supervisor, test)
    assert pids(supervisor) == [pid]


def test_what_answers_already_is_used_and_left_alone(supervisor: Supervisor, told: Told, tmp_path: Path) -> None:
    part = server("page", tmp_path)
    supervisor.start([part])
    other = Supervisor(tmp_path / "other", told.append, QUICK)
    other.start([part])
    assert told.of("page answers at", "used, not started")
    other.stop()
    assert part.answers()


def test_what_somebody_else_started_meanwhile_is_used(supervisor: Supervisor, told: Told, tmp_path: Path) -> None:
    slow = Patience(first_wait=1)
    other, part = Supervisor(tmp_path, told.append, slow), server("page", tmp_path)
    other.start([part])
    (pid,) = pids(other)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not running(pid))
    supervisor.start([part])

    def test() -> None:
        until(lambda: told.of("page answers at", "used, not started"))

    watching(other, test)
    other.stop()
    assert part.answers()


def test_a_port_in_use_is_a_sentence(supervisor: Supervisor, tmp_path: Path) -> None:
    page = server("page", tmp_path)
    supervisor.start([page])
    stranger = replace(server("redis", tmp_path), addresses=page.addresses, setting="TURNPATH_REDIS")
    with pytest.raises(Unreachable, match=rf"something else listens at {page.addresses[0]}.*set TURNPATH_REDIS"):
        supervisor.start([stranger])


def test_a_part_that_never_answers_is_given_up(supervisor: Supervisor) -> None:
    part = replace(doing("web", "import time; print('hm', flush=True); time.sleep(600)"), answers=lambda: False)
    with pytest.raises(Crash, match="web does not answer after 1 s"):
        supervisor.start([replace(part, start_limit=1)])


def test_a_part_that_ends_while_it_is_awaited_is_told_with_its_last_words(supervisor: Supervisor) -> None:
    part = replace(doing("web", "import sys; sys.exit('bad day')"), answers=lambda: False)
    with pytest.raises(Crash, match=r"(?s)web ended with 1.*bad day"):
        supervisor.start([part])


def test_run_waits_for_the_end_and_fails_with_its_words(supervisor: Supervisor, told: Told, tmp_path: Path) -> None:
    supervisor.run(doing("migrate", f"open({str(tmp_path / 'done')!r}, 'w')"), "making tables")
    assert told == ["making tables"]
    assert (tmp_path / "done").exists()
    with pytest.raises(Crash, match=r"(?s)migrate failed with 4.*no way"):
        supervisor.run(doing("migrate", "import sys; print('no way'); sys.exit(4)"), "making tables")


def test_asked_to_stop_while_something_starts(supervisor: Supervisor) -> None:
    def answers() -> bool:
        supervisor.ask_to_stop()
        return False

    part = replace(doing("web", "import time; time.sleep(600)"), answers=answers)
    with pytest.raises(Stopped):
        supervisor.start([part])
    (pid,) = pids(supervisor)
    supervisor.stop()
    assert not running(pid)


def test_asked_twice_it_kills_what_will_not_end(supervisor: Supervisor, told: Told) -> None:
    text = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    supervisor.start([replace(doing("worker", text), stop_limit=600)])
    (child,) = supervisor._children()
    until(lambda: "up" in child.process.last_words())
    supervisor.ask_to_stop()
    supervisor.ask_to_stop()
    supervisor.stop()
    assert told.of("worker did not end in time and was killed")
    assert not running(child.process.pid)
