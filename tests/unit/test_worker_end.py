"""How the worker's process ends, where something went wrong that nobody else would notice."""

import asyncio
import logging
import os
import subprocess
import threading
from pathlib import Path
from threading import Event as Flag
from types import SimpleNamespace
from typing import Any

import pytest

from cli.wiring import seldom
from journey.errors import BadSetting
from sql.client import Client
from stack.parts import turnpath
from stack.ports import free_port
from stream import app
from stream.agents import Writer
from stream.outages import Outages
from stream.prepared import Output, Prepared
from stream.ticks import TickSender
from tests.conftest import somewhere


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
    ticks = TickSender("127.0.0.1:1", Outages(stopping), lambda _: None)
    await app._end_in_time(stopping, ticks)(SimpleNamespace(crashed=crashed))
    assert stopping.is_set()
    assert ended.wait(10)
    assert codes == [code]


@pytest.mark.parametrize("where", ["rows", "counts"])
async def test_what_a_batch_does_not_expect_ends_the_process_at_once(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only when the next batch comes by."""
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        raise Ended

    def write(step: str) -> None:
        if step == where:
            raise ValueError("nobody thought of this")

    monkeypatch.setattr(os, "_exit", leave)
    faked: Any = SimpleNamespace(consumer_generation_id=None)
    batches: Any = SimpleNamespace(write_counts=lambda _: write("counts"))
    writer = Writer(faked, batches, lambda: 0, lambda _: None, Flag())
    rows = asyncio.create_task(asyncio.to_thread(write, "rows"))
    with pytest.raises(Ended):
        await writer._write(rows, [], Prepared(Output(), {}, set(), {}, Flag()))
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


def test_a_library_that_repeats_itself_is_heard_once(caplog: pytest.LogCaptureFixture) -> None:
    library = logging.getLogger("chatty.connection")
    seldom("chatty")
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            library.error("cannot connect")
        library.error("something else")
    assert [record.message for record in caplog.records] == ["cannot connect", "something else"]


def test_after_a_while_it_is_heard_again(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    library = logging.getLogger("chatty.again")
    seldom("chatty", seconds=300)
    for now in (0.0, 299.0, 301.0):
        monkeypatch.setattr("cli.wiring.time.monotonic", lambda now=now: now)
        library.error("cannot connect")
    assert len(caplog.records) == 2


def test_a_group_that_was_dealt_nothing_is_dealt_anew_soon(tmp_path: Path) -> None:
    """A broker that has just started may not know its topics; Kafka's own pace of looking again is five minutes."""
    settings = somewhere(tmp_path)
    with Client(settings.clickhouse) as one, Client(settings.clickhouse) as other:
        made = app.make_app(settings, one, other)
    assert made.conf.consumer_metadata_max_age_ms <= 10_000
    assert made.conf.broker_rebalance_timeout <= 15
