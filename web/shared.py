"""Answers that many pages ask for, made once a second at most: in this process, and by Redis in all of them."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable

import redis.asyncio
import structlog
from redis.exceptions import RedisError

_log = structlog.get_logger()

_LIFE_S = 1.0
_REDIS_LIMIT_S = 0.2
_REDIS_REST_S = 5.0


class Shared:
    """Bodies of answers by key, within one `scope` (a database). Without Redis each process works for itself."""

    def __init__(self, redis_url: str, scope: str) -> None:
        self._scope = scope
        self._redis = redis.asyncio.from_url(
            redis_url, socket_connect_timeout=_REDIS_LIMIT_S, socket_timeout=_REDIS_LIMIT_S
        )
        self._resting_until = 0.0
        self._kept: dict[str, tuple[float, bytes]] = {}
        self._under_way: dict[str, asyncio.Task[bytes]] = {}

    async def answer(self, key: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """The body for `key`, at most a second old; `make` makes it where there is none, once for all who wait."""
        kept = self._kept.get(key)
        if kept and kept[0] > time.monotonic():
            return kept[1]
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._made(key, make))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        # one page that goes away must not take the answer from the others
        return await asyncio.shield(task)

    async def reachable(self) -> bool:
        """Does Redis answer?"""
        try:
            return bool(await self._redis.ping())
        except (RedisError, OSError):
            return False

    async def close(self) -> None:
        await self._redis.aclose()

    async def _made(self, key: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        name = "turnpath:answer:" + hashlib.sha256(f"{self._scope}\n{key}".encode()).hexdigest()
        # of Redis's answers no copy is kept: it would live longer than a second
        if (theirs := await self._from_redis(name)) is not None:
            return theirs
        ends = time.monotonic() + _LIFE_S
        body = await make()
        self._keep(key, ends, body)
        await self._to_redis(name, body, ends - time.monotonic())
        return body

    def _ended(self, key: str, task: asyncio.Task[bytes]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # seen, also where all who waited have gone

    def _keep(self, key: str, ends: float, body: bytes) -> None:
        now = time.monotonic()
        self._kept = {k: v for k, v in self._kept.items() if v[0] > now}
        self._kept[key] = (ends, body)

    async def _from_redis(self, name: str) -> bytes | None:
        if time.monotonic() < self._resting_until:
            return None
        try:
            found = await self._redis.get(name)
            return found if isinstance(found, bytes) else None
        except (RedisError, OSError) as error:
            self._rest(error)
            return None

    async def _to_redis(self, name: str, body: bytes, life_s: float) -> None:
        if life_s < 0.001 or time.monotonic() < self._resting_until:
            return
        try:
            await self._redis.set(name, body, px=int(life_s * 1000))
        except (RedisError, OSError) as error:
            self._rest(error)

    def _rest(self, error: Exception) -> None:
        self._resting_until = time.monotonic() + _REDIS_REST_S
        _log.warning("answers_not_shared", reason=str(error), again_in_s=_REDIS_REST_S)
