"""Roles, quotas and row policies for ClickHouse servers: parsed on the embedded one, tried where
TURNPATH_TEST_CLICKHOUSE names a server (whose user `default` may manage access)."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from settings import Settings
from sql.access import statements as access
from sql.migrate import migrate

DENIED, READONLY = 497, 164
ON_A_SERVER = pytest.mark.skipif(
    not os.environ.get("TURNPATH_TEST_CLICKHOUSE"), reason="TURNPATH_TEST_CLICKHOUSE names no server"
)

Login = Callable[[str], Client]


def made(database: str) -> list[str]:
    return [
        *access.statements(database, "it's secret"),
        *access.site_statements(database, "sh'op", "shop_reader", "secret, too"),
    ]


@pytest.fixture
def migrated(place: tuple[str, int], database: str) -> str:
    """This test's database, with tables and views."""
    migrate(Settings(clickhouse=f"clickhouse://{place[0]}:{place[1]}/{database}"))
    return database


def test_the_engine_parses_every_statement(client: Client, database: str) -> None:
    for sql in made(database):
        assert client.execute(f"EXPLAIN AST {sql}"), sql


def test_no_customer_is_named_in_what_readers_read(migrated: str, client: Client) -> None:
    """A new column of these tables is a decision: it is either granted, or it stands here."""
    for table, granted in access.COLUMNS.items():
        rows = client.execute(
            "SELECT name FROM system.columns WHERE database = {d:String} AND table = {t:String}",
            {"d": migrated, "t": table},
        )
        left = {row[0] for row in rows} - set(granted.split(", "))
        assert left <= {"customer_id", "written_on", "first_at"}, f"{table}: grant {left}, or say here why not"
    for table in access.WHOLE:
        columns = client.execute(f"DESCRIBE TABLE {table}")
        assert "customer_id" not in {row[0] for row in columns}


def test_only_the_views_of_the_log_read_it() -> None:
    views = Path(access.__file__).parents[1] / "views"
    reads = re.compile(r"\b(?:FROM|JOIN)\s+(turns|dead_letters|late_rooms)\b|\bcustomer_id\b")
    found = {path.stem for path in views.rglob("*.sql") if reads.search(path.read_text())}
    assert found <= {*access.OF_THE_LOG, "columns_help"}


def test_no_password_is_written_out(database: str) -> None:
    assert not [sql for sql in made(database) if "secret" in sql]


@pytest.fixture
def login(place: tuple[str, int], migrated: str, client: Client) -> Iterator[Login]:
    """The rights given, two sites' bots there; clients for the users."""
    for sql in made(migrated):
        client.execute(sql)
    client.execute("INSERT INTO bots (site_id, bot_id, name) VALUES ('sh\\'op', 'a', 'A'), ('other', 'b', 'B')")
    passwords = {"reader": "it's secret", "shop_reader": "secret, too"}
    opened: list[Client] = []

    def one(user: str) -> Client:
        opened.append(Client(*place, database=migrated, user=user, password=passwords[user]))
        return opened[-1]

    yield one
    for each in opened:
        each.disconnect()
    for kind in (
        "USER IF EXISTS reader, shop_reader, turnpath_views",
        "ROLE IF EXISTS turnpath_reader, turnpath_site_reader",
    ):
        client.execute(f"DROP {kind}")


def code_of(client: Client, sql: str) -> int:
    with pytest.raises(ServerException) as error:
        client.execute(sql)
    return int(error.value.code)


@ON_A_SERVER
def test_a_reader_sees_the_views_and_no_customer(login: Login) -> None:
    reader = login("reader")
    for sql in ("SELECT * FROM seals", "SELECT * FROM late_rooms", "SELECT * FROM rooms_now(site = 'other')"):
        reader.execute(sql)
    assert len(reader.execute("SELECT bot_id FROM bots_list")) == 2
    for sql in ("SELECT * FROM turns", "SELECT * FROM dead_letters", "SELECT customer_id FROM moves"):
        assert code_of(reader, sql) == DENIED


@ON_A_SERVER
@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO bots (site_id) VALUES ('x')",
        "CREATE TABLE mine (a UInt8) ENGINE = Memory",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
        "SET max_execution_time = 100000",
        "SELECT * FROM system.query_log",
    ],
)
def test_a_reader_has_no_way_out(login: Login, sql: str) -> None:
    assert code_of(login("reader"), sql) in (DENIED, READONLY, 452)


@ON_A_SERVER
def test_a_site_sees_its_own_rows(login: Login) -> None:
    shop = login("shop_reader")
    assert shop.execute("SELECT bot_id FROM bots_list") == [("a",)]
    assert code_of(shop, "SELECT * FROM late_rooms") == DENIED
