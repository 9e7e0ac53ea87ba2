"""Answers shared for a second, by the real Redis and without it; what reaches ClickHouse is counted at the client."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import redis

from settings import Settings
from sql.client import Client, Params, Table
from stack.parts import redis_part
from stack.process import Process
from tests.conftest import somewhere
from tests.integration.made_rooms import SITE
from tests.integration.shop import BOT, live_rooms, show_live
from web import app as web_app
from web import shared
from web.shared import Shared

BOTH = {"site": SITE, "bot": BOT}
READERS = 50


class Counting(Client):
    """Notes what was asked for of today's tables; `pause_s` before each."""

    asked: ClassVar[list[str]] = []
    pause_s: ClassVar[float] = 0.0

    def table(self, sql: str, params: Params | None = None, *, query_id: str | None = None) -> Table:
        if "day_table" in sql:
            self.asked.append(sql)
            time.sleep(self.pause_s)
        return super().table(sql, params, query_id=query_id)


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Counting, "asked", [])


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine Redis may take its time: no test of what it shares hangs on that."""
    monkeypatch.setattr(shared, "_REDIS_LIMIT_S", 10)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[tuple[str, Process]]:
    """A Redis that a test may kill."""
    settings = somewhere(tmp_path / "redis")
    (tmp_path / "redis").mkdir()
    part = redis_part(settings)
    process = part.start(tmp_path / "redis")
    part.await_answer(process)
    yield settings.redis, process
    process.stop(1)


@pytest.fixture
def rooms(migrated_url: str) -> str:
    with Client(migrated_url) as client:
        show_live(client, live_rooms(10))
    return migrated_url


@asynccontextmanager
async def site(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = web_app.create(settings, lambda: Counting(settings.clickhouse), Path("/nowhere"))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://turnpath") as http:
            yield http


async def readers(sites: list[httpx.AsyncClient], seconds: float, meanwhile: Callable[[], object]) -> list[Any]:
    """Fifty pages ask again and again; half-way something happens. Every answer's body, in no order."""
    found: list[Any] = []
    until = time.monotonic() + seconds

    async def read(number: int) -> None:
        while time.monotonic() < until:
            answer = await asyncio.wait_for(sites[number % len(sites)].get("/api/today", params=BOTH), 60)
            assert answer.status_code == 200, answer.text
            found.append(answer.json())
            await asyncio.sleep(0.02)

    async def happen() -> None:
        await asyncio.sleep(seconds / 2)
        meanwhile()

    await asyncio.gather(happen(), *(read(number) for number in range(READERS)))
    return found


async def test_fifty_pages_cost_one_question_a_second(rooms: str, redis_url: str, tmp_path: Path) -> None:
    async with site(somewhere(tmp_path, clickhouse=rooms, redis=redis_url)) as http:
        begun = time.monotonic()
        found = await readers([http], 2.2, lambda: None)
        seconds = time.monotonic() - begun
    assert 1 <= len(Counting.asked) <= seconds + 1
    assert len({answer["as_of"] for answer in found}) == len(Counting.asked)
    assert len(found) > READERS


