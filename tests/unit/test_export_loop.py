"""The loop of the export jobs: no trouble ends it, and a changed file is taken over, or said to be wrong."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from exporter.jobs import Job
from journey.errors import BadSetting, Retry
from scheduler.exports import LONGEST_PAUSE_S, LOOKS_S, ExportLoop, JobFile

RIGHT = '[[job]]\nname = "{}"\nsite = "shop"\nto = "reports"\n'


class Turns:
    """Notes the jobs of each turn; raises what is next in `trouble`."""

    def __init__(self, *trouble: Exception | None) -> None:
        self.trouble, self.seen = list(trouble), list[list[str]]()

    def turn(self, jobs: Sequence[Job]) -> None:
        self.seen.append([job.name for job in jobs])
        error = self.trouble.pop(0) if self.trouble else None
        if error is not None:
            raise error


def write(path: Path, text: str) -> None:
    path.write_text(text)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1_000_000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "exports.toml"
    path.write_text(RIGHT.format("a"))
    return path


def test_a_changed_file_is_taken_over_and_a_wrong_one_is_not(path: Path) -> None:
    turns = Turns()
    loop = ExportLoop(JobFile(path), turns, lambda _: False)
    loop.turn()
    write(path, RIGHT.format("b"))
    loop.turn()
    assert loop.reasons() == []
    write(path, "[[job]]\nnaem = 1\n")
    loop.turn()
    (reason,) = loop.reasons()
    assert "naem is not known: is name meant?" in reason
    path.unlink()
    loop.turn()
    assert "cannot be read" in loop.reasons()[0]
    write(path, RIGHT.format("c"))
    loop.turn()
    assert loop.reasons() == []
    assert turns.seen == [["a"], ["b"], ["b"], ["b"], ["c"]]


def test_it_does_not_start_with_a_wrong_file(path: Path) -> None:
    path.write_text("[[job]]\n")
    with pytest.raises(BadSetting, match=f"{path}:1: name is missing"):
        JobFile(path)


def test_no_trouble_ends_it_and_the_pauses_grow_and_shrink(path: Path) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) >= 40

    turns = Turns(*[Retry("ClickHouse is away")] * 8, RuntimeError("a bug"), None, Retry("away"))
    loop = ExportLoop(JobFile(path), turns, wait)
    loop.run()
    pauses = [seconds for seconds in waits if seconds]
    assert pauses[:3] == [2 * LOOKS_S, 4 * LOOKS_S, 8 * LOOKS_S]
    assert max(pauses) == LONGEST_PAUSE_S
    assert pauses[9:12] == [LOOKS_S, 2 * LOOKS_S, LOOKS_S]
    assert len(turns.seen) == 20


def test_trouble_is_said_until_it_is_over(path: Path) -> None:
    loop = ExportLoop(JobFile(path), Turns(Retry("ClickHouse is away")), lambda _: False)
    loop.turn()
    assert loop.reasons() == ["exports: ClickHouse is away"]
    loop.turn()
    assert loop.reasons() == []
