"""The settings: TURNPATH_… in the environment, read once into one frozen object.

Only cli reads them (`load`); everything else is handed the object, or plain values of it.
"""

import os
import re
from datetime import date, time, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from journey.errors import BadSetting

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _duration(value: Any) -> Any:
    """`30s`, `24h`, `7d`, `500ms` as a timedelta; a timedelta stays."""
    if isinstance(value, timedelta):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*", str(value))
    if not found:
        raise ValueError("write a number and a unit, such as 30s, 10m, 24h or 7d")
    return timedelta(seconds=float(found[1]) * _UNITS[found[2]])


def _clock_time(value: Any) -> Any:
    if isinstance(value, time):
        return value
    found = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)", str(value))
    if not found:
        raise ValueError("write hours and minutes, such as 00:40")
    return time(int(found[1]), int(found[2]))


def _address(value: str) -> str:
    found = re.fullmatch(r"(?:[^\s:]+|\[[0-9a-fA-F:]+\]):(\d{1,5})", value)
    if not found or not 0 < int(found[1]) < 65536:
        raise ValueError("write host:port, such as 127.0.0.1:9092")
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except Exception:
        raise ValueError("write a name of the tz database, such as Asia/Seoul") from None
    return value


def _url(scheme: str, example: str) -> AfterValidator:
    def check(value: str) -> str:
        parts = urlsplit(value)
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.scheme != scheme or not parts.hostname or not port:
            raise ValueError(f"write it like {example}")
        return value

    return AfterValidator(check)


