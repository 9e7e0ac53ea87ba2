"""The push, with its two questions answered here: no service, no waiting for a clock."""

import asyncio
import time
from collections.abc import AsyncIterator

import orjson
import pytest

from journey.errors import Busy, TurnpathError, Unreachable
from tests.counted import value
from web import live
from web.live import Figures, Live


class Bots:
    """What ClickHouse would say: `moves` changed (mark), and each bot's figures."""

    def __init__(self) -> None:
        self.mark = "1"
        self.of: dict[str, str] = {}
        self.trouble: TurnpathError | None = None
        self.marks = 0
        self.digests: list[str] = []

    async def ask_mark(self) -> str:
        self.marks += 1
        if self.trouble:
            raise self.trouble
        return self.mark

    async def ask(self, site: str, bot: str, since: float) -> Figures:
        assert since <= time.monotonic()
        self.digests.append(bot)
        return Figures(self.of.get(bot, ""), time.monotonic())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_PAUSE_S", 0.005)
    monkeypatch.setattr(live, "_BEAT_S", 0.02)
    monkeypatch.setattr(live, "_AGAIN_S", 0.0)


@pytest.fixture
async def figures() -> Bots:
    return Bots()


async def until(events: AsyncIterator[bytes], wanted: str) -> dict[str, object]:
    """Read on until an event of that name; its data."""
    async for event in events:
        name, _, data = event.decode().strip().split("\n")
        if name == f"event: {wanted}":
            found: dict[str, object] = orjson.loads(data.removeprefix("data: "))
            return found
    raise AssertionError(f"the stream ended without {wanted}")


async def test_a_page_hears_of_a_change_of_its_bot_only(figures: Bots) -> None:
    figures.of = {"a": "1", "b": "1"}
    push = Live(figures.ask_mark, figures.ask)
    events = push.events("s", "a")
    first = await until(events, "today")
    while not figures.digests:
        await until(events, "beat")
    figures.of["b"], figures.mark = "2", "2"
    assert await until(events, "beat") == {}
    figures.of["a"], figures.mark = "2", "3"
    assert (await until(events, "today"))["version"] != first["version"]
    push.close()


async def test_figures_are_read_only_when_moves_changed(figures: Bots) -> None:
    figures.of = {"a": "1"}
    push = Live(figures.ask_mark, figures.ask)
    pages = [push.events("s", "a") for _ in range(20)]
    for page in pages:
        await until(page, "today")
    while figures.marks < 10:
        await until(pages[0], "beat")
    assert figures.digests == ["a"]
    push.close()


async def test_figures_are_read_once_a_second_at_most(figures: Bots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_AGAIN_S", 3600)
    figures.of = {"a": "1"}
    push = Live(figures.ask_mark, figures.ask)
    events = push.events("s", "a")
    await until(events, "today")
    while figures.marks < 10:
        figures.mark, figures.of["a"] = str(figures.marks), str(figures.marks)
        await asyncio.sleep(0.005)
    assert figures.digests == ["a"]
    monkeypatch.setattr(live, "_AGAIN_S", 0)
    push._watches["s", "a"].next_look = 0  # its second is over: what changed meanwhile is seen
    await until(events, "today")
    push.close()


async def test_trouble_is_told_and_its_end_and_what_changed_meanwhile(figures: Bots) -> None:
    figures.of = {"a": "1"}
    push = Live(figures.ask_mark, figures.ask)
    events = push.events("s", "a")
    await until(events, "today")
    figures.trouble = Unreachable("ClickHouse does not answer")
    assert await until(events, "trouble") == {"error": "ClickHouse does not answer"}
    figures.of["a"], figures.mark, figures.trouble = "2", "2", None
    await until(events, "today")
    push.close()


async def test_nobody_looks_while_no_page_is_open(figures: Bots) -> None:
    push = Live(figures.ask_mark, figures.ask)
    events = push.events("s", "a")
    await until(events, "today")
    await until(events, "beat")
    await events.aclose()  # type: ignore[attr-defined]
    asked = figures.marks
    await asyncio.sleep(0.05)
    assert figures.marks <= asked + 1
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_streams_end_when_the_server_does(figures: Bots) -> None:
    push = Live(figures.ask_mark, figures.ask)
    events = push.events("s", "a")
    await until(events, "today")
    push.close()
    assert [event async for event in events] == []


async def test_pages_and_bots_have_a_bound(figures: Bots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_MAX_BOTS", 1)
    push = Live(figures.ask_mark, figures.ask)
    events = push.events("s", "a")
    await until(events, "today")
    push.check_room("s", "a")
    with pytest.raises(Busy):
        push.check_room("s", "b")
    monkeypatch.setattr(live, "_MAX_PAGES", 1)
    with pytest.raises(Busy):
        push.check_room("s", "a")
    push.close()


async def test_open_pages_are_counted(figures: Bots) -> None:
    push, before = Live(figures.ask_mark, figures.ask), value("turnpath_web_open_pages")
    pages = [push.events("s", "a"), push.events("s", "b")]
    for page in pages:
        await until(page, "today")
    assert value("turnpath_web_open_pages") - before == 2
    push.close()
    for page in pages:
        async for event in page:
            assert b"trouble" not in event
    assert value("turnpath_web_open_pages") == before
