"""What runs, what does not, and what to do: the findings of `turnpath doctor`."""

import asyncio
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import redis

from broker.connect import admin, answered
from broker.consumed import GROUP, reaches
from broker.topics import TOPICS
from journey.calendar import Calendar
from journey.errors import TurnpathError
from settings import Settings
from sql.client import Client
from sql.counts import differences
from sql.migrate import MIGRATIONS, VIEWS
from sql.read import freshness
from stack import health, jars
from stack.kafka import find_java
from stack.ports import split

State = Literal["ok", "warning", "unreachable"]
_LOW = 2_000_000_000


@dataclass(frozen=True)
class Finding:
    """A part, how it is, what was seen of it, and what to do (empty where nothing is)."""

    part: str
    state: State
    seen: str
    todo: str = ""


def checkup(settings: Settings) -> Iterator[Finding]:
    """A finding for each part, as it is known; takes some seconds where parts do not answer."""
    yield from (_java(), _maven(settings.cache), _disk(settings.data))
    kafka = _kafka(settings.kafka)
    yield kafka
    if kafka.state == "ok":
        yield _asked("topics", lambda: _topics(settings.kafka))
        yield _asked("workers", lambda: _workers(settings.kafka))
    yield _redis(settings.redis)
    clickhouse = _asked("clickhouse", lambda: _clickhouse(settings.clickhouse))
    yield clickhouse
    if clickhouse.state == "ok":
        yield _asked("tables", lambda: _tables(settings.clickhouse))
        yield _asked("freshness", lambda: _freshness(settings.clickhouse))
        yield _asked("counts", lambda: _counts(settings))
        yield _asked("seals", lambda: _seals(settings.clickhouse))
    yield _web(settings.http)


def _asked(part: str, ask: Callable[[], Finding]) -> Finding:
    """What `ask` finds; where it fails, its sentence, which says what to do."""
    try:
        return ask()
    except TurnpathError as error:
        return Finding(part, "unreachable" if error.exit_code == 4 else "warning", "cannot be asked", str(error))


def _java() -> Finding:
    try:
        java = find_java()
    except TurnpathError as error:
        return Finding("java", "warning", "not for the local broker", str(error))
    said = subprocess.run([java, "-version"], capture_output=True, text=True).stderr
    return Finding("java", "ok", said.splitlines()[0])


def _maven(cache: Path) -> Finding:
    there = jars.folder(cache)
    if there.exists():
        return Finding("jars", "ok", f"the broker's jars are in {there}")
    if shutil.which("mvn"):
        return Finding("jars", "warning", "not fetched yet", "`turnpath up` fetches the broker's jars with Maven")
    return Finding("jars", "warning", "not fetched, and no Maven", "run `make setup`, or install the package maven")


