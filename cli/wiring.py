"""The one place where settings meet the parts: everything else is handed what it needs."""

import logging
import sys
import time
from typing import Any

import orjson
import structlog

from settings import Settings
from sql.client import Client


def client(settings: Settings) -> Client:
    """A connection to ClickHouse, for one thread."""
    return Client(settings.clickhouse)


def log_as_json() -> None:
    """Log lines as JSON objects on standard error; libraries' warnings, too."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def seldom(library: str, seconds: float = 300) -> None:
    """Let each place in a library say something at most once in that time, where it repeats itself many times a second.

    Of loggers that are there already: import the library first.
    """
    for name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == library]:
        logging.getLogger(name).addFilter(_Seldom(seconds))


class _Seldom(logging.Filter):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._said: dict[int, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now - self._said.get(record.lineno, -self._seconds) < self._seconds:
            return False
        self._said[record.lineno] = now
        return True


def _dumps(value: Any, default: Any = None, **_: Any) -> str:
    return orjson.dumps(value, default=default, option=orjson.OPT_NON_STR_KEYS).decode()
