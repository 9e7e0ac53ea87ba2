"""The push: tells open pages, by Server-Sent Events, when today's figures of their bot have changed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
import structlog

from journey.errors import Busy, TurnpathError
from web.metrics import PAGES

_log = structlog.get_logger()

_PAUSE_S = 0.25
_BEAT_S = 2.0
_AGAIN_S = 1.0
_MAX_PAGES = 500
_MAX_BOTS = 100


class Figures(NamedTuple):
    """A text that differs when a bot's figures have, and when their reading began (time.monotonic())."""

    digest: str
    begun: float


@dataclass(eq=False)
class _Watch:
    """A bot that open pages look at. `mark`: the one after which it was compared last; `next_look`: not before then,
    since its figures are read once a second at most. `news` is set, and made anew, at each change."""

    site: str
    bot: str
    pages: int = 0
    digest: str = ""
    mark: str = ""
    next_look: float = 0.0
    version: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self) -> None:
        self.version += 1
        self.news.set()
        self.news = asyncio.Event()


class Live:
    """One look at ClickHouse serves all pages; while no page is open, none is taken.

    `mark()` gives, as cheaply as can be, a text that differs whenever `moves` may have changed; `figures(site, bot,
    since)` that bot's, read at the time `since` (time.monotonic()) or later.
    """

    def __init__(
        self, mark: Callable[[], Awaitable[str]], figures: Callable[[str, str, float], Awaitable[Figures]]
    ) -> None:
        self._ask_mark, self._ask_figures = mark, figures
        self._watches: dict[tuple[str, str], _Watch] = {}
        self._looking: asyncio.Task[None] | None = None
        self._trouble: TurnpathError | None = None
        self._closed = False

    async def events(self, site: str, bot: str) -> AsyncIterator[bytes]:
        """Events for one page until it goes: `today` (figures changed; also first of all), `trouble`, `beat`."""
        watch = self._join(site, bot)
        try:
            seen = -1
            while not self._closed:
                if self._trouble:
                    yield _event("trouble", error=str(self._trouble))
                elif seen != watch.version:
                    yield _event("today", version=watch.version)
                else:
                    yield _event("beat")
                seen, news = watch.version, watch.news
                await _within(news.wait(), _BEAT_S)
        finally:
            self._leave(watch)

    def close(self) -> None:
        """Let every page's stream end; to be called in the loop's thread."""
        self._closed = True
        for watch in self._watches.values():
            watch.tell()
        if self._looking:
            self._looking.cancel()

    def check_room(self, site: str, bot: str) -> None:
        """Busy where no more pages, or bots, can be watched."""
        pages = sum(watch.pages for watch in self._watches.values())
        if pages >= _MAX_PAGES or ((site, bot) not in self._watches and len(self._watches) >= _MAX_BOTS):
            raise Busy("too many live pages are open: close some, or look again in a while")

    def _join(self, site: str, bot: str) -> _Watch:
        watch = self._watches.setdefault((site, bot), _Watch(site, bot))
        watch.pages += 1
        PAGES.inc()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return watch

    def _leave(self, watch: _Watch) -> None:
        watch.pages -= 1
        PAGES.dec()
        if watch.pages == 0:
            del self._watches[watch.site, watch.bot]
        if not self._watches and self._looking:
            self._looking.cancel()
            self._looking = None

    async def _look(self) -> None:
        """Look again and again, resting as long as the reading took: half of the time at most goes into it."""
        while True:
            took = 0.0
            try:
                took = await self._look_once()
                self._set_trouble(None)
            except TurnpathError as error:
                self._set_trouble(error)
            except Exception as error:
                _log.exception("live_look_failed")
                self._set_trouble(TurnpathError(f"today's figures could not be read ({type(error).__name__})"))
            await asyncio.sleep(max(_PAUSE_S, took))

    async def _look_once(self) -> float:
        """Compare what may have changed; the longest that a reading took, seconds."""
        began = time.monotonic()
        mark = await self._ask_mark()
        seen = time.monotonic()
        due = [watch for watch in self._watches.values() if mark != watch.mark and watch.next_look <= seen]
        took = await asyncio.gather(*(self._compare(watch, mark, seen) for watch in due))
        return max(seen - began, *took, 0.0)

    async def _compare(self, watch: _Watch, mark: str, seen: float) -> float:
        figures = await self._ask_figures(watch.site, watch.bot, seen)
        watch.mark, watch.next_look = mark, figures.begun + _AGAIN_S
        if figures.digest != watch.digest:
            watch.digest = figures.digest
            watch.tell()
        return time.monotonic() - figures.begun

    def _set_trouble(self, trouble: TurnpathError | None) -> None:
        changed = (trouble is None) != (self._trouble is None)
        self._trouble = trouble
        if changed:
            for watch in self._watches.values():
                watch.tell()


async def _within(waiting: Awaitable[Any], seconds: float) -> None:
    try:
        await asyncio.wait_for(waiting, seconds)
    except TimeoutError:
        return


def _event(name: str, **data: Any) -> bytes:
    return b"event: %s\nretry: 1000\ndata: %s\n\n" % (name.encode(), orjson.dumps(data))