def _smtp(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    try:
        sound = parts.scheme in ("smtp", "smtps") and parts.hostname and (parts.port or True)
    except ValueError:
        sound = False
    if not sound:
        raise ValueError("write it like smtp://user:password@host:587, or smtps://user:password@host:465")
    return value


def _kept(value: timedelta) -> timedelta:
    """ClickHouse's times end in 2106: what shall be kept beyond that is gone at once, without a word."""
    if value > timedelta(days=18_250):
        raise ValueError("keep at most 50 years: write 18250d or less")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Kept = Annotated[Duration, AfterValidator(_kept)]
Address = Annotated[str, AfterValidator(_address)]


class Settings(BaseSettings):
    """Every field is the environment's TURNPATH_<NAME>; docs/settings.md is made from the descriptions."""

    model_config = SettingsConfigDict(env_prefix="TURNPATH_", frozen=True, extra="ignore", env_ignore_empty=True)

    kafka: Address = Field("127.0.0.1:9092", description="the Kafka broker, host:port")
    clickhouse: Annotated[str, _url("clickhouse", "clickhouse://127.0.0.1:9000/turnpath")] = Field(
        "clickhouse://127.0.0.1:9000/turnpath", description="ClickHouse by its native protocol"
    )
    clickhouse_http: Address = Field("127.0.0.1:8123", description="ClickHouse by HTTP, host:port")
    redis: Annotated[str, _url("redis", "redis://127.0.0.1:6379/0")] = Field(
        "redis://127.0.0.1:6379/0",
        description="Redis: the seal's lock, shared answers, the push to open pages",
    )
    http: Address = Field("127.0.0.1:8080", description="where the web page listens, host:port")
    worker_http: Address = Field(
        "127.0.0.1:8181",
        description="where a worker gives /metrics and /health; where it is taken, one of the 11 ports after it",
    )
    scheduler_http: Address = Field("127.0.0.1:8180", description="where the scheduler gives /metrics and /health")
    data: Path = Field(Path("data"), description="the folder of the local stack's files and logs")
    cache: Path = Field(
        default_factory=lambda: Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "turnpath",
        description="the folder of downloads (the broker's jars, the chart library)",
    )
    timezone: Annotated[str, AfterValidator(_zone)] = Field("Asia/Seoul", description="whose midnight ends a day")
    seal_at: Annotated[time, BeforeValidator(_clock_time)] = Field(
        time(0, 40), description="local time of the seal of yesterday, and its cut-off"
    )
    seal_wait: Duration = Field(
        timedelta(minutes=15), description="how long a seal waits for the workers to reach the cut-off"
    )
    room_idle: Duration = Field(
        timedelta(hours=24),
        description="a room this long without an event has ended; "
        "not to be changed once there are events (docs/delivery.md)",
    )
    reorder_wait: Duration = Field(
        timedelta(seconds=30),
        description="how long an event waits for missing predecessors; not to be changed once there are events",
    )
    first_day: date = Field(date(2021, 6, 1), description="days before it are empty for the journey_* views")
    keep_events: Kept = Field(timedelta(days=90), description="how long turns and moves are kept")
    keep_dead_letters: Kept = Field(timedelta(days=7), description="how long dead letters are kept")
    batch_bytes: Annotated[int, Field(ge=65536, le=268435456)] = Field(
        4 * 1024 * 1024, description="how many bytes of a partition one poll brings at most"
    )
    seal_memory: Annotated[int, Field(ge=256 * 1024 * 1024)] = Field(
        4 * 1024 * 1024 * 1024,
        description="how many bytes of memory a statement of the seal may use in ClickHouse; the rest goes to its disk",
    )
    rooms_in_memory: Annotated[int, Field(ge=1000)] = Field(
        200_000,
        description="how many rooms a worker holds in memory; the others are read back when they speak",
    )
    export_jobs: Path | None = Field(None, description="the file of export jobs (TOML); none: no export by the clock")
    export_tries: Annotated[int, Field(ge=1, le=1000)] = Field(
        14, description="how often an export is tried before it is given up; 14 take about a day"
    )
    export_look_back: Duration = Field(
        timedelta(days=31), description="how old an export that was missed may be and still be made"
    )
    smtp_url: Annotated[str | None, AfterValidator(_smtp)] = Field(
        None, description="the mail server: smtp://user:password@host:587 (STARTTLS) or smtps://…:465"
    )
    smtp_from: str | None = Field(None, description="who mails come from, such as reports@example.com")
    smtp_timeout: Duration = Field(timedelta(seconds=60), description="how long a mail server may take for an answer")
    notify_to: str | None = Field(None, description="who is mailed when an export is given up; addresses by commas")
    reader_password: str | None = Field(
        None,
        description="the password of the embedded ClickHouse's user `reader`; unset: `reader`, where only this machine "
        "can come, and no login elsewhere",
    )
    reader_time: Duration = Field(timedelta(seconds=60), description="how long a query of `reader` may run")
    reader_memory: Annotated[int, Field(ge=16 * 1024 * 1024)] = Field(
        1024**3, description="how many bytes a query of `reader` may take; eight run at once"
    )
    reader_rows: Annotated[int, Field(ge=1)] = Field(
        1_000_000, description="how many rows a query of `reader` may return"
    )


def load(environ: dict[str, str] | None = None) -> Settings:
    """The settings of the environment; BadSetting says for each wrong one what to write instead."""
    try:
        return Settings() if environ is None else Settings(**_given(environ))
    except ValidationError as error:
        raise BadSetting("\n".join(_sentence(e) for e in error.errors())) from None


def _given(environ: dict[str, str]) -> dict[str, Any]:
    return {
        name: environ[f"TURNPATH_{name.upper()}"]
        for name in Settings.model_fields
        if environ.get(f"TURNPATH_{name.upper()}")
    }


def _sentence(error: Any) -> str:
    name = str(error["loc"][0]).upper()
    said = str(error["msg"]).removeprefix("Value error, ")
    return f"TURNPATH_{name} is {without_password(str(error.get('input')))!r}: {said}"


def without_password(url: str) -> str:
    """A URL as it may stand in a log or on a screen; other text stays as it is."""
    return re.sub(r"(://[^/@:]*):[^@]*@", r"\1:***@", url)
