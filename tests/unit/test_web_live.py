"""The push, with its two questions answered here: no service, no waiting for a clock."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest

from journey.errors import Busy, TurnpathError, Unreachable
from web import live
from web.live import Live


class Figures:
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

    async def ask_digest(self, site: str, bot: str, mark: str) -> str:
        self.digests.append(bot)
        return self.of.get(bot, "")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_PAUSE_S", 0.005)
    monkeypatch.setattr(live, "_BEAT_S", 0.02)


@pytest.fixture
async def figures() -> Figures:
    return Figures()


async def until(events: AsyncIterator[bytes], wanted: str) -> dict[str, object]:
    """Read on until an event of that name; its data."""
    async for event in events:
        name, _, data = event.decode().strip().split("\n")
        if name == f"event: {wanted}":
            found: dict[str, object] = orjson.loads(data.removeprefix("data: "))
            return found
    raise AssertionError(f"the stream ended without {wanted}")


async def test_a_page_hears_of_a_change_of_its_bot_only(figures: Figures) -> None:
    figures.of = {"a": "1", "b": "1"}
    push = Live(figures.ask_mark, figures.ask_digest)
    events = push.events("s", "a")
    first = await until(events, "today")
    while not figures.digests:
        await until(events, "beat")
    figures.of["b"], figures.mark = "2", "2"
    assert await until(events, "beat") == {}
    figures.of["a"], figures.mark = "2", "3"
    assert (await until(events, "today"))["version"] != first["version"]
    push.close()


async def test_figures_are_read_only_when_moves_changed(figures: Figures) -> None:
    figures.of = {"a": "1"}
    push = Live(figures.ask_mark, figures.ask_digest)
    pages = [push.events("s", "a") for _ in range(20)]
    for page in pages:
        await until(page, "today")
    while figures.marks < 10:
        await until(pages[0], "beat")
    assert figures.digests == ["a"]
    push.close()


async def test_trouble_is_told_and_its_end_and_what_changed_meanwhile(figures: Figures) -> None:
    figures.of = {"a": "1"}
    push = Live(figures.ask_mark, figures.ask_digest)
    events = push.events("s", "a")
    await until(events, "today")
    figures.trouble = Unreachable("ClickHouse does not answer")
    assert await until(events, "trouble") == {"error": "ClickHouse does not answer"}
    figures.of["a"], figures.mark, figures.trouble = "2", "2", None
    await until(events, "today")
    push.close()


async def test_nobody_looks_while_no_page_is_open(figures: Figures) -> None:
    push = Live(figures.ask_mark, figures.ask_digest)
    events = push.events("s", "a")
    await until(events, "today")
    await until(events, "beat")
    await events.aclose()  # type: ignore[attr-defined]
    asked = figures.marks
    await asyncio.sleep(0.05)
    assert figures.marks <= asked + 1
    assert push.mark == ""
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_streams_end_when_the_server_does(figures: Figures) -> None:
    push = Live(figures.ask_mark, figures.ask_digest)
    events = push.events("s", "a")
    await until(events, "today")
    push.close()
    assert [event async for event in events] == []


async def test_pages_and_bots_have_a_bound(figures: Figures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_MAX_BOTS", 1)
    push = Live(figures.ask_mark, figures.ask_digest)
    events = push.events("s", "a")
    await until(events, "today")
    push.check_room("s", "a")
    with pytest.raises(Busy):
        push.check_room("s", "b")
    monkeypatch.setattr(live, "_MAX_PAGES", 1)
    with pytest.raises(Busy):
        push.check_room("s", "a")
    push.close()
