"""The page's API against real ClickHouse and Redis, in this process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from journey import labels
from settings import Settings
from sql import read
from sql.client import Client
from tests.conftest import address, somewhere
from tests.integration.made_rooms import SITE
from tests.integration.shop import BOT, live_rooms, reseal, seal, show_live, today, yesterday
from web import shared
from web.app import create

BOTH = {"site": SITE, "bot": BOT}


@pytest.fixture
def client(migrated_url: str) -> Iterator[Client]:
    with Client(migrated_url) as client:
        yield client


@pytest.fixture
def web_settings(migrated_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return somewhere(tmp_path, clickhouse=migrated_url, redis=redis_url)


@asynccontextmanager
async def site(settings: Settings, echarts: Path = Path("/nowhere/echarts.min.js")) -> AsyncIterator[httpx.AsyncClient]:
    app = create(settings, lambda: Client(settings.clickhouse, connect_timeout_s=2), echarts)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://turnpath") as http:
            http.headers["x-app"] = ""
            yield http


def plain(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z))


async def test_sealed_days(client: Client, web_settings: Settings) -> None:
    first, last = yesterday() - timedelta(days=2), yesterday()
    seal(client, [first, last])
    async with site(web_settings) as http:
        answer = (await http.get("/api/journey", params={**BOTH, "from": str(first), "to": str(last)})).json()
    view = read.journey_table(client, SITE, BOT, first, last)
    assert answer["table"] == plain({"columns": view.columns, "rows": view.rows})
    assert answer["links"] == plain(read.sankey_links(client, SITE, BOT, first, last).dicts())
    assert answer["totals"] == plain(read.journey_totals(client, SITE, BOT, first, last).dicts()[0])
    assert answer["missing"] == [str(first + timedelta(days=1))]
    assert [(day["day"], day["sealed"], day["revision"]) for day in answer["days"]] == [
        (str(first), True, 1),
        (str(first + timedelta(days=1)), False, 0),
        (str(last), True, 1),
    ]
    assert answer["days"][0]["as_of"] == f"{first}T15:40:00Z"


async def test_days_on_which_the_bot_was_out_of_use_are_named(client: Client, web_settings: Settings) -> None:
    first, last = yesterday() - timedelta(days=1), yesterday()
    seal(client, [first])
    reseal(client, last, rooms=0, left_out=[f"{SITE}:{BOT}", "other:bot"])
    async with site(web_settings) as http:
        both = (await http.get("/api/journey", params={**BOTH, "from": str(first), "to": str(last)})).json()
        alone = await http.get("/api/journey", params={**BOTH, "from": str(last), "to": str(last)})
    assert (both["missing"], both["out_of_use"]) == ([], [str(last)])
    assert "other" not in str(both)
    assert alone.status_code == 404
    assert f"'{BOT}' was out of use on {last}" in alone.json()["error"]


@pytest.mark.parametrize("name", ["journey_table", "sankey_links", "journey_totals"])
async def test_an_answer_is_of_the_revisions_that_it_names(
    name: str, client: Client, web_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day is resealed, and another one sealed, between two of the queries that the answer is made of."""
    before, day = yesterday() - timedelta(days=1), yesterday()
    seal(client, [before], rooms=20)
    real, comes = getattr(read, name), True

    def slow(*asked: Any) -> Any:
        nonlocal comes
        if comes:
            comes = False
            reseal(client, before, rooms=30)
            seal(client, [day], rooms=7)
        return real(*asked)

    monkeypatch.setattr(read, name, slow)
    async with site(web_settings) as http:
        answer = (await http.get("/api/journey", params={**BOTH, "from": str(before), "to": str(day)})).json()
    assert [one["revision"] for one in answer["days"]] == [2, 1]
    assert answer["missing"] == []
    view = read.journey_table(client, SITE, BOT, before, day)
    assert answer["table"] == plain({"columns": view.columns, "rows": view.rows})
    assert answer["links"] == plain(read.sankey_links(client, SITE, BOT, before, day).dicts())
    assert answer["totals"] == read.journey_totals(client, SITE, BOT, before, day).dicts()[0]


async def test_today(client: Client, web_settings: Settings) -> None:
    show_live(client, live_rooms(12))
    async with site(web_settings) as http:
        answer = (await http.get("/api/today", params=BOTH)).json()
    view = read.today_table(client, SITE, BOT)
    assert answer["table"] == plain({"columns": view.columns, "rows": view.rows})
    assert answer["provisional"] is True
    assert answer["day"] == str(today())
    flows = {(link["source"], link["target"]): link["value"] for link in answer["links"]}
    edges = read.today_edges(client, SITE, BOT).dicts()
    assert sum(flows.values()) == sum(edge["moves"] for edge in edges if edge["move"] != "start")


