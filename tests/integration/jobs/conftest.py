"""The shop's database, a mailbox, and a morning before any day is sealed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from settings import Settings
from sql.client import Client
from tests.integration.jobs.morning import ADDED, HOUR, ONE, Morning, cut_off
from tests.integration.made_rooms import SITE, database, insert_daily
from tests.integration.mail_server import MailBox, mail_server
from tests.integration.shop import BOT


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    return folder


@pytest.fixture
def box() -> Iterator[MailBox]:
    with mail_server(MailBox()) as box:
        yield box


@pytest.fixture(scope="module")
def shared(clickhouse_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with database(clickhouse_address, tmp_path_factory.mktemp("exports")) as client:
        yield client


@pytest.fixture
def morning(shared: Client, box: MailBox) -> Morning:
    """No day is sealed but one long ago: the shop and its bot are known."""
    for table in ("daily", "exports", "export_jobs"):
        shared.run(f"TRUNCATE TABLE {table}")
    insert_daily(shared, [{"day": ADDED - 60 * ONE, "kind": "node", "site_id": SITE, "bot_id": BOT, "step": 1}])
    settings = Settings(
        clickhouse=f"clickhouse://{shared.address}/{shared.database}",
        smtp_url=box.url,
        smtp_from="reports@example.com",
        export_tries=3,
        export_look_back=timedelta(days=3),
        notify_to="ops@example.com",
    )
    return Morning(shared, settings, (), cut_off(ADDED) - HOUR)
