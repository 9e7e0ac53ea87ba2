"""Roles, quotas and row policies for ClickHouse servers.

Twice: by SQL on the server that TURNPATH_TEST_CLICKHOUSE names (whose user `default` may manage access), and by the
engine of the embedded one, which makes no users by SQL, but reads the same rights from a file at its start.
"""

import os
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from clickhouse_driver import Client
from clickhouse_driver.errors import ServerException

from settings import Settings
from sql.access import statements as access
from sql.access.__main__ import main
from sql.migrate import migrate

from .conftest import Endpoint

DENIED, READONLY, BEYOND_A_LIMIT = 497, 164, 452
TOO_SLOW, TOO_MUCH_MEMORY, TOO_MANY_ROWS, QUOTA_USED_UP, WRONG_LOGIN = 159, 241, 396, 201, 516
SERVER = os.environ.get("TURNPATH_TEST_CLICKHOUSE", "")
ON_A_SERVER = pytest.mark.skipif(not SERVER, reason="TURNPATH_TEST_CLICKHOUSE names no server")
SITE, OTHER = "sh'op", "other"
PASSWORDS = {"reader": "it's secret", "shop_reader": "secret, too"}
SETTINGS = Settings(reader_time=timedelta(seconds=3), reader_memory=100_000_000, reader_rows=1000)
_OF_ACCESS = re.compile(r"(CREATE|ALTER) (USER|ROLE|QUOTA|SETTINGS PROFILE|ROW POLICY)|GRANT|REVOKE")
_GRANT = re.compile(r"GRANT (?P<right>.+) TO `?(?P<to>\w+)`?")
_POLICY = re.compile(
    r"CREATE ROW POLICY IF NOT EXISTS (?P<name>\w+) ON `\w+`\.(?P<table>\w+) "
    r"FOR SELECT USING (?P<rows>.+) AS (?P<kind>\w+) TO (?P<to>\w+)"
)
_CREATED = re.compile(
    r"CREATE (?P<kind>USER|ROLE|QUOTA|SETTINGS PROFILE|DATABASE|ROW POLICY) IF NOT EXISTS (?P<name>\S+(?: ON \S+)?)"
)
GIVEN = {
    "site": "{site}",
    "bot": "'b'",
    "room": "'r'",
    "minutes": "5",
    "day": "toDate(now(), 'Asia/Seoul')",
    "from": "today() - 2",
    "to": "today() - 2",
}


def made(database: str, settings: Settings = SETTINGS) -> list[str]:
    return [
        *access.statements(database, PASSWORDS["reader"], settings),
        *access.site_statements(database, SITE, "shop_reader", PASSWORDS["shop_reader"], settings),
    ]


def grants(database: str) -> list[tuple[str, str]]:
    """What is granted, and to whom."""
    found = [_GRANT.fullmatch(sql) for sql in made(database) if sql.startswith("GRANT")]
    return [(each["right"], each["to"]) for each in found if each]


def policies(database: str) -> list[re.Match[str]]:
    return [found for sql in made(database) if (found := _POLICY.fullmatch(sql))]


def test_the_engine_parses_every_statement(client: Client, database: str) -> None:
    for sql in [*made(database), *undone(database)]:
        assert client.execute(f"EXPLAIN AST {sql}"), sql


def test_readers_are_granted_views_and_no_table(database: str) -> None:
    """`customer` is a hash without a key: in a table it follows a named customer."""
    definers = {to for right, to in grants(database) if to.startswith("turnpath_views")}
    to_readers = [right for right, to in grants(database) if to not in definers and right.startswith("SELECT")]
    views = {f"SELECT ON `{database}`.{view}" for view in access.VIEWS}
    own = access.site_database(database, SITE)
    views |= {f"SELECT ON `{own}`.{view}" for view in access.VIEWS if view not in access.OF_ALL_SITES}
    assert sorted(to_readers) == sorted(views)
    rights = {(right, to) for right, to in grants(database) if to not in definers and not right.startswith("SELECT")}
    assert all(re.fullmatch(r"turnpath_(site_)?(reader|\w{12})", right) for right, _ in rights)
    assert {f"CREATE USER IF NOT EXISTS {name} IDENTIFIED WITH no_password HOST NONE" for name in definers} < set(
        made(database)
    )


