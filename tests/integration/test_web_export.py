"""The page's button against a real ClickHouse: the workbook of what the page shows, or why there is none."""

import io
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from python_calamine import CalamineWorkbook

from journey import labels
from settings import Settings
from sql import read
from sql.client import Client
from tests.conftest import somewhere
from tests.integration.made_rooms import SITE
from tests.integration.shop import BOT, live_rooms, seal, show_live, today, yesterday
from tests.integration.test_web import BOTH, site
from web.export import XLSX

DAY, GAP = yesterday(), timedelta(days=3)

REFUSED = [
    ({"from": str(DAY - timedelta(days=40)), "to": str(DAY)}, 400, "usage", "31 days"),
    ({"from": str(today()), "to": str(today())}, 400, "usage", "yesterday or earlier"),
    ({"from": str(DAY)}, 400, "usage", "both from and to"),
    ({"from": str(DAY - GAP), "to": str(DAY - GAP)}, 409, "not_sealed", "not sealed"),
    ({"site": "shep"}, 404, "no_data", "There is no site 'shep'"),
    ({"lang": "de"}, 400, "usage", "lang"),
]


@pytest.fixture
def client(migrated_url: str) -> Iterator[Client]:
    with Client(migrated_url) as client:
        seal(client, [DAY])
        show_live(client, live_rooms(12))
        yield client


@pytest.fixture
def web_settings(client: Client, migrated_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return somewhere(tmp_path, clickhouse=migrated_url, redis=redis_url)


def rows(body: bytes, sheet: str) -> list[list[Any]]:
    return CalamineWorkbook.from_filelike(io.BytesIO(body)).get_sheet_by_name(sheet).to_python()[1:]


async def test_the_workbook_of_sealed_days_and_of_today(
    client: Client, web_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    async with site(web_settings) as http:
        sealed = await http.get("/api/export", params={**BOTH, "from": str(DAY), "to": str(DAY)})
        live = await http.get("/api/export", params={**BOTH, "lang": "en"}, headers={"Accept-Encoding": "gzip"})
    table = read.journey_table(client, SITE, BOT, DAY, DAY)
    assert rows(sealed.content, "표") == [list(row) for row in labels.table_rows(table.columns, table.rows, "ko")]
    assert rows(live.content, "Table")
    assert [row[1] for row in rows(live.content, "Cover") if row[0] == "Day"][:1] == [today()]
    assert sealed.headers["content-type"] == XLSX
    assert "content-encoding" not in live.headers  # it is packed already
    assert int(sealed.headers["content-length"]) == len(sealed.content)
    assert sealed.headers["cache-control"] == "no-store"
    name = f"{SITE}_{BOT}_{DAY}.xlsx"
    plain = f"{SITE}_{'_' * len(BOT)}_{DAY}.xlsx"
    assert sealed.headers["content-disposition"] == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
    assert list(temporary.iterdir()) == []


async def test_what_cannot_be_made_is_said(web_settings: Settings) -> None:
    async with site(web_settings) as http:
        for given, code, kind, words in REFUSED:
            answer = await http.get("/api/export", params={**BOTH, **given})
            assert (answer.status_code, answer.json()["kind"]) == (code, kind)
            assert words in answer.json()["error"]
            assert "content-disposition" not in answer.headers
