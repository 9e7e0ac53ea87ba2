"""docs/delivery.md names for each promise the test that would fail: the tests that it names are there."""

import ast
import re
from pathlib import Path

import pytest

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
