"""docs/delivery.md names for each promise and each guard the test that would fail: those tests are there."""

import ast
import re
from pathlib import Path

import pytest

from tests.faults.guards import GUARDS, Guard, table

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "delivery.md").read_text()
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)


def test_each_promise_names_a_test() -> None:
    table = PAGE.split("## What is promised")[1].split("\n\nHow:")[0]
    promises = [line for line in table.splitlines() if line.startswith("| **")]
    assert len(promises) > 10
    assert all("::" in line.split("|")[2] for line in promises)


@pytest.mark.parametrize("file, name", NAMED)
def test_the_tests_that_it_names_are_there(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assigned = {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets
                if isinstance(target, ast.Name)}  # fmt: skip
    assert name in defined | assigned


def test_the_guards_are_those_that_are_taken_out() -> None:
    assert table() in PAGE, "python -m tests.faults.guards --table says what the page must have"


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_guard_stands_where_it_is_taken_out(guard: Guard) -> None:
    source = (ROOT / guard.file).read_text()
    assert guard.taken_out(source) != source
