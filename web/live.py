"""The push: tells open pages, by Server-Sent Events, when today's figures of their bot have changed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog

from journey.errors import Busy, TurnpathError

_log = structlog.get_logger()

_PAUSE_S = 0.25
_BEAT_S = 2.0
_MAX_PAGES = 500
_MAX_BOTS = 100


@dataclass(eq=False)
class _Watch:
    """A bot that open pages look at. `news` is set, and made anew, at each change."""

    site: str
    bot: str
    pages: int = 0
    digest: str = ""
    version: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self) -> None:
        self.version += 1
        self.news.set()
        self.news = asyncio.Event()


class Live:
    """One look at ClickHouse serves all pages; while no page is open, none is taken.

    `mark()` gives, as cheaply as can be, a text that differs whenever `moves` may have changed; `digest(site, bot,
    mark)` a text that differs when that bot's figures have.
    """

    def __init__(self, mark: Callable[[], Awaitable[str]], digest: Callable[[str, str, str], Awaitable[str]]) -> None:
        self._ask_mark, self._ask_digest = mark, digest
        self._watches: dict[tuple[str, str], _Watch] = {}
        self._looking: asyncio.Task[None] | None = None
        self._mark = ""
        self._trouble: TurnpathError | None = None
        self._closed = False

    @property
    def mark(self) -> str:
        """The newest mark seen; "" while nobody looks. An answer made after it holds all that it stands for."""
        return self._mark

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
        if self._looking is None or self._looking.done():
            self._mark = ""
            self._looking = asyncio.create_task(self._look())
        return watch

    def _leave(self, watch: _Watch) -> None:
        watch.pages -= 1
        if watch.pages == 0:
            del self._watches[watch.site, watch.bot]
        if not self._watches and self._looking:
            self._looking.cancel()
            self._looking, self._mark = None, ""

    async def _look(self) -> None:
        """Look again and again, resting as long as the look took: half of the time at most goes into it."""
        while True:
            began = time.monotonic()
            try:
                await self._look_once()
                self._set_trouble(None)
            except TurnpathError as error:
                self._set_trouble(error)
            except Exception as error:
                _log.exception("live_look_failed")
                self._set_trouble(TurnpathError(f"today's figures could not be read ({type(error).__name__})"))
            await asyncio.sleep(max(_PAUSE_S, time.monotonic() - began))

    async def _look_once(self) -> None:
        mark = await self._ask_mark()
        unseen = [watch for watch in self._watches.values() if mark != self._mark or not watch.digest]
        self._mark = mark
        try:
            await asyncio.gather(*(self._compare(watch, mark) for watch in unseen))
        except BaseException:
            self._mark = ""  # what was not compared must be, next time
            raise

    async def _compare(self, watch: _Watch, mark: str) -> None:
        digest = await self._ask_digest(watch.site, watch.bot, mark)
        if digest != watch.digest:
            watch.digest = digest
            watch.tell()

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
