"""How the page fares, for Prometheus; docs/monitoring.md says what each is good for."""

import time
from typing import Any

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUESTS = Counter("turnpath_web_requests", "Requests, by route and the answer's status.", ["route", "status"])
SECONDS = Histogram(
    "turnpath_web_request_seconds",
    "How long a request waited for the beginning of its answer.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
PAGES = Gauge("turnpath_web_open_pages", "Pages that are open and told of changes.")
#: `source`: kept (this process had it), joined (it was being made), redis, made (asked of ClickHouse).
ANSWERS = Counter("turnpath_web_answers", "Answers, by where they came from.", ["source"])
QUESTIONS = Gauge("turnpath_web_questions", "Questions that are put to ClickHouse, or in line.")

for _source in ("kept", "joined", "redis", "made"):
    ANSWERS.labels(_source)


class Measured:
    """Counts requests and the time until their answers begin: one that is pushed, or a file, may take as long as it
    likes. A path that is none of ours is `other`, so that nobody's guesses make labels."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        begun = time.monotonic()

        def counted(status: int) -> None:
            route = _route(scope)
            REQUESTS.labels(route, str(status)).inc()
            SECONDS.labels(route).observe(time.monotonic() - begun)

        answered = False

        async def watched(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                counted(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception:
            if not answered:
                counted(500)  # what nobody expected is answered further out
            raise


def _route(scope: Scope) -> str:
    route: Any = scope.get("route")
    path = getattr(route, "path", None)
    if path is None and scope.get("root_path", "").endswith("/static"):
        path = "/static"
    return path or "other"
