"""Each ClickHouse query of the dashboards, filled in as Grafana and its plugin do, asked by `reader`."""

import re
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import yaml
from clickhouse_driver import Client as Driver

from sql.client import Client
from tests.counted_edges import count_edges
from tests.integration.made_rooms import SITE
from tests.integration.shop import BOT, live_rooms, seal, show_live, yesterday
from tests.monitoring import GRAFANA, dashboards, queries

PLUGIN = "grafana-clickhouse-datasource"
#: A bot's name that would end the text that it stands in.
EVIL = 'it\'s "a" bot'


def sqlstring(value: str) -> str:
    """As Grafana's ${name:sqlstring}."""
    return "'" + value.replace("'", "''") + "'"


def filled_in(sql: str, site: str = SITE, bot: str = BOT) -> str:
    """Grafana's variables, then the plugin's macros, for the last hour."""
    now = int(time.time())
    begin, end = f"toDateTime({now - 3600})", f"toDateTime({now + 60})"
    for name, value in {"site": site, "bot": bot}.items():
        sql = sql.replace(f"${{{name}:sqlstring}}", sqlstring(value))
    sql = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 >= {begin} AND \1 <= {end}", sql)
    sql = sql.replace("$__fromTime", begin).replace("$__toTime", end)
    assert "$" not in sql, sql
    return sql


def lay(client: Client) -> None:
    """What a shop's tables hold after a busy hour; yesterday is sealed."""
    show_live(client, live_rooms(25))
    seal(client, [yesterday()], rooms=5)
    client.run(
        "INSERT INTO edge_counts (topic, partition, day, site_id, bot_id, step, dialog, move, message, next_step, "
        "next_dialog, moves, upto) SELECT 'chatbot.turns', 0, day, site_id, bot_id, step, dialog, move, message, "
        "next_step, next_dialog, count(), 9 FROM moves FINAL WHERE part < 9 GROUP BY ALL"
    )
    count_edges(client)
    client.run(
        "INSERT INTO progress (topic, partition, offset, time, log_end, written_at) "
        "SELECT 'chatbot.turns', number, 10, now64(3) - 5, 12, now64(3) FROM numbers(2)"
    )
    client.run(
        "INSERT INTO dead_letters (topic, partition, offset, received_at, reason) "
        "SELECT 'chatbot.turns', 0, number, now64(3), 'bad_value' FROM numbers(3)"
    )


@pytest.fixture
def reader(migrated_url: str) -> Iterator[Driver]:
    """`reader`, with the limit of time that the plugin sends: five seconds more than its own."""
    with Client(migrated_url) as client:
        lay(client)
    host, _, database = migrated_url.removeprefix("clickhouse://").partition("/")
    name, _, port = host.partition(":")
    provisioned = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "turnpath.yml").read_text())
    seconds = [int(each["jsonData"].get("queryTimeout", 0)) for each in provisioned["datasources"]]
    limit = {"max_execution_time": max(seconds) + 5}
    with Driver(name, int(port), database, user="reader", password="reader", settings=limit) as driver:
        yield driver


def asked(reader: Driver, sql: str) -> tuple[dict[str, str], list[Any]]:
    """column -> type, and the rows."""
    rows, columns = reader.execute(sql, with_column_types=True)
    return dict(columns), rows


def shown_columns(panel: dict[str, Any]) -> set[str]:
    """The columns that a panel names: those it gives another name, and the one that it draws."""
    overrides = panel["fieldConfig"]["overrides"]
    named = {each["matcher"]["options"] for each in overrides if each["matcher"]["id"] == "byName"}
    field = panel["options"].get("reduceOptions", {}).get("fields", "")
    return named | {name for name in [field.strip("/^$")] if name}


def test_every_query_has_rows_with_the_columns_that_its_panel_shows_and_every_variable_offers(reader: Driver) -> None:
    for query in queries(PLUGIN):
        columns, rows = asked(reader, filled_in(query.text))
        assert rows, query
        assert shown_columns(query.panel) <= set(columns), query
        if query.panel["type"] == "table":
            assert shown_columns(query.panel) == set(columns), f"{query}: a column without a label"
        if query.target["format"] == 0:
            assert next(iter(columns)) == "time", query
            assert isinstance(rows[0][0], datetime), query
        numbers = {name for name, kind in columns.items() if re.match(r"U?Int|Float", kind)}
        assert numbers, f"{query}: nothing to draw"
    variables = [
        each for board in dashboards().values() for each in board["templating"]["list"] if each["type"] == "query"
    ]
    offered = {each["name"]: asked(reader, filled_in(each["query"]))[1] for each in variables}
    assert offered == {"site": [(SITE,)], "bot": [(BOT,)]}


def test_of_another_site_nothing_is_shown_and_a_name_with_quotes_stays_a_name(reader: Driver) -> None:
    for query in queries(PLUGIN):
        if "${site" in query.text:
            for site in ("another", EVIL):
                _, rows = asked(reader, filled_in(query.text, site=site, bot=EVIL))
                assert all(not any(row) for row in rows), query
