"""docs/sql.md says what is there: every view with its columns, and examples that run."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sql.client import Client
from sql.migrate import VIEWS

DOCS = (Path(__file__).parents[2] / "docs" / "sql.md").read_text()
GIVEN = {
    "site": "'s'",
    "bot": "'b'",
    "room": "'r'",
    "minutes": "5",
    "day": "'2024-01-01'",
    "from": "'2024-01-01'",
    "to": "'2024-01-02'",
}


@pytest.fixture
def client(migrated_url: str) -> Iterator[Client]:
    with Client(migrated_url) as client:
        yield client


def columns_of(client: Client, view: str) -> list[str]:
    (text,) = client.rows(
        "SELECT as_select FROM system.tables WHERE database = currentDatabase() AND name = {view:String}",
        {"view": view},
    )[0]
    wanted = dict.fromkeys(re.findall(r"\{(\w+):", text))
    call = ", ".join(f"{name} = {GIVEN[name]}" for name in wanted)
    return client.table(f"SELECT * FROM {view}({call})" if call else f"SELECT * FROM {view}").columns


def test_every_view_is_described_with_its_columns(client: Client) -> None:
    described: dict[str, list[str]] = {}
    head = ""
    for line in DOCS.splitlines():
        head = (head or line) if line.startswith("|") else ""
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        views = re.findall(r"`(\w+)`", cells[0]) if head.startswith("| view") and line.startswith("| `") else []
        words = re.sub(r"\(.*?\)", "", cells[-1]).replace("`", "")
        for view in views:
            described[view] = [name.strip() for name in words.split(",")]
    for view, columns in described.items():
        if columns[0].startswith("those of "):
            described[view] = described[columns[0].removeprefix("those of ")] + [
                name.removeprefix("then ") for name in columns[1:]
            ]
    assert described.keys() == {path.stem for path in VIEWS.glob("*.sql")}
    for view, columns in described.items():
        assert columns == columns_of(client, view), view


def test_the_examples_run(client: Client) -> None:
    examples = re.findall(r"```sql\n(.*?)```", DOCS, re.DOTALL)
    assert len(examples) > 4
    for example in examples:
        client.rows(example)