def test_each_table_with_a_site_has_policies_where_a_sites_views_read_it(
    client: Client, place: tuple[str, int], database: str
) -> None:
    """For the site's definer one that takes away; for everybody one that gives."""
    migrate(Settings(clickhouse=f"clickhouse://{place[0]}:{place[1]}/{database}"))
    definer = next(to for _, to in grants(database) if re.fullmatch(r"turnpath_views_\w+", to))
    read = {right.rpartition(".")[2] for right, to in grants(database) if to == definer}
    sql = "SELECT DISTINCT table FROM system.columns WHERE database = {d:String} AND name = 'site_id'"
    with_site = {row[0] for row in client.execute(sql, {"d": database})}
    found = {(each["table"], each["name"], each["kind"], each["to"]) for each in policies(database)}
    wanted = {(table, definer, "RESTRICTIVE", definer) for table in read & with_site}
    assert found == wanted | {(table, "turnpath_all", "PERMISSIVE", "ALL") for table in read & with_site}
    assert read - with_site == {"progress"}


def test_what_was_there_is_changed(database: str) -> None:
    """CREATE … IF NOT EXISTS alone left the limits, and whom they hold for, as they once were. (Definers have none.)"""
    sent = made(database)
    created = [sql for sql in sent if sql.startswith("CREATE") and _OF_ACCESS.match(sql) and "HOST NONE" not in sql]
    assert len(created) > 15
    for sql in created:
        changed = sql.replace("CREATE", "ALTER", 1).replace("IF NOT EXISTS ", "", 1)
        assert sent[sent.index(sql) + 1] == changed
    assert f"ALTER SETTINGS PROFILE turnpath_reader SETTINGS {limits(3, 100_000_000, 1000)}" in "\n".join(sent)


def test_the_command_takes_the_limits_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sql.access", "--database", "here"])
    for name, value in (("PASSWORD", "secret"), ("TIME", "90s"), ("MEMORY", "50000000"), ("ROWS", "77")):
        monkeypatch.setenv(f"TURNPATH_READER_{name}", value)
    assert main() == 0
    assert f"ALTER SETTINGS PROFILE turnpath_reader SETTINGS {limits(90, 50_000_000, 77)}" in capsys.readouterr().out
    monkeypatch.setenv("TURNPATH_READER_ROWS", "many")
    assert main() == 3
    assert "TURNPATH_READER_ROWS" in capsys.readouterr().err


def limits(seconds: int, memory: int, rows: int) -> str:
    most = {"max_execution_time": seconds, "max_memory_usage": memory, "max_result_rows": rows}
    return ", ".join(f"{name} = {value} MIN 1 MAX {value} CHANGEABLE_IN_READONLY" for name, value in most.items())


def test_no_password_is_written_out(database: str) -> None:
    assert not [sql for sql in made(database) if "secret" in sql]


def undone(database: str) -> list[str]:
    """All that was made, dropped: databases first, for no user goes (630) that a view names as its definer."""
    created = [found for sql in made(database) if (found := _CREATED.match(sql))]
    drops = [f"DROP {each['kind']} IF EXISTS {each['name']}" for each in reversed(created)]
    return [f"DROP DATABASE IF EXISTS {database}", *sorted(drops, key=lambda sql: not sql.startswith("DROP DATABASE"))]


def test_all_that_is_made_is_dropped_and_users_after_the_views_that_name_them(database: str) -> None:
    dropped = undone(database)
    for sql in made(database):
        if sql.startswith("CREATE") and "VIEW" not in sql:
            kind, name = re.findall(r"CREATE (.+) IF NOT EXISTS (\S+)", sql)[0]
            assert [each for each in dropped if each.startswith(f"DROP {kind} IF EXISTS {name}")], sql
    databases = [n for n, sql in enumerate(dropped) if "DATABASE" in sql]
    assert databases == [0, 1]


