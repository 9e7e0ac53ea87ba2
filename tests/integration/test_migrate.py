"""sql/migrate.py against a ClickHouse: made from nothing, again, by several at once, with changed settings."""

import re
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from cli.migrate import command
from journey.errors import BadSetting, Busy, Crash, Retry
from settings import Settings
from sql import alone as sql_alone
from sql import migrate as sql_migrate
from sql.alone import alone
from sql.client import Client, SameIdRuns
from sql.migrate import VIEWS, migrate
from sql.sink import Sink
from tests.conftest import somewhere
from tests.waiting import until

ROOT = Path(__file__).parents[2]
FILES = sorted(sql_migrate.MIGRATIONS.glob("*.sql"))
#: Each is made, and one that a later migration drops is not there at the end.
TABLES = {"schema_versions"}
_MADE = re.compile(r"(CREATE|DROP) (?:TABLE|(?:MATERIALIZED )?VIEW) IF (?:NOT )?EXISTS (\w+)")
for path in FILES:
    for verb, name in _MADE.findall(path.read_text()):
        TABLES = TABLES | {name} if verb == "CREATE" else TABLES - {name}


@pytest.fixture
def fresh(clickhouse_address: str, tmp_path: Path) -> Iterator[Settings]:
    """Settings that name a database which is not there."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield somewhere(tmp_path, clickhouse=f"clickhouse://{clickhouse_address}/{name}")
    with Client(f"clickhouse://{clickhouse_address}") as client:
        client.run(f"DROP DATABASE IF EXISTS {name}")


def other(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update=changes)


def things(settings: Settings) -> tuple[set[str], set[str]]:
    """The tables and the views of the database."""
    with Client(settings.clickhouse) as client:
        rows = client.rows("SELECT name, engine FROM system.tables WHERE database = currentDatabase()")
    return {n for n, engine in rows if engine != "View"}, {n for n, engine in rows if engine == "View"}


def test_from_nothing_and_again(fresh: Settings) -> None:
    for _ in range(2):
        migrate(fresh)
        tables, views = things(fresh)
        assert tables == TABLES
        assert views == {path.stem for path in VIEWS.glob("*.sql")}
    with Client(fresh.clickhouse) as client:
        assert client.rows("SELECT count() FROM schema_versions") == [(len(FILES),)]
        noted = client.rows("SELECT name, value FROM installation ORDER BY name")
        assert noted == [("reorder_wait", "30s"), ("room_idle", "86400s"), ("timezone", "Asia/Seoul")]


def test_rows_stay_when_it_runs_again(fresh: Settings) -> None:
    migrate(fresh)
    with Client(fresh.clickhouse) as client:
        client.insert("bots", {"site_id": ["s"], "bot_id": ["b"], "name": ["n"]})
        migrate(fresh)
        assert client.rows("SELECT name FROM bots_list") == [("n",)]


def test_of_several_at_once_one_does_it(fresh: Settings) -> None:
    """Else who is late makes again, in a database of now, what a later migration has made anew."""
    failed: list[Exception] = []

    def run() -> None:
        try:
            migrate(fresh)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert things(fresh) == (TABLES, {path.stem for path in VIEWS.glob("*.sql")})
    with Client(fresh.clickhouse) as client:
        noted = client.rows("SELECT version FROM schema_versions ORDER BY version")
    assert noted == [(number,) for number in range(1, len(FILES) + 1)]


def test_another_one_is_waited_for(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    url = urlsplit(fresh.clickhouse)
    with alone(f"clickhouse://{url.netloc}", f"turnpath-{url.path[1:]}-migrate"):
        monkeypatch.setattr(sql_alone, "_WAIT_S", 0.2)
        with pytest.raises(Busy, match="another one has been under way"):
            migrate(fresh)
    migrate(fresh)


def test_who_did_not_hold_the_others_off_to_the_end_says_so(clickhouse_address: str) -> None:
    """An operator, or a server that was started again, ended the statement."""
    url = f"clickhouse://{clickhouse_address}"
    said = pytest.raises(Retry, match="another one may have run beside this one")
    with Client(url) as client, said, alone(url, "ended"):
        client.run("KILL QUERY WHERE query LIKE '%sleepEachRow(0.05)%' AND query NOT LIKE 'KILL%' SYNC")
        until(lambda: not_running(client, "ended"))


def not_running(client: Client, query_id: str) -> bool:
    try:
        client.table("SELECT 1", query_id=query_id)
    except SameIdRuns:
        return False
    return True


def test_who_was_killed_holds_up_nobody(clickhouse_address: str) -> None:
    holding = (
        "import time; from sql.alone import alone\n"
        f"with alone('clickhouse://{clickhouse_address}', 'killed'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holding], stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with Client(f"clickhouse://{clickhouse_address}") as client, pytest.raises(SameIdRuns):
            client.table("SELECT 1", query_id="killed")
        process.kill()
    begun = time.monotonic()
    with alone(f"clickhouse://{clickhouse_address}", "killed"):
        assert time.monotonic() - begun < 10


def test_the_days_are_those_of_the_time_zone(fresh: Settings) -> None:
    berlin = other(fresh, timezone="Europe/Berlin")
    migrate(berlin)
    with Client(berlin.clickhouse) as client:
        client.run("ALTER TABLE moves REMOVE TTL")
        midnight = round(datetime(2026, 11, 2, tzinfo=ZoneInfo("Europe/Berlin")).timestamp() * 1000)
        client.insert("moves", {"occurred_at": [midnight - 1, midnight]})
        days = client.rows("SELECT day FROM moves ORDER BY occurred_at")
        assert days == [(date(2026, 11, 1),), (date(2026, 11, 2),)]
        texts = client.rows("SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()")
    assert [name for name, text in texts if "Asia/Seoul" in text] == []
    assert {"today_table", "moves", "rooms_now", "late_rooms"} <= {n for n, text in texts if "Europe/Berlin" in text}


@pytest.mark.parametrize("noted", [True, False])
def test_another_time_zone_is_refused(fresh: Settings, noted: bool) -> None:
    migrate(fresh)
    if not noted:  # killed before it was written down: the tables know it, too
        with Client(fresh.clickhouse) as client:
            client.run("TRUNCATE TABLE installation")
    with pytest.raises(BadSetting, match=r"TURNPATH_TIMEZONE is Europe/Berlin.*Asia/Seoul"):
        migrate(other(fresh, timezone="Europe/Berlin"))
    migrate(fresh)


def test_the_times_that_rooms_hang_on_may_change_while_there_are_none(fresh: Settings) -> None:
    """Afterwards rows of before would stand beside those of now, and be counted twice."""
    migrate(fresh)
    changed = other(fresh, room_idle=timedelta(hours=12))
    migrate(changed)
    with Client(fresh.clickhouse) as client:
        client.run("INSERT INTO turns (site_id, room_id, seq) VALUES ('s', 'r', 1)")
    migrate(changed)
    with pytest.raises(BadSetting, match=r"TURNPATH_ROOM_IDLE is 86400s.*set it back to 43200s"):
        migrate(fresh)
    with pytest.raises(BadSetting, match=r"TURNPATH_REORDER_WAIT is 0\.5s.*set it back to 30s"):
        migrate(other(changed, reorder_wait=timedelta(milliseconds=500)))


def test_a_changed_time_to_live_is_laid_on_the_tables(fresh: Settings) -> None:
    def laid() -> dict[str, str]:
        with Client(fresh.clickhouse) as client:
            rows = client.rows(
                "SELECT name, extract(create_table_query, 'toIntervalDay\\\\((\\\\d+)\\\\)') FROM system.tables "
                "WHERE database = currentDatabase()"
            )
        return {name: days for name, days in rows if days}

    migrate(fresh)
    of_events = ("turns", "moves", "rooms", "edge_counts", "edge_totals", "timeouts", "progress")
    assert laid() == dict.fromkeys(of_events, "90") | {"dead_letters": "7"}
    changed = other(fresh, keep_events=timedelta(days=30), keep_dead_letters=timedelta(hours=36))
    migrate(changed)
    assert laid() == dict.fromkeys(of_events, "30") | {"dead_letters": "2"}


def test_an_edited_migration_is_refused(fresh: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(fresh)
    for path in sql_migrate.MIGRATIONS.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text() + "\n-- edited\n")
    monkeypatch.setattr(sql_migrate, "MIGRATIONS", tmp_path)
    with pytest.raises(Crash, match="sql/migrations"):
        migrate(fresh)


def test_a_new_migration_is_applied(fresh: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(fresh)
    for path in sql_migrate.MIGRATIONS.glob("*.sql"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "9999_more.sql").write_text(
        "CREATE TABLE IF NOT EXISTS more (zone String DEFAULT '${TIMEZONE}') ENGINE = MergeTree ORDER BY tuple();"
    )
    monkeypatch.setattr(sql_migrate, "MIGRATIONS", tmp_path)
    migrate(fresh)
    assert "more" in things(fresh)[0]


def test_a_database_of_before_the_timeouts_goes_on(
    fresh: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had landed is never edited: its edge_counts are made anew, by the key that they have now."""
    for path in sorted(sql_migrate.MIGRATIONS.glob("*.sql"))[:4]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(sql_migrate, "MIGRATIONS", tmp_path)
    monkeypatch.setattr(sql_migrate, "lay_views", lambda *_: None)  # those of then are not at hand
    migrate(fresh)
    monkeypatch.undo()
    migrate(fresh)
    with Client(fresh.clickhouse) as client:
        ((key,),) = client.rows(
            "SELECT sorting_key FROM system.tables WHERE database = currentDatabase() AND name = 'edge_counts'"
        )
        assert key == "site_id, edge, day, partition, topic"
        assert client.rows("SELECT count() FROM timeouts") == [(0,)]


def test_the_command_makes_topics_and_tables(
    fresh: Settings, fresh_kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNPATH_KAFKA", fresh_kafka)
    monkeypatch.setenv("TURNPATH_CLICKHOUSE", fresh.clickhouse)
    for said in ("topic chatbot.turns made", ""):
        result = CliRunner().invoke(command, [])
        assert result.exit_code == 0, result.output
        assert said in result.stderr
        assert result.stdout == ""
    assert things(fresh)[0] == TABLES


def test_what_is_kept_for_long_does_not_expire_at_once(fresh: Settings) -> None:
    migrate(other(fresh, keep_events=timedelta(days=18_250), keep_dead_letters=timedelta(days=18_250)))
    with Client(fresh.clickhouse) as client:
        Sink(client).progress([("chatbot.turns", 0, 1, 1_790_000_000_000, 1)])
        Sink(client).dead_letters([("chatbot.turns", 0, 0, None, None, "not_json", "", 1_790_000_000_000)])
        for table in ("progress", "dead_letters"):
            client.run(f"OPTIMIZE TABLE {table} FINAL")
            assert client.rows(f"SELECT count() FROM {table}") == [(1,)], table
