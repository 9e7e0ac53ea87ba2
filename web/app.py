"""The page and its API (docs/page.md)."""

import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles

from journey.errors import NoData, Retry, TurnpathError
from journey.labels import Lang
from metrics.serve import metrics_page
from settings import Settings
from sql.client import Client
from sql.migrate import VIEWS
from web import answers, refusals
from web.database import Database
from web.export import XLSX, Export
from web.headers import Headers
from web.live import Figures, Live
from web.metrics import Measured
from web.shared import Answer, Shared

_STATIC = Path(__file__).with_name("static")

_Name = Annotated[str, Query(min_length=1, max_length=128)]
_From = Annotated[date, Query(alias="from")]
_To = Annotated[date, Query(alias="to")]
_MaybeFrom = Annotated[date | None, Query(alias="from")]
_MaybeTo = Annotated[date | None, Query(alias="to")]


class Site:
    """What the routes share: ClickHouse, answers kept for a second, the push. `client` makes a connection."""

    def __init__(self, settings: Settings, client: Callable[[], Client]) -> None:
        self.settings = settings
        self.zone = ZoneInfo(settings.timezone)
        self.database = Database(client)
        self.shared = Shared(settings.redis, _scope(settings))
        self.live = Live(self._mark, self._figures)
        self.export = Export(client, self.zone)

    async def answer(self, key: str, make: Callable[[Client], object]) -> Response:
        """The answer that `make` makes, or the one of this second."""
        return Response(await self.body(key, make), media_type="application/json")

    async def body(self, key: str, make: Callable[[Client], object]) -> bytes:
        return (await self._shared(key, make)).body

    async def today(self, site: str, bot: str, since: float = 0.0) -> Answer:
        """Today's answer; one whose making began before `since` (time.monotonic()) will not do."""
        return await self._shared(
            f"today {site!r} {bot!r}", lambda client: answers.today(client, self.zone, site, bot), since
        )

    async def _shared(self, key: str, make: Callable[[Client], object], since: float = 0.0) -> Answer:
        async def asked() -> bytes:
            return await self.database.ask(lambda client: answers.body(make(client)))

        # at midnight the same question is another: nothing of yesterday's is shown for a second more
        return await self.shared.answer(f"{datetime.now(self.zone).date()} {key}", asked, since)

    async def close(self) -> None:
        self.live.close()
        self.database.close()
        self.export.close()
        await self.shared.close()

    async def _mark(self) -> str:
        return await self.database.ask(lambda client: answers.mark(client, self.zone))

    async def _figures(self, site: str, bot: str, since: float) -> Figures:
        try:
            answer = await self.today(site, bot, since)
        except NoData:
            return Figures("none", time.monotonic())
        return Figures(answers.figures(answer.body), answer.begun)


def _scope(settings: Settings) -> str:
    """What every answer hangs on beside its question: whose database (and as which user), and what makes it."""
    made_by = hashlib.blake2b()
    for path in sorted([*VIEWS.rglob("*.sql"), *Path(__file__).parent.glob("*.py")]):
        made_by.update(path.read_bytes())
    parts = (settings.clickhouse, settings.timezone, settings.first_day, settings.room_idle, made_by.hexdigest())
    return "\n".join(map(str, parts))


def create(settings: Settings, client: Callable[[], Client], echarts: Path) -> FastAPI:
    """The ASGI application; `echarts` is the chart library's file (absent, the page shows its table only)."""
    site = Site(settings, client)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await site.close()

    app = FastAPI(title="Turnpath", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.site = site
    packed = (*DEFAULT_EXCLUDED_CONTENT_TYPES, XLSX)
    app.add_middleware(GZipMiddleware, minimum_size=4096, compresslevel=3, exclude_content_types=packed)
    app.add_middleware(Headers)
    app.add_middleware(Measured)
    app.add_exception_handler(TurnpathError, refusals.refused)
    app.add_exception_handler(RequestValidationError, refusals.misasked)
    app.add_exception_handler(HTTPException, refusals.not_there)
    app.add_exception_handler(Exception, refusals.failed)
    _add_answers(app, site)
    _add_live(app, site)
    _add_metrics(app)
    _add_files(app, echarts)
    return app


def _add_answers(app: FastAPI, site: Site) -> None:
    settings = site.settings

    @app.get("/api/labels")
    async def labels() -> Response:
        return Response(answers.body(answers.words()), media_type="application/json")

    @app.get("/api/bots")
    async def bots() -> Response:
        return await site.answer("bots", answers.bots)

    @app.get("/api/days")
    async def days(first: _MaybeFrom = None, last: _MaybeTo = None) -> Response:
        return await site.answer(
            f"days {first} {last}",
            lambda client: answers.days(client, site.zone, settings.first_day, first, last),
        )

    @app.get("/api/journey")
    async def journey(name: Annotated[_Name, Query(alias="site")], bot: _Name, first: _From, last: _To) -> Response:
        return await site.answer(
            f"journey {name!r} {bot!r} {first} {last}",
            lambda client: answers.journey(client, name, bot, first, last),
        )

    @app.get("/api/export")
    async def export(
        name: Annotated[_Name, Query(alias="site")],
        bot: _Name | None = None,
        first: _MaybeFrom = None,
        last: _MaybeTo = None,
        lang: Lang = "ko",
    ) -> Response:
        return await site.export.answer(name, (bot,) if bot else None, first, last, lang)

    @app.get("/health")
    async def health() -> Response:
        parts = {"clickhouse": await _clickhouse_answers(site), "redis": await site.shared.reachable()}
        # Redis holds nothing that cannot be lost: without it the page is as right, and as quick for one process
        return Response(answers.body(parts), 200 if parts["clickhouse"] else 503, media_type="application/json")


def _add_live(app: FastAPI, site: Site) -> None:
    @app.get("/api/today")
    async def today(name: Annotated[_Name, Query(alias="site")], bot: _Name) -> Response:
        return Response((await site.today(name, bot)).body, media_type="application/json")

    @app.get("/api/live")
    async def live(name: Annotated[_Name, Query(alias="site")], bot: _Name) -> Response:
        site.live.check_room(name, bot)
        await site.today(name, bot)  # refuses now what is not there
        return StreamingResponse(site.live.events(name, bot), media_type="text/event-stream")


def _add_metrics(app: FastAPI) -> None:
    @app.get("/metrics")
    def metrics(request: Request) -> Response:
        body, content_type = metrics_page(request.headers.get("Accept"))
        return Response(body, headers={"Content-Type": content_type})


def _add_files(app: FastAPI, echarts: Path) -> None:
    @app.get("/")
    async def page() -> Response:
        return FileResponse(_STATIC / "index.html")

    @app.get("/echarts.min.js")
    def chart_library() -> Response:
        if not echarts.is_file():
            return refusals.refusal(404, "no_chart", f"{echarts} is not there", "`turnpath up` fetches it")
        return FileResponse(echarts, media_type="text/javascript")

    app.mount("/static", StaticFiles(directory=_STATIC))


async def _clickhouse_answers(site: Site) -> bool:
    try:
        return await site.database.ask(lambda client: client.rows("SELECT 1") == [(1,)])
    except Retry:
        return False
