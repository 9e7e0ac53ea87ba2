"""At which line of a TOML file each key stands; tomllib does not say, and an error in a file needs its line.

A statement of TOML (`key = value`, or a header) is whole lines, and none of its beginnings is a statement: an open
quote or bracket is an error. So the shortest run of lines that parses by itself is one statement.
"""

import tomllib
from collections import Counter
from typing import Any

Path = tuple[str | int, ...]


def lines(text: str) -> dict[Path, int]:
    """The line, from 1, of each key of a valid document, by its path: `("job", 0, "name")`."""
    found: dict[Path, int] = {(): 1}
    tables: Counter[Path] = Counter()
    table: Path = ()
    begun: list[str] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        begun.append(line)
        statement = _parsed("\n".join(begun))
        if statement is None:
            continue
        first = number - len(begun) + 1
        if statement and begun[0].lstrip().startswith("["):
            table = _entered(statement, tables)
            found.setdefault(table, first)
        else:
            _note(found, table, statement, first)
        begun = []
    return found


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _entered(header: Any, tables: Counter[Path]) -> Path:
    """The path of the table that a header opens; `[[job]]` counts one more of its name."""
    path: Path = ()
    while header:
        ((key, header),) = header.items()
        path += (key,)
        if isinstance(header, list):
            header = header[0]
            tables[path] += 1
        if tables[path]:
            path += (tables[path] - 1,)
    return path


def _note(found: dict[Path, int], path: Path, value: Any, line: int) -> None:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        found.setdefault((*path, key), line)
        _note(found, (*path, key), below, line)