async def test_bots_and_days(client: Client, web_settings: Settings) -> None:
    seal(client, [yesterday()])
    async with site(web_settings) as http:
        bots = (await http.get("/api/bots")).json()["bots"]
        days = (await http.get("/api/days")).json()
    assert [(bot["site_id"], bot["bot_id"]) for bot in bots] == [(SITE, BOT)]
    assert days["last_sealed"] == days["yesterday"] == str(yesterday())
    assert len(days["days"]) == 31
    assert [day["sealed"] for day in days["days"][-2:]] == [False, True]


@pytest.mark.parametrize(
    "path, code, kind",
    [
        ("journey?site=shop&bot=주문봇&from=2024-01-02&to=2024-01-01", 400, "usage"),
        ("journey?site=shop&bot=주문봇&from=2024-01-01&to=2024-03-01", 400, "usage"),
        ("journey?site=shop&bot=주문봇&from=soon&to=2024-03-01", 400, "usage"),
        ("journey?site=shop&bot=주문봇&from=1021-01-01&to=1021-01-01", 400, "usage"),
        ("journey?site=shop&bot=주문봇", 400, "usage"),
        ("today?site=shop", 400, "usage"),
        ("today?site=&bot=x", 400, "usage"),
        ("live?site=shop&bot=" + "x" * 129, 400, "usage"),
        ("journey?site=shop&bot=주문봇&from=2024-01-01&to=2024-01-01", 409, "not_sealed"),
        ("today?site=shop&bot=nobody", 404, "no_data"),
        ("live?site=shop&bot=nobody", 404, "no_data"),
        ("nothing", 404, "no_page"),
    ],
)
async def test_refusals_say_what_to_do(path: str, code: int, kind: str, client: Client, web_settings: Settings) -> None:
    seal(client, [yesterday()], rooms=5)
    async with site(web_settings) as http:
        answer = await http.get(f"/api/{path}")
        assert (answer.status_code, answer.json()["kind"]) == (code, kind)
        assert answer.json()["error"]
        assert answer.json()["what_to_do"]
        other = await http.get(
            "/api/journey", params={"site": SITE, "bot": "x", "from": str(yesterday()), "to": str(yesterday())}
        )
        assert (other.status_code, BOT in other.json()["error"]) == (404, True)


async def test_clickhouse_away(redis_url: str, tmp_path: Path) -> None:
    away = somewhere(tmp_path, redis=redis_url)
    async with site(away) as http:
        answer = await http.get("/api/bots")
        assert (answer.status_code, answer.json()["kind"]) == (503, "unreachable")
        health = await http.get("/health")
        assert (health.status_code, health.json()) == (503, {"clickhouse": False, "redis": True})


async def test_without_redis_all_still_works(client: Client, migrated_url: str, tmp_path: Path) -> None:
    show_live(client, live_rooms(3))
    async with site(somewhere(tmp_path, clickhouse=migrated_url)) as http:
        health = await http.get("/health")
        assert (health.status_code, health.json()) == (200, {"clickhouse": True, "redis": False})
        assert (await http.get("/api/today", params=BOTH)).json()["table"]["rows"]


async def test_pages_share_an_answer_also_over_processes(
    client: Client, web_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that was made anew has another as_of: to a hundred pages of two processes goes the same."""
    monkeypatch.setattr(shared, "_LIFE_MS", 600_000)  # a busy machine may need more than a second for a hundred
    monkeypatch.setattr(shared, "_REDIS_LIMIT_S", 10)
    show_live(client, live_rooms(3))
    async with site(web_settings) as one, site(web_settings) as two:
        first = await one.get("/api/today", params=BOTH)
        answers = await asyncio.gather(*(http.get("/api/today", params=BOTH) for http in (one, two) for _ in range(50)))
        assert {answer.json()["as_of"] for answer in answers} == {first.json()["as_of"]}


async def test_headers_and_files(web_settings: Settings, tmp_path: Path) -> None:
    chart = tmp_path / "echarts.min.js"
    chart.write_text("// here")
    async with site(web_settings, chart) as http:
        for path in ("/", "/static/page.js", "/static/page.css", "/echarts.min.js", "/api/labels", "/api/nothing"):
            answer = await http.get(path, headers={"Origin": "http://elsewhere"})
            assert answer.headers["content-security-policy"].startswith("default-src 'self';")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "access-control-allow-origin" not in answer.headers
        assert (await http.get("/api/labels")).json()["table"] == list(labels.TABLE)
        assert (await http.get("/static/../app.py")).status_code == 404
    async with site(web_settings) as http:
        assert (await http.get("/echarts.min.js")).status_code == 404


async def test_the_page_names_no_other_host() -> None:
    for path in (Path(__file__).parents[2] / "web" / "static").iterdir():
        text = path.read_text()
        assert "innerHTML" not in text
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("HTTP ${", ""), path.name


async def test_the_port_is_in_use(web_settings: Settings) -> None:
    from journey.errors import Unreachable
    from web.server import run

    server = await asyncio.start_server(lambda r, w: None, *web_settings.http.split(":"))
    async with server:
        with pytest.raises(Unreachable, match="TURNPATH_HTTP"):
            run(web_settings, lambda: Client(web_settings.clickhouse), Path(address()))
