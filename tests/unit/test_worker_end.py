"""How the worker's process ends, where something went wrong that nobody else would notice."""

import os
import subprocess
import threading
from pathlib import Path
from threading import Event as Flag
from types import SimpleNamespace
from typing import Any

import pytest

from journey.errors import BadSetting, Crash
from stack.parts import turnpath
from stack.ports import free_port
from stream import app
from stream.agents import Writer
from stream.batch import Output, Prepared


class Ended(BaseException):
    """The process would have ended here."""


@pytest.mark.parametrize(("crashed", "code"), [(False, 0), (True, 1)])
async def test_a_stop_that_hangs_ends_with_what_brought_it_about(
    monkeypatch: pytest.MonkeyPatch, crashed: bool, code: int
) -> None:
    codes: list[int] = []
    ended = threading.Event()
    monkeypatch.setattr(app, "STOP_WITHIN_S", 0.0)

    def leave(given: int) -> None:
        codes.append(given)
        ended.set()

    monkeypatch.setattr(os, "_exit", leave)
    stopping = Flag()
    await app._end_in_time(stopping)(SimpleNamespace(crashed=crashed))
    assert stopping.is_set()
    assert ended.wait(10)
    assert codes == [code]


async def test_a_tick_that_kafka_refuses_ends_the_process_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only when the next batch comes by."""
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise Ended

    async def refuse(*_: Any) -> None:
        raise Crash("refused")

    async def commit() -> bool:
        return True

    monkeypatch.setattr(os, "_exit", leave)
    faked: Any = SimpleNamespace(consumer_generation_id=None, consumer=SimpleNamespace(commit=commit))
    batches: Any = SimpleNamespace(write=lambda prepared: None)
    writer = Writer(faked, batches, lambda: 0, refuse, Flag())
    with pytest.raises(Ended):
        await writer._write([], Prepared(Output(), {}, set(), {("chatbot.turns", 0): 0}, Flag()))
    assert codes == [1]


def test_a_worker_without_a_broker_says_what_to_do(tmp_path: Path) -> None:
    given = {"TURNPATH_KAFKA": f"127.0.0.1:{free_port()}", "TURNPATH_DATA": str(tmp_path / "data")}
    done = subprocess.run(turnpath("worker"), env={**os.environ, **given}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 4
    assert "does not answer: start the stack with `turnpath up`" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_made_is_a_sentence() -> None:
    with pytest.raises(BadSetting, match="set TURNPATH_DATA"):
        app._folder(Path("/proc/nothing/faust"))
