"""docs/sql.md and columns_help say what is there: every view, its columns in order, their types, and examples."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from sql import read
from sql.client import Client, Table
from sql.migrate import VIEWS
from tests.integration.made_rooms import database

DOCS = (Path(__file__).parents[2] / "docs" / "sql.md").read_text()
NAMES = sorted(path.stem for path in VIEWS.glob("*.sql"))
GIVEN = {
    "site": "'s'",
    "bot": "'b'",
    "room": "'r'",
    "minutes": "5",
    "day": "'2024-01-01'",
    "from": "'2024-01-01'",
    "to": "'2024-01-02'",
}

#: DESIGN.md: counts UInt64, steps UInt16, days Date. What counts, by the names of columns.
COUNTS = {
    *("inflow", "rooms", "customers", "dropouts", "moves", "move_rooms", "move_customers", "error", "agent_connect"),
    *(
        "agent_served",
        "bot_end",
        "timeout",
        "dropout",
        "open",
        "carried",
        "visits",
        "value",
        "asked",
        "served",
        "errors",
    ),
    *("letters", "lag_events", "late_rooms", "longest_s", "median_s", "p90_s"),
}
DAYS = {"day": "Date", "first_day": "Nullable(Date)", "last_day": "Nullable(Date)"}


@pytest.fixture(scope="module")
def client(clickhouse_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with database(clickhouse_address, tmp_path_factory.mktemp("docs")) as client:
        yield client


@pytest.fixture(scope="module")
def tables(client: Client) -> dict[str, Table]:
    """Each view's columns and types."""
    return {view: nothing_of(client, view) for view in NAMES}


def nothing_of(client: Client, view: str) -> Table:
    (text,) = client.rows(
        "SELECT as_select FROM system.tables WHERE database = currentDatabase() AND name = {view:String}",
        {"view": view},
    )[0]
    wanted = dict.fromkeys(re.findall(r"\{(\w+):", text))
    call = ", ".join(f"{name} = {GIVEN[name]}" for name in wanted)
    return client.table(f"SELECT * FROM {view}({call}) LIMIT 0" if call else f"SELECT * FROM {view} LIMIT 0")


def plain(kind: str) -> str:
    """A type without how it is stored."""
    return re.sub(r"LowCardinality\((\w+)\)", r"\1", kind)


def described() -> dict[str, list[str]]:
    """The columns of each view in the tables of docs/sql.md."""
    found: dict[str, list[str]] = {}
    head = ""
    for line in DOCS.splitlines():
        head = (head or line) if line.startswith("|") else ""
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        views = re.findall(r"`(\w+)`", cells[0]) if head.startswith("| view") and line.startswith("| `") else []
        words = re.sub(r"\(.*?\)", "", cells[-1]).replace("`", "")
        for view in views:
            found[view] = [name.strip() for name in words.split(",")]
    for view, columns in found.items():
        if columns[0].startswith("those of "):
            found[view] = found[columns[0].removeprefix("those of ")] + [
                name.removeprefix("then ") for name in columns[1:]
            ]
    return found


def test_every_view_is_described_with_its_columns(tables: dict[str, Table]) -> None:
    in_docs = described()
    assert sorted(in_docs) == NAMES
    for view, columns in in_docs.items():
        assert columns == tables[view].columns, view


def test_columns_help_has_every_column_in_order_with_its_type(client: Client, tables: dict[str, Table]) -> None:
    helped: defaultdict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for row in read.columns_help(client).dicts():
        helped[row["view"]].append((row["place"], row["column"], row["type"]))
        assert len(row["en"]) > 5, row
        assert re.search("[가-힣]", row["ko"]), row
    assert sorted(helped) == NAMES
    for view, found in helped.items():
        table = tables[view]
        types = [plain(kind) for kind in table.types]
        assert found == [(n, *both) for n, both in enumerate(zip(table.columns, types, strict=True), 1)], view


def test_counts_steps_and_days_have_their_types(tables: dict[str, Table]) -> None:
    for view, table in tables.items():
        for column, kind in zip(table.columns, map(plain, table.types), strict=True):
            counted = column in COUNTS or (column == "next_step" and "next_dialog" not in table.columns)
            wanted = "UInt64" if counted else "UInt16" if column in ("step", "next_step") else DAYS.get(column)
            assert wanted in (None, kind), (view, column, kind)


def test_the_examples_run(client: Client) -> None:
    examples = re.findall(r"```sql\n(.*?)```", DOCS, re.DOTALL)
    assert len(examples) > 30
    for example in examples:
        client.rows(example)
