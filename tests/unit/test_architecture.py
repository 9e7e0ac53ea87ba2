"""What CONTRIBUTING.md says of the tree, held: imports run one way, files and functions stay small."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Who may import whom: a package may import those in the rows below its own, and itself.
ROWS = [
    {"cli"},
    {"stack", "feed", "web", "scheduler"},
    {"exporter", "seal", "stream"},
    {"sql", "broker"},
    {"metrics"},
    {"journey"},
]
PACKAGES = set().union(*ROWS)
#: The heart asks nobody: no clock, no I/O, no logging.
IMPURE = {"time", "logging", "structlog", "socket", "os", "pathlib", "subprocess", "asyncio", "threading", "random"}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def may_import(package: str) -> set[str]:
    row = next(number for number, row in enumerate(ROWS) if package in row)
    return set().union(*ROWS[row + 1 :]) | {package}


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    ours = set(imported(path)) & PACKAGES
    assert ours <= may_import(package)


def test_the_heart_has_no_clock_and_no_io() -> None:
    for path in (ROOT / "journey").glob("*.py"):
        assert not set(imported(path)) & (IMPURE | {"settings"}), path.name


def test_the_settings_are_read_in_one_place() -> None:
    """Only cli reads the environment; everybody else is handed the settings. (A module's own `main` is an entry.)"""
    for path in sources():
        if path.relative_to(ROOT).parts[0] == "cli":
            continue
        names = {
            alias.name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.ImportFrom) and node.module == "settings"
            for alias in node.names
        }
        assert "load" not in names, path


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 40, f"{node.name} is too long"


def test_nothing_is_called_utils() -> None:
    names = {part for path in sources() for part in path.relative_to(ROOT).with_suffix("").parts}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc"}