async def test_processes_take_turns(
    rooms: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patient: None
) -> None:
    """All ask at once, before there is an answer: one process makes it, the other waits for it."""
    monkeypatch.setattr(Counting, "pause_s", 0.2)
    settings = somewhere(tmp_path, clickhouse=rooms, redis=redis_url)
    async with site(settings) as one, site(settings) as two:
        answers = await asyncio.gather(*(http.get("/api/today", params=BOTH) for http in (one, two) for _ in range(25)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(Counting.asked) == 1


@pytest.mark.parametrize("what", [signal.SIGKILL, signal.SIGSTOP])
async def test_redis_goes_or_hangs_in_the_middle(
    what: signal.Signals, rooms: str, own_redis: tuple[str, Process], tmp_path: Path
) -> None:
    url, process = own_redis
    async with site(somewhere(tmp_path, clickhouse=rooms, redis=url)) as http:
        begun = time.monotonic()
        found = await readers([http], 2.6, lambda: os.kill(process.pid, what))
        seconds = time.monotonic() - begun
        assert (await http.get("/health")).json() == {"clickhouse": True, "redis": False}
    assert 1 <= len(Counting.asked) <= seconds + 1
    rows = {len(answer["table"]["rows"]) for answer in found}
    assert len(rows) == 1
    assert rows.pop() > 0


async def made(body: bytes) -> bytes:
    return body


def make(body: bytes) -> Callable[[], Awaitable[bytes]]:
    return lambda: made(body)


@pytest.fixture
async def pair(redis_url: str, patient: None) -> AsyncIterator[tuple[Shared, Shared]]:
    """Two processes' sharing, of a scope that no other test has."""
    scope = f"test {time.time_ns()}"
    both = Shared(redis_url, scope), Shared(redis_url, scope)
    yield both
    for one in both:
        await one.close()


async def test_what_lies_in_redis_and_is_no_answer_is_ignored(redis_url: str, pair: tuple[Shared, Shared]) -> None:
    one, other = pair
    store = redis.Redis.from_url(redis_url)
    before = set(store.keys("turnpath:answer:*"))
    await one.answer("a", make(b"of a"))
    (name,) = set(store.keys("turnpath:answer:*")) - before
    right = store.get(name)
    assert isinstance(right, bytes)
    assert (await other.answer("a", make(b"not asked"))).body == b"of a"
    for foreign in (b"", b"of a", right[:-1], b"x" + right, b"{}", b"\xff" * 99):
        store.set(name, foreign, px=900)
        fresh = Shared(redis_url, one._scope)
        assert (await fresh.answer("a", make(b"anew"))).body == b"anew"
        await fresh.close()
    store.set(name, right)  # without an end: nobody knows how old it is
    fresh = Shared(redis_url, one._scope)
    assert (await fresh.answer("a", make(b"anew"))).body == b"anew"
    await fresh.close()
    store.delete(name)
    store.rpush(name, "a list")
    fresh = Shared(redis_url, one._scope)
    assert (await fresh.answer("a", make(b"anew"))).body == b"anew"
    await fresh.close()
    store.delete(name)


async def test_an_answer_of_another_question_is_none_of_this(redis_url: str, pair: tuple[Shared, Shared]) -> None:
    one, other = pair
    store = redis.Redis.from_url(redis_url)
    before = set(store.keys("turnpath:answer:*"))
    await one.answer("a", make(b"of a"))
    (of_a,) = set(store.keys("turnpath:answer:*")) - before
    await one.answer("b", make(b"of b"))
    (of_b,) = set(store.keys("turnpath:answer:*")) - before - {of_a}
    store.set(of_b, store.get(of_a) or b"", px=900)
    assert (await other.answer("b", make(b"of b anew"))).body == b"of b anew"


async def test_an_answer_is_made_once_a_second(pair: tuple[Shared, Shared]) -> None:
    """However many ask and however quickly it is made; each time after the second of the one before."""
    begun: list[float] = []

    async def quick() -> bytes:
        begun.append(time.monotonic())
        return b"%d" % len(begun)

    async def read() -> None:
        while len(begun) < 3:
            asked = time.monotonic()
            answer = await pair[0].answer("a", quick)
            assert answer.ends > asked  # never one whose second was over
            await asyncio.sleep(0.005)

    await asyncio.gather(*(read() for _ in range(READERS)))
    assert begun[2] - begun[0] >= 2


async def test_an_answer_lives_a_second_wherever_it_lies(pair: tuple[Shared, Shared]) -> None:
    """Whoever has it from Redis keeps it no longer than who made it."""
    one, other = pair
    first = await one.answer("a", make(b"1"))
    theirs = await other.answer("a", make(b"2"))
    if theirs.body == b"1":  # not so where a busy machine took a second for this
        assert theirs.ends <= first.ends
    await asyncio.sleep(max(0.0, first.ends - time.monotonic()))
    assert (await other.answer("a", make(b"3"))).body in (b"2", b"3")


async def test_a_newer_one_is_waited_for_until_the_second_is_over(pair: tuple[Shared, Shared]) -> None:
    one, other = pair
    first = await one.answer("a", make(b"1"))
    seen = time.monotonic()
    second = await one.answer("a", make(b"2"), since=seen)
    assert (second.body, second.begun >= first.ends) == (b"2", True)
    later = time.monotonic()
    third = await other.answer("a", make(b"3"), since=later)
    assert (third.body, third.begun >= later) == (b"3", True)


async def test_who_was_to_make_it_fails_and_the_next_makes_it(
    pair: tuple[Shared, Shared], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once: not only when the turn of the one that failed would have ended."""
    monkeypatch.setattr(shared, "_LIFE_MS", 600_000)
    one, other = pair

    async def fails() -> bytes:
        await asyncio.sleep(0.1)
        raise ValueError("no answer")

    failed = asyncio.create_task(one.answer("a", fails))
    await asyncio.sleep(0.05)
    assert (await asyncio.wait_for(other.answer("a", make(b"2")), 30)).body == b"2"
    with pytest.raises(ValueError, match="no answer"):
        await failed


async def test_midnight_makes_it_another_question(
    rooms: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        ahead = timedelta()

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(UTC).astimezone(tz) + cls.ahead

    monkeypatch.setattr(web_app, "datetime", Clock)
    monkeypatch.setattr("web.answers.datetime", Clock)
    async with site(somewhere(tmp_path, clickhouse=rooms, redis=redis_url)) as http:
        today = (await http.get("/api/today", params=BOTH)).json()
        monkeypatch.setattr(Clock, "ahead", timedelta(days=1))
        tomorrow = (await http.get("/api/today", params=BOTH)).json()
    assert (today["table"]["rows"] != [], tomorrow["table"]["rows"]) == (True, [])
    assert datetime.fromisoformat(tomorrow["day"]) - datetime.fromisoformat(today["day"]) == timedelta(days=1)


def test_answers_of_another_database_user_zone_or_idle_time_are_others(tmp_path: Path) -> None:
    settings = somewhere(tmp_path)
    changes: list[dict[str, Any]] = [
        {},
        {"clickhouse": "clickhouse://127.0.0.1:9000/other"},
        {"clickhouse": "clickhouse://reader:reader@127.0.0.1:9000/turnpath"},
        {"timezone": "UTC"},
        {"room_idle": timedelta(hours=1)},
    ]
    assert len({web_app._scope(settings.model_copy(update=change)) for change in changes}) == len(changes)
