"""Write docs/settings.md from settings.py; `make docs` runs it, and a test holds the two equal."""

from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

from settings import Settings

PAGE = Path(__file__).resolve().parents[1] / "docs" / "settings.md"
_HEAD = """\
# Settings

Every setting is an environment variable. They are read once, when a command starts; a wrong one stops it with exit
code 3 and a sentence that says what to write instead. This page is made from `settings.py` by `make docs`.

| variable | default | what it is |
|---|---|---|
"""
_TAIL = """
Times are a number and a unit: `500ms`, `30s`, `10m`, `24h`, `7d`. Addresses are `host:port`, `[v6]:port` for IPv6.

## Two stacks side by side

Every port can be moved. A second stack needs ports and a folder of its own:

```sh
export TURNPATH_KAFKA=127.0.0.1:19092 TURNPATH_REDIS=redis://127.0.0.1:16379/0
export TURNPATH_CLICKHOUSE=clickhouse://127.0.0.1:19000/turnpath TURNPATH_CLICKHOUSE_HTTP=127.0.0.1:18123
export TURNPATH_HTTP=127.0.0.1:18080 TURNPATH_SCHEDULER_HTTP=127.0.0.1:18180 TURNPATH_WORKER_HTTP=127.0.0.1:18181
export TURNPATH_DATA=./data-2
turnpath up
```
"""


def page() -> str:
    """The whole of docs/settings.md."""
    rows = [
        f"| `TURNPATH_{name.upper()}` | {_default(name, field.default)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return _HEAD + "\n".join(rows) + "\n" + _TAIL


def _default(name: str, value: Any) -> str:
    if name == "cache":
        return "`turnpath` in `$XDG_CACHE_HOME` or `~/.cache`"
    return "none" if value is None else f"`{_written(value)}`"


def _written(value: Any) -> str:
    match value:
        case timedelta():
            return _duration(value)
        case time():
            return value.strftime("%H:%M")
        case date():
            return value.isoformat()
    return str(value)


def _duration(value: timedelta) -> str:
    """The largest unit that leaves no rest, hours up to two days."""
    seconds = value.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if seconds % size == 0 and (unit != "d" or seconds > 2 * size):
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds * 1000:.0f}ms"


if __name__ == "__main__":
    PAGE.write_text(page())