def _disk(data: Path) -> Finding:
    there = next(folder for folder in (data.absolute(), *data.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    seen = f"{free / 1e9:.1f} GB free at {data}"
    if free < _LOW:
        return Finding("disk", "warning", seen, "make room, or set TURNPATH_DATA to a folder elsewhere")
    return Finding("disk", "ok", seen)


def _kafka(address: str) -> Finding:
    if health.kafka(address):
        return Finding("kafka", "ok", f"answers at {address}")
    return _down("kafka", address, "TURNPATH_KAFKA")


def _down(part: str, address: str, setting: str) -> Finding:
    """A part that does not answer: nobody there, or somebody else?"""
    try:
        socket.create_connection(split(address), 2).close()
    except OSError:
        return Finding(
            part,
            "unreachable",
            f"nothing at {address}",
            f"start it with `turnpath up`, or set {setting} to where it runs",
        )
    return Finding(
        part, "unreachable", f"what listens at {address} does not answer as {part}", f"set {setting} to another address"
    )


def _topics(address: str) -> Finding:
    async def ask() -> set[str]:
        async with admin(address) as client:
            return set(await answered(address, client.list_topics()))

    missing = {topic.name for topic in TOPICS} - asyncio.run(ask())
    if missing:
        return Finding("topics", "warning", f"missing: {', '.join(sorted(missing))}", "run `turnpath migrate`")
    return Finding("topics", "ok", ", ".join(topic.name for topic in TOPICS))


def _workers(address: str) -> Finding:
    members = health.group_members(address, GROUP)
    if not members:
        return Finding("workers", "unreachable", "none runs", "start one with `turnpath worker`")
    found = asyncio.run(reaches(address, *(topic.name for topic in TOPICS)))
    behind = sum(reach.behind for reach in found)
    return Finding("workers", "ok", f"{members} running, {behind:,} records behind")


def _redis(url: str) -> Finding:
    address = urlsplit(url).netloc.rpartition("@")[2]
    if not health.redis(url):
        return _down("redis", address, "TURNPATH_REDIS")
    with redis.Redis.from_url(url, socket_timeout=2) as server:
        return Finding("redis", "ok", f"version {server.info('server')['redis_version']} at {address}")


def _clickhouse(url: str) -> Finding:
    where = urlsplit(url)
    if not health.clickhouse(url):
        return _down("clickhouse", where.netloc.rpartition("@")[2], "TURNPATH_CLICKHOUSE")
    anywhere = where._replace(path="").geturl()
    with Client(anywhere, connect_timeout_s=2, timeout_s=10) as client:
        version = client.rows("SELECT version()")[0][0]
    return Finding("clickhouse", "ok", f"version {version} at {client.address}")


def _tables(url: str) -> Finding:
    made = {
        name for sql in MIGRATIONS.glob("*.sql") for name in re.findall(r"TABLE IF NOT EXISTS (\w+)", sql.read_text())
    }
    wanted = made | {view.stem for view in VIEWS.glob("*.sql")}
    with Client(url, connect_timeout_s=2, timeout_s=10) as client:
        there = {name for (name,) in client.rows("SELECT name FROM system.tables WHERE database = currentDatabase()")}
    missing = sorted(wanted - there)
    if missing:
        return Finding(
            "tables", "warning", f"{len(missing)} missing: {', '.join(missing[:5])}", "run `turnpath migrate`"
        )
    return Finding("tables", "ok", f"{len(wanted)} tables and views")


def _freshness(url: str) -> Finding:
    with Client(url, connect_timeout_s=2, timeout_s=10) as client:
        rows = freshness(client).dicts()
    if not rows:
        return Finding("freshness", "warning", "nothing has been consumed yet", "send events: `turnpath simulate`")
    slowest = max(rows, key=lambda row: row["lag_seconds"])
    return Finding("freshness", "ok", f"the oldest of {len(rows)} partitions is {slowest['lag_seconds']:.0f} s old")


def _counts(settings: Settings) -> Finding:
    """Today's and yesterday's incremental counts are those of the rows that they count."""
    today = Calendar(settings.timezone).day(round(time.time() * 1000))
    with Client(settings.clickhouse, connect_timeout_s=2, timeout_s=60) as client:
        wrong = [edge for day in (today, today - timedelta(days=1)) for edge in differences(client, day, time.sleep)]
    if wrong:
        seen = f"{len(wrong)} edges differ from moves, first {' '.join(map(str, wrong[0]))}"
        return Finding("counts", "warning", seen, "the view live_counts is wrong: please report it")
    return Finding("counts", "ok", "the incremental counts and moves agree, today and yesterday")


def _seals(url: str) -> Finding:
    with Client(url, connect_timeout_s=2, timeout_s=10) as client:
        found = "SELECT max(day), count(), argMax(rooms, day) FROM daily WHERE kind = 'seal'"
        day, sealed, rooms = client.rows(found)[0]
    if not sealed:
        return Finding(
            "seals", "warning", "no day is sealed yet", "the scheduler seals each night; `turnpath seal` now"
        )
    return Finding("seals", "ok", f"last sealed {day}, {rooms:,} rooms; {sealed} in all")


def _web(address: str) -> Finding:
    if health.http_page(address):
        return Finding("web", "ok", f"http://{address}/")
    return _down("web", address, "TURNPATH_HTTP")
