"""Redis accepts and never answers, or trickles: no seal fails for it, no page waits for it more than once.

Redis that is gone: tests/integration/seal/test_two_seals.py and tests/integration/test_web.py. The worker has none.
"""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import structlog

from journey.events import TOPIC_LIVE
from scheduler.loop import Scheduler
from seal.run import Sealer
from settings import Settings
from sql.client import Client
from sql.migrate import migrate
from tests.faults.proxy import Proxy
from tests.integration.made_rooms import SITE
from tests.integration.seal.scene import CUSTOMERS, FAR, SEOUL, play, same, sealer
from tests.integration.seal.truth import SEAL_AT, count, published
from tests.integration.shop import BOT, live_rooms, show_live
from tests.integration.test_web import site

#: The lock's patience with Redis is 5 s; a test has less.
PATIENCE = "?socket_timeout=0.3"


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    with Proxy(urlsplit(redis_url).netloc) as made:
        yield made


@pytest.fixture
def parts(proxy: Proxy, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """ClickHouse, and Redis behind the proxy; all that there is was consumed."""
    monkeypatch.setattr("seal.run.await_consumed", lambda *_: [(TOPIC_LIVE, 0, 0)])
    redis = f"redis://{proxy.address}/0{PATIENCE}"
    made = Settings(kafka="127.0.0.1:1", redis=redis, clickhouse=database_url, keep_events=timedelta(days=18_000))
    migrate(made)
    return made


class Standing:
    """A clock that stands just after a cut-off."""

    def __init__(self, at: int) -> None:
        self.at = at

    def now(self) -> int:
        return self.at

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody sleeps")


def test_the_scheduler_seals_what_is_due_where_redis_trickles(parts: Settings, proxy: Proxy) -> None:
    log, _ = play(parts, "half-open", rooms=20)
    proxy.throttle(5)
    day = log.days[1]
    clock = Standing(SEOUL.cut_off(day, SEAL_AT) + 1)
    with structlog.testing.capture_logs() as said:
        scheduler = Scheduler(parts, clock)
        assert scheduler.turn() == SEOUL.cut_off(log.days[2], SEAL_AT)
    assert scheduler.reasons() == []
    assert any("without the lock, which does no harm" in line.get("said", "") for line in said)
    with Client(parts.clickhouse) as client:
        same(published(client, day, CUSTOMERS), count(log, day, set(), set()))


def test_a_seal_goes_on_where_redis_falls_silent_in_its_middle(parts: Settings, proxy: Proxy) -> None:
    log, _ = play(parts, "silent", rooms=20)
    seals = []

    def said(words: str) -> None:
        if words.endswith("publishing"):
            proxy.swallow()
            seals.append(sealer(parts).seal(log.days[1]))  # another, whom the lock cannot turn away

    seals.append(Sealer(parts, lambda: FAR, said).seal(log.days[1]))
    assert [seal.is_new for seal in seals] == [True, False]
    assert len({seal.checksum for seal in seals}) == 1


async def test_pages_are_answered_and_only_one_waits(parts: Settings, proxy: Proxy) -> None:
    with Client(parts.clickhouse) as client:
        show_live(client, live_rooms(3))
    async with site(parts) as http:
        proxy.swallow()
        with structlog.testing.capture_logs() as said:
            view = await http.get("/api/today", params={"site": SITE, "bot": BOT})
            assert view.json()["table"]["rows"]
            assert (await http.get("/api/bots")).status_code == 200
        assert [line["event"] for line in said].count("answers_not_shared") == 1
        assert (await http.get("/health")).json() == {"clickhouse": True, "redis": False}
        proxy.heal()
        assert (await http.get("/health")).json() == {"clickhouse": True, "redis": True}
