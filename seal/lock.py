"""The lock that saves two seals from doing the same work. Two without it do no harm: both publish the same."""

import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
import redis

from journey.errors import Busy
from settings import Settings, without_password

#: How long the lock outlives a holder that was killed, and how often a holder that lives renews it; seconds.
_LIVES_S, _RENEWED_S = 30, 10

# only the holder's own: it may have run out meanwhile, and somebody else's be there
_RENEW = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end return 0"
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end return 0"


@contextmanager
def lock(settings: Settings, now: Callable[[], int], said: Callable[[str], None], what: str = "seal") -> Iterator[None]:
    """Hold the lock of this work on this database; Busy if somebody else does. Without Redis it warns and goes on."""
    key = _key(settings, what)
    value = orjson.dumps(
        {"by": f"{socket.gethostname()} process {os.getpid()}", "since": now(), "token": secrets.token_hex(8)}
    )
    with redis.Redis.from_url(settings.redis, socket_timeout=5, socket_connect_timeout=5) as server:
        try:
            held = server.set(key, value, nx=True, px=_LIVES_S * 1000)
            holder = None if held else server.get(key)
        except redis.RedisError as error:
            where = without_password(settings.redis)
            said(f"Redis at {where} does not answer ({error}): {what} without the lock, which does no harm")
            yield
            return
        if not held:
            raise Busy(_who(holder, what))
        with _renewed(server, key, value):
            yield


def holder(settings: Settings, what: str = "seal") -> str | None:
    """Who holds the lock of this work, as a sentence; None where nobody does, or Redis does not answer."""
    with redis.Redis.from_url(settings.redis, socket_timeout=5, socket_connect_timeout=5) as server:
        try:
            found = server.get(_key(settings, what))
        except redis.RedisError:
            return None
        return _who(found, what) if found else None


def _key(settings: Settings, what: str) -> str:
    where = urlsplit(settings.clickhouse)
    return f"turnpath:{what}:{where.hostname}:{where.port}{where.path}"


@contextmanager
def _renewed(server: Any, key: str, value: bytes) -> Iterator[None]:
    done = threading.Event()
    thread = threading.Thread(target=_keep, args=(server, key, value, done), name="lock", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        _ask(server, _RELEASE, key, value)


def _keep(server: Any, key: str, value: bytes, done: threading.Event) -> None:
    while not done.wait(_RENEWED_S):
        _ask(server, _RENEW, key, value, str(_LIVES_S * 1000))


def _ask(server: Any, script: str, key: str, *arguments: bytes | str) -> None:
    """Redis gone in the middle costs nothing but the lock, which ends by itself."""
    try:
        server.eval(script, 1, key, *arguments)
    except redis.RedisError:
        return


def _who(holder: Any, what: str) -> str:
    try:
        found = orjson.loads(holder)
        since = datetime.fromtimestamp(found["since"] / 1000, UTC).isoformat(sep=" ", timespec="seconds")
        return f"another {what} is under way, by {found['by']} since {since}: wait for it, or look what it does"
    except (TypeError, ValueError, KeyError):  # it ended just now
        return f"another {what} was under way a moment ago: try again"
