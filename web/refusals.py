"""Errors as JSON: {error, what_to_do, kind} with the right HTTP code."""

from datetime import date

import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from journey.errors import BadUsage, Busy, NoData, NotSealed, OutputFailed, Retry, TurnpathError
from web import answers

_log = structlog.get_logger()

#: error -> HTTP code, the kind by which the page chooses its words, what to do
_REACTIONS: list[tuple[type[TurnpathError], int, str, str]] = [
    (BadUsage, 400, "usage", "choose another range: sealed days are yesterday and earlier, 31 at most"),
    (NoData, 404, "no_data", "choose what is there: /api/bots and /api/days list it"),
    (NotSealed, 409, "not_sealed", "choose sealed days, or run `turnpath seal`; for today ask /api/today"),
    (OutputFailed, 507, "output", "make room on the disk of `turnpath web`, then try again"),
    (Busy, 503, "busy", "try again in a few seconds"),
    (Retry, 503, "unreachable", "see that ClickHouse runs (`turnpath doctor`), then try again"),
]


def refusal(code: int, kind: str, error: str, what_to_do: str, days: list[date] | None = None) -> Response:
    """A refused request, said to a person and to a page."""
    said = {"error": error, "what_to_do": what_to_do, "kind": kind} | ({"days": days} if days else {})
    return Response(answers.body(said), code, media_type="application/json")


async def refused(_: Request, error: Exception) -> Response:
    """A TurnpathError, by its kind; one of no known kind is a fault of ours."""
    for kind, code, name, what_to_do in _REACTIONS:
        if isinstance(error, kind):
            return refusal(code, name, str(error), what_to_do)
    return await failed(_, error)


async def failed(_: Request, error: Exception) -> Response:
    """Anything not expected: the log has it whole, the answer does not."""
    _log.error("answer_failed", path=_.url.path, reason=str(error), exc_info=error)
    return refusal(500, "failed", "the answer could not be made", "look into the log of `turnpath web`")


async def misasked(_: Request, error: Exception) -> Response:
    """A parameter that is missing or no day, name …"""
    assert isinstance(error, RequestValidationError)
    wrong = "; ".join(f"{found['loc'][-1]}: {found['msg']}" for found in error.errors())
    return refusal(400, "usage", wrong, "write site and bot as names, days as YYYY-MM-DD")


async def not_there(_: Request, error: Exception) -> Response:
    """A path or method that is none of ours."""
    assert isinstance(error, HTTPException)
    return refusal(
        error.status_code, "no_page", f"{_.url.path}: {error.detail}", "the page is at /, its API under /api/"
    )
