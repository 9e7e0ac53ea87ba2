"""`turnpath up` for real: it starts, mends itself, keeps to itself, and leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from settings import Settings
from sql.client import Client
from stack import health
from stack.jars import fetch
from stack.parts import environment, turnpath
from stack.ports import is_free
from tests.conftest import somewhere
from tests.waiting import running, until

PARTS = {"kafka", "redis", "clickhouse", "worker-1", "scheduler", "web"}


class Stack:
    """A `turnpath up` on free ports, what it says in a file."""

    def __init__(self, data: Path, settings: Settings) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self.settings = settings
        self._said = data / "said"
        self.env = {**os.environ, **environment(settings)}
        with self._said.open("wb") as said:
            self.up = subprocess.Popen(
                turnpath("up"), stdout=said, stderr=subprocess.STDOUT, env=self.env, start_new_session=True
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def await_line(self, words: str) -> None:
        until(lambda: words in self.said or self.up.poll() is not None, 120)
        assert words in self.said, self.said

    def children(self) -> dict[str, int]:
        """name of each part that this stack runs -> its process id, by the log that it writes to."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            try:
                output = os.readlink(path / "fd" / "1")
            except OSError:
                continue
            if output.startswith(str(self.settings.data / "logs")):
                found[Path(output).stem] = int(path.name)
        return found

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(turnpath(*arguments), env=self.env, capture_output=True, text=True)


def started(data: Path) -> Stack:
    fetch(somewhere(data).cache)
    return Stack(data, somewhere(data / "stack"))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One stack for these tests, ended by SIGTERM; that must end it whole."""
    made = started(tmp_path_factory.mktemp("up"))
    try:
        made.await_line("ready")
        children = made.children()
        yield made
        made.up.terminate()
        assert made.up.wait(60) == 0, made.said
        assert not any(running(pid) for pid in {**children, **made.children()}.values())
        assert is_free(made.settings.kafka)
        assert is_free(made.settings.http)
    finally:
        made.up.kill()
        made.up.wait()


def test_it_is_ready_when_every_part_answers(stack: Stack) -> None:
    settings = stack.settings
    assert re.search(rf"^ready: http://{settings.http}/$", stack.said, re.MULTILINE)
    assert set(stack.children()) == PARTS
    assert health.kafka(settings.kafka)
    assert health.redis(settings.redis)
    assert health.clickhouse(settings.clickhouse)
    assert health.http_page(settings.http)


def test_the_doctor_finds_it_well(stack: Stack) -> None:
    until(lambda: stack.run("doctor").returncode == 0, 60)  # a worker killed before may just be joining again
    done = stack.run("doctor", "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    findings = {finding["part"]: finding for finding in json.loads(done.stdout)}
    assert {"kafka", "topics", "workers", "redis", "clickhouse", "tables", "web"} <= set(findings)
    assert findings["topics"]["state"] == findings["tables"]["state"] == "ok", findings
    assert findings["workers"]["seen"].startswith("1 running")


def test_what_is_killed_comes_back(stack: Stack) -> None:
    before = stack.children()
    for name in PARTS - {"kafka"}:
        os.kill(before[name], signal.SIGKILL)
    for name in PARTS - {"kafka"}:
        until(lambda name=name: f"{name} is up again" in stack.said, 120)  # type: ignore[misc]
        assert f"{name} ended (killed by signal 9)" in stack.said
    after = stack.children()
    assert set(after) == PARTS
    assert {name for name in PARTS if after[name] == before[name]} == {"kafka"}
    assert stack.up.poll() is None


def test_a_second_one_on_the_same_folder_is_refused(stack: Stack) -> None:
    done = stack.run("up")
    assert done.returncode == 75
    assert f"process {stack.up.pid}" in done.stderr
    assert "TURNPATH_DATA" in done.stderr


def test_a_port_of_somebody_else_is_a_sentence(stack: Stack, tmp_path: Path) -> None:
    wrong = somewhere(tmp_path / "stack", redis=f"redis://{stack.settings.http}/0")
    done = subprocess.run(
        turnpath("up"), env={**os.environ, **environment(wrong)}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 4
    assert f"something else listens at {stack.settings.http}" in done.stderr
    assert "TURNPATH_REDIS" in done.stderr
    assert is_free(wrong.kafka)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's signal at a parent's death is Linux's")
def test_two_run_side_by_side_and_a_kill_leaves_nothing_of_one_and_all_of_the_other(
    stack: Stack, tmp_path: Path
) -> None:
    other = started(tmp_path)
    try:
        other.await_line("ready")
        children = other.children()
        assert set(children) == PARTS
        assert not set(children.values()) & set(stack.children().values())
        with Client(other.settings.clickhouse) as client:
            client.insert("installation", {"name": ["whose"], "value": ["the other's"]})
        with Client(stack.settings.clickhouse) as client:
            assert not client.rows("SELECT * FROM installation WHERE name = 'whose'")
    finally:
        other.up.kill()
        other.up.wait()
    until(lambda: not any(running(pid) for pid in children.values()))
    until(lambda: is_free(other.settings.kafka))
    assert stack.up.poll() is None
    assert health.kafka(stack.settings.kafka)
