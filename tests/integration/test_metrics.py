"""The page's /metrics, and what the scheduler's says of sealed days, on the real parts."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from scheduler.watch import Watch
from seal.due import due_days
from settings import Settings
from sql.client import Client
from tests.conftest import somewhere
from tests.counted import Since, value
from tests.integration.made_rooms import SEOUL
from tests.integration.shop import _ended, live_rooms, now, seal, show_live, yesterday
from tests.integration.test_web import BOTH, site


@pytest.fixture
def web_settings(migrated_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return somewhere(tmp_path, clickhouse=migrated_url, redis=redis_url)


async def test_requests_count_by_route_and_status(tmp_path: Path) -> None:
    asked = {
        ("/api/labels", "200", "/api/labels"): 2,
        ("/api/today", "400", "/api/today?site=shop"): 1,
        ("/api/bots", "503", "/api/bots"): 1,
        ("/static", "200", "/static/page.js"): 1,
        ("other", "404", "/api/nobody/guesses/this"): 1,
    }
    counts = {key: Since("turnpath_web_requests_total", route=key[0], status=key[1]) for key in asked}
    seconds = Since("turnpath_web_request_seconds_count", route="/api/labels")
    async with site(somewhere(tmp_path)) as http:
        for (_, status, path), times in asked.items():
            for _ in range(times):
                assert (await http.get(path)).status_code == int(status)
        page = await http.get("/metrics")
    assert {key: since.grown for key, since in counts.items()} == asked
    assert seconds.grown == 2
    assert page.headers["content-type"].startswith("text/plain")
    assert 'turnpath_web_requests_total{route="/api/labels",status="200"}' in page.text


async def test_what_nobody_expected_counts_as_500(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("web.answers.words", broken)
    count = Since("turnpath_web_requests_total", route="/api/labels", status="500")
    async with site(somewhere(tmp_path)) as http:
        assert (await http.get("/api/labels")).status_code == 500
    assert count.grown == 1


async def test_answers_count_by_where_they_came_from(migrated_url: str, web_settings: Settings) -> None:
    with Client(migrated_url) as client:
        show_live(client, live_rooms(3))
    sources = {name: Since("turnpath_web_answers_total", source=name) for name in ("made", "joined", "kept", "redis")}
    async with site(web_settings) as one, site(web_settings) as two:
        await asyncio.gather(*(one.get("/api/today", params=BOTH) for _ in range(4)))
        await two.get("/api/today", params=BOTH)
        await one.get("/api/today", params=BOTH)
    grown = {name: since.grown for name, since in sources.items()}
    assert sum(grown.values()) == 6
    assert grown["joined"] == 3
    assert grown["made"] >= 1
    if grown["made"] == 1:  # all within the second that an answer lives
        assert (grown["kept"], grown["redis"]) == (1, 1)
    assert value("turnpath_web_questions") == 0


def test_sealed_days_late_rooms_and_days_due_are_as_the_tables_say(migrated_url: str, tmp_path: Path) -> None:
    last = yesterday() - timedelta(days=2)
    settings = somewhere(tmp_path, clickhouse=migrated_url)
    watch = Watch(settings, now)
    with Client(migrated_url) as client:
        seal(client, [last - timedelta(days=1), last], rooms=5)
        client.run(
            "INSERT INTO turns (site_id, room_id, topic, partition, offset, seq, received_at, occurred_at) SELECT "
            "'shop', 'r', 'chatbot.turns', 0, 1, 1, fromUnixTimestamp64Milli(at) AS a, a FROM (SELECT "
            f"toInt64({SEOUL.midnight(last) + 3_600_000}) AS at)"
        )
        show_live(client, [_ended(9, SEOUL.midnight(last) - 2500)])  # it began the day before, and no seal knew of it
        watch.look()
        rows = client.rows("SELECT rooms, moves, revision, sealed_at FROM seals WHERE day = {day:Date}", {"day": last})
        ((rooms, moves, revision, sealed_at),) = rows
    assert rooms == value("turnpath_seal_rooms") == 5
    assert moves == value("turnpath_seal_moves") > 0
    assert revision == value("turnpath_seal_revision")
    assert value("turnpath_seal_last_success_timestamp_seconds") == sealed_at.timestamp()
    assert value("turnpath_seal_last_day_timestamp_seconds") == SEOUL.midnight(last) / 1000
    assert value("turnpath_seal_late_rooms") == 1
    assert value("turnpath_seal_days_due") == len(due_days(last, {last}, SEOUL, settings.seal_at, now())) >= 1