# asked as readers ----------------------------------------------------------------------------------------------------
@dataclass
class Place:
    """A migrated database with the rights given and rows of two sites; `ask(user, sql)` as that user."""

    database: str
    admin: Client
    ask: Callable[[str, str], list[Any]]

    @property
    def own(self) -> str:
        return access.site_database(self.database, SITE)

    def code(self, user: str, sql: str) -> int:
        """ClickHouse's code of what becomes of it; 0: an answer."""
        try:
            self.ask(user, sql)
        except ServerException as error:
            return int(error.code)
        return 0

    def call(self, database: str, view: str, site: str) -> str:
        """The view, called as a function where it has parameters."""
        sql = "SELECT as_select FROM system.tables WHERE database = %(database)s AND name = %(view)s"
        ((text,),) = self.admin.execute(sql, {"database": self.database, "view": view})
        names = dict.fromkeys(re.findall(r"\{(\w+):", text))
        values = {**GIVEN, "site": access._text(site)}
        arguments = ", ".join(f"{name} = {values[name]}" for name in names)
        return f"`{database}`.{view}" + (f"({arguments})" if names else "")


@pytest.fixture(scope="module", params=["the engine", pytest.param("a server", marks=ON_A_SERVER)])
def given(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    database = f"suite_{uuid.uuid4().hex[:12]}"
    if request.param == "a server":
        yield from on_a_server(database)
    else:
        yield from on_the_engine(database, tmp_path_factory.mktemp("access"))


def on_a_server(database: str) -> Iterator[Place]:
    host, _, port = SERVER.rpartition(":")

    def ask(user: str, sql: str) -> list[Any]:
        with Client(host, int(port), user=user, password=PASSWORDS[user]) as client:
            return list(client.execute(sql))

    with Client(host, int(port)) as admin:
        try:
            lay(SERVER, database, made(database))
            yield Place(database, admin, ask)
        finally:
            for sql in undone(database):
                admin.execute(sql)


def on_the_engine(database: str, folder: Path) -> Iterator[Place]:
    """chDB reads a config.xml where it starts. Whoever asks is the definer of a view that asks."""
    users = folder / "data" / "empty" / "users.xml"
    users.parent.mkdir(parents=True)
    users.write_text(as_xml(database))
    users.with_name("config.xml").write_text(f"<clickhouse><users_config>{users}</users_config></clickhouse>")
    endpoint = Endpoint(folder / "data")
    port = endpoint.ready()
    with Client("127.0.0.1", port) as admin:

        def ask(user: str, sql: str) -> list[Any]:
            admin.execute(f"CREATE OR REPLACE VIEW asked.it DEFINER = {user} SQL SECURITY DEFINER AS {sql}")
            return list(admin.execute("SELECT * FROM asked.it"))

        admin.execute("CREATE DATABASE asked")
        lay(f"127.0.0.1:{port}", database, [sql for sql in made(database) if not _OF_ACCESS.match(sql)])
        yield Place(database, admin, ask)
    assert endpoint.stop() == 0


def as_xml(database: str) -> str:
    """Users and roles of the statements with their rights; a policy that takes away as one that gives the rest."""
    rights: dict[str, str] = {}
    for right, to in grants(database):
        rights[to] = rights.get(to, "") + f"<query>GRANT {escape(right)}</query>"
    rows: dict[str, str] = {}
    for each in policies(database):
        if each["kind"] == "RESTRICTIVE":
            table = each["table"]
            rows[each["to"]] = rows.get(each["to"], "") + f"<{table}><filter>{escape(each['rows'])}</filter></{table}>"
    login = "<no_password/><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>"
    users, roles = "", ""
    for name, granted in rights.items():
        held = f"<grants>{granted}</grants>"
        if name in PASSWORDS or name.startswith("turnpath_views"):
            filters = f"<databases><{database}>{rows[name]}</{database}></databases>" if name in rows else ""
            users += f"<{name}>{login}{held}{filters}</{name}>"
        else:
            roles += f"<{name}>{held}</{name}>"
    return (
        f"<clickhouse><profiles><default/></profiles><quotas><default/></quotas><roles>{roles}</roles>"
        f"<users><default>{login}<access_management>1</access_management></default>{users}</users></clickhouse>"
    )


def lay(address: str, database: str, rights: list[str]) -> None:
    """By a client of its own: the driver makes nothing good of a USE when it connects again."""
    host, _, port = address.rpartition(":")
    migrate(Settings(clickhouse=f"clickhouse://{address}/{database}"))
    with Client(host, int(port)) as admin:
        for sql in rights:
            admin.execute(sql)
        for site in (SITE, OTHER):
            for sql in ROWS:
                admin.execute(f"INSERT INTO `{database}`.{sql}", {"site": site})
        admin.execute(f"INSERT INTO `{database}`.{SEAL}")


#: A site's rows; bot and room are called alike at both sites.
ROWS = (
    "bots (site_id, bot_id, name) SELECT %(site)s, 'b', 'B'",
    "moves (site_id, bot_id, room_id, customer_id, seq, part, version, occurred_at, entered_at, step, dialog, move, "
    "next_step, next_dialog) SELECT %(site)s, 'b', 'r', 'c', number, if(number < 4, 0, 9), 2, now(), now(), "
    "number > 0, 'd', ['start', 'error', 'agent_connect', 'agent_served', 'bot_end'][number + 1], "
    "number = 0, 'd' FROM numbers(5)",
    "rooms (site_id, bot_id, room_id, customer_id, version, opened_at, last_at, phase, phase_since) "
    "SELECT %(site)s, 'b', 'r', 'c', 2, now(), now(), 'waiting', now()",
    "edge_totals (day, site_id, bot_id, step, dialog, move, moves, version) "
    "SELECT toDate(now(), 'Asia/Seoul'), %(site)s, 'b', 1, 'd', 'error', 1, 1",
    "daily (day, revision, kind, site_id, bot_id, number, step, dialog, move, moves, rooms) "
    "SELECT today() - 2, 1, arrayJoin(['node', 'edge']) AS k, "
    "%(site)s, 'b', 1, 1, 'd', if(k = 'edge', 'error', ''), 2, 1",
    "daily (day, revision, kind, site_id, bot_id, room_id, edges, nodes) "
    "SELECT today() - 2, 1, 'room', %(site)s, 'b', 'r', [1], [1]",
    "progress (topic, partition, offset, log_end, time) SELECT 'chatbot.turns', 0, 5, 5, now()",
    "dead_letters (topic, partition, offset, reason) SELECT 'chatbot.turns', 0, 1, 'not_json'",
)
SEAL = "daily (day, revision, kind, bots_left_out, rooms, moves) SELECT today() - 2, 1, 'seal', ['other:b'], 2, 2"


def test_a_reader_sees_every_view(given: Place) -> None:
    for view in access.VIEWS:
        found = given.ask("reader", f"SELECT * FROM {given.call(given.database, view, OTHER)}")
        assert found or view == "late_rooms", view


def test_a_reader_reads_no_table(given: Place) -> None:
    tables = given.admin.execute(
        "SELECT name FROM system.tables WHERE database = %(d)s AND engine != 'View'",
        {"d": given.database},
    )
    assert {"turns", "moves", "rooms", "daily", "dead_letters"} < {table for (table,) in tables}
    for (table,) in tables:
        for user in ("reader", "shop_reader"):
            assert given.code(user, f"SELECT count() FROM `{given.database}`.{table}") == DENIED
            assert given.code(user, f"SELECT * FROM `{given.database}`.{table}") == DENIED


def test_a_named_customer_is_not_followed(given: Place) -> None:
    known = "reinterpretAsUInt128(sipHash128('other', 'c'))"
    for user in ("reader", "shop_reader"):
        assert given.code(user, f"SELECT room_id FROM `{given.database}`.moves WHERE customer = {known}") == DENIED


def test_a_site_has_its_own_rows_in_every_view_and_no_others(given: Place) -> None:
    """Of moves, rooms, bots, edge_totals, daily: each is read by some view."""
    for view in set(access.VIEWS) - {*access.OF_ALL_SITES, "bots_list"}:
        count = "SELECT count() FROM {}".format
        whole = given.admin.execute(count(given.call(given.database, view, SITE)))
        assert given.ask("shop_reader", count(given.call(given.own, view, SITE))) == whole, view
        assert whole != [(0,)], view
        if "site =" in given.call(given.own, view, OTHER):
            found = given.ask("shop_reader", f"SELECT * FROM {given.call(given.own, view, OTHER)}")
            assert not found or (view == "journey_totals" and not any(found[0])), view
    bots = given.admin.execute(f"SELECT * FROM `{given.database}`.bots_list WHERE site_id = %(site)s", {"site": SITE})
    assert given.ask("shop_reader", f"SELECT * FROM `{given.own}`.bots_list") == bots


def test_a_site_learns_of_no_other_from_the_seals(given: Place) -> None:
    """Whose rows have no site, and say which bots were left out, and how many rooms and moves there were in all."""
    days = given.ask("shop_reader", f"SELECT * FROM {given.call(given.own, 'journey_days', SITE)}")
    assert [row[1:3] for row in days] == [(1, 1)]
    for view in access.VIEWS:
        assert given.code("shop_reader", f"SELECT * FROM {given.call(given.database, view, SITE)}") == DENIED
    for view in access.OF_ALL_SITES:
        assert given.admin.execute(f"EXISTS `{given.own}`.{view}") == [(0,)]


@pytest.mark.parametrize("given", [pytest.param("a server", marks=ON_A_SERVER)], indirect=True)
class TestOnAServer:
    @pytest.mark.parametrize(
        "sql",
        [
            "INSERT INTO bots (site_id) VALUES ('x')",
            "CREATE TABLE mine (a UInt8) ENGINE = Memory",
            "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
            "SET max_execution_time = 100000",
            "SET max_execution_time = 0",
            "SET max_result_rows = 0",
            "SELECT * FROM system.query_log",
        ],
    )
    def test_a_reader_has_no_way_out(self, given: Place, sql: str) -> None:
        assert given.code("reader", sql) in (DENIED, READONLY, BEYOND_A_LIMIT)

    def test_nobody_logs_in_as_a_definer(self, given: Place) -> None:
        host, _, port = SERVER.rpartition(":")
        with Client(host, int(port), user="turnpath_views") as client, pytest.raises(ServerException) as error:
            client.execute("SELECT 1")
        assert error.value.code == WRONG_LOGIN

    def test_others_read_on_beside_the_policies(self, given: Place) -> None:
        sites = given.admin.execute(f"SELECT DISTINCT site_id FROM `{given.database}`.moves ORDER BY site_id")
        assert sites == [(OTHER,), (SITE,)]

    @pytest.mark.parametrize("user", sorted(PASSWORDS))
    @pytest.mark.parametrize(
        ("sql", "code"),
        [
            ("SELECT number FROM numbers(1001)", TOO_MANY_ROWS),
            ("SELECT length(groupArray(number)) FROM numbers(100000000)", TOO_MUCH_MEMORY),
            ("SELECT count() FROM numbers(1000000000000) WHERE cityHash64(number) = 1", TOO_SLOW),
        ],
    )
    def test_a_query_has_limits(self, given: Place, user: str, sql: str, code: int) -> None:
        assert given.code(user, sql) == code
        assert given.ask(user, "SELECT 1") == [(1,)]

    def test_limits_given_again_are_the_new_ones(self, given: Place) -> None:
        for rows in (10, 1000):
            settings = SETTINGS.model_copy(update={"reader_rows": rows})
            for sql in access.statements(given.database, PASSWORDS["reader"], settings):
                given.admin.execute(sql)
            assert len(given.ask("reader", f"SELECT number FROM numbers({rows})")) == rows
            assert given.code("reader", f"SELECT number FROM numbers({rows + 1})") == TOO_MANY_ROWS

    def test_a_minute_has_so_many_queries(self, given: Place) -> None:
        """The last of the tests: the quota of shop_reader is used up then, reader's is not."""
        # twice as many, since a new minute may begin
        assert QUOTA_USED_UP in (given.code("shop_reader", "SELECT 1") for _ in range(1300))
        assert given.ask("reader", "SELECT 1") == [(1,)]
