"""Answers that many pages ask for, made once a second at most: in this process, and by Redis in all of them.

An answer lives for a second from when its making began. Redis keeps that time by its own clock, so that machines need
not agree on theirs, and a slow way to Redis only shortens it.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import redis.asyncio
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from web.metrics import ANSWERS

_log = structlog.get_logger()

_LIFE_MS = 1000
_REDIS_LIMIT_S = 0.2
_REDIS_REST_S = 5.0
_LOOK_AGAIN_S = 0.02
_SEAL_BYTES = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """A body, and when its making began (time.monotonic() of this process; of another's: not later than it did)."""

    body: bytes
    begun: float

    @property
    def ends(self) -> float:
        return self.begun + _LIFE_MS / 1000


@dataclass(frozen=True, slots=True)
class _Looked:
    """What Redis said: an answer or none, and its own time (ms) at that moment."""

    answer: Answer | None
    time_ms: int


class Shared:
    """Bodies of answers by key. `scope` is whatever else they depend on: whose database, which views and which code.

    Without Redis each process works for itself: a question is never refused, nor waits for it long.
    """

    def __init__(self, redis_url: str, scope: str) -> None:
        self._scope = scope
        self._redis = redis.asyncio.from_url(
            redis_url,
            socket_connect_timeout=_REDIS_LIMIT_S,
            socket_timeout=_REDIS_LIMIT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._resting_until = 0.0
        self._kept: dict[str, Answer] = {}
        self._under_way: dict[str, asyncio.Task[Answer]] = {}

    async def answer(self, key: str, make: Callable[[], Awaitable[bytes]], since: float = 0.0) -> Answer:
        """The answer for `key`, at most a second old; `make` makes it where there is none, once for all who wait.

        `since` (monotonic): one whose making began before will not do; its second is waited for, then there is another.
        """
        while True:
            kept = self._kept.get(key)
            if kept is None or kept.ends <= time.monotonic():
                kept = await self._next(key, make)
            else:
                ANSWERS.labels("kept").inc()
            if kept.begun >= since:
                return kept
            await asyncio.sleep(max(0.0, kept.ends - time.monotonic()))

    async def reachable(self) -> bool:
        """Does Redis answer?"""
        try:
            async with asyncio.timeout(2 * _REDIS_LIMIT_S):
                return bool(await self._redis.ping())
        except (RedisError, OSError):
            return False

    async def close(self) -> None:
        await self._redis.aclose()

    async def _next(self, key: str, make: Callable[[], Awaitable[bytes]]) -> Answer:
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._made(key, make))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        else:
            ANSWERS.labels("joined").inc()
        # one page that goes away must not take the answer from the others
        return await asyncio.shield(task)

    def _ended(self, key: str, task: asyncio.Task[Answer]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # seen, also where all who waited have gone

    async def _made(self, key: str, make: Callable[[], Awaitable[bytes]]) -> Answer:
        name = "turnpath:answer:" + hashlib.sha256(f"{self._scope}\n{key}".encode()).hexdigest()
        looked, mine = await self._look(name), False
        if looked and not looked.answer:
            mine = bool(await self._ask(lambda: self._redis.set(_turn(name), 1, nx=True, px=_LIFE_MS)))
            looked = looked if mine else await self._wait(name)
        try:
            answer = looked.answer if looked else None
            ANSWERS.labels("redis" if answer else "made").inc()
            if answer is None:
                begun = time.monotonic()
                answer = Answer(await make(), begun)
                await self._put(name, answer, looked)
            self._keep(key, answer)
            return answer
        finally:
            if mine:
                await self._ask(lambda: self._redis.delete(_turn(name)))

    async def _wait(self, name: str) -> _Looked | None:
        """Another process makes it: look until it is there, or its turn is over."""
        until = time.monotonic() + _LIFE_MS / 1000
        while (looked := await self._look(name)) and not looked.answer and time.monotonic() < until:
            if not await self._ask(lambda: self._redis.exists(_turn(name))):
                return await self._look(name)
            await asyncio.sleep(_LOOK_AGAIN_S)
        return looked

    def _keep(self, key: str, answer: Answer) -> None:
        now = time.monotonic()
        self._kept = {k: kept for k, kept in self._kept.items() if kept.ends > now}
        self._kept[key] = answer

    async def _look(self, name: str) -> _Looked | None:
        """None: Redis does not answer. What lies there and is no answer of that name is as if it were not there."""
        sent = time.monotonic()
        asked: Any = self._redis.pipeline(transaction=False)
        asked.get(name).pttl(name).time()
        said = await self._ask(lambda: asked.execute(raise_on_error=False))
        if not said or not isinstance(said[2], tuple):
            return None
        stored, left_ms, (seconds, micros) = said
        body = _opened(name, stored)
        fresh = body is not None and 0 < left_ms <= _LIFE_MS
        found = Answer(body or b"", sent - (_LIFE_MS - left_ms) / 1000) if fresh else None
        return _Looked(found, seconds * 1000 + micros // 1000)

    async def _put(self, name: str, answer: Answer, looked: _Looked | None) -> None:
        """`looked`: from before its making began; an answer that has lived its second already is not sent."""
        if looked and answer.ends > time.monotonic():
            ends_ms = looked.time_ms + _LIFE_MS
            await self._ask(lambda: self._redis.set(name, _sealed(name, answer.body), pxat=ends_ms))

    async def _ask(self, question: Callable[[], Awaitable[Any]]) -> Any:
        """What Redis says, or None; where it does not answer in time, it is left alone for a while."""
        if time.monotonic() < self._resting_until:
            return None
        try:
            async with asyncio.timeout(2 * _REDIS_LIMIT_S):  # the socket's limit is for each piece of an answer
                return await question()
        except ResponseError:
            return None
        except (RedisError, OSError) as error:
            self._resting_until = time.monotonic() + _REDIS_REST_S
            _log.warning("answers_not_shared", reason=str(error) or "no answer in time", again_in_s=_REDIS_REST_S)
            return None


def _turn(name: str) -> str:
    """The key that says that somebody is making this answer."""
    return f"{name}:turn"


def _seal(name: str, body: bytes) -> bytes:
    return hashlib.blake2b(body, key=name.encode()[-64:], digest_size=_SEAL_BYTES).digest()


def _sealed(name: str, body: bytes) -> bytes:
    return _seal(name, body) + body


def _opened(name: str, stored: object) -> bytes | None:
    """The body of what was stored under that name by `_sealed`; None for anything else."""
    if not isinstance(stored, bytes) or stored[:_SEAL_BYTES] != _seal(name, stored[_SEAL_BYTES:]):
        return None
    return stored[_SEAL_BYTES:]
