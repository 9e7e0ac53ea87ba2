"""What must stay as it was when the tables were filled: by other values a room comes out otherwise than it was written.

What a worker writes is a function of the log, and of these. With another ROOM_IDLE a row of before would stand beside
the new one, with another REORDER_WAIT a gap that was given up would be waited for again, and counted twice.
"""

from datetime import timedelta

from journey.errors import BadSetting
from settings import Settings
from sql.client import Client
from sql.timezone import check_timezone


def check(client: Client, settings: Settings) -> None:
    """BadSetting where the tables were filled with other settings. Nothing is known of a database that has no notes."""
    check_timezone(client, settings.timezone)
    for name, value in sorted(_noted(client).items()):
        now = _lasting(settings).get(name, value)
        if now != value:
            raise BadSetting(
                f"TURNPATH_{name.upper()} is {now}, but the tables of this database were filled with {value}: set it "
                f"back to {value}, name another database in TURNPATH_CLICKHOUSE, or build all tables anew "
                "(docs/delivery.md)"
            )


def note(client: Client, settings: Settings) -> None:
    """Note the settings that are not noted yet; all of them where the tables are empty, so that they may be changed."""
    noted = _noted(client)
    empty = not client.rows("SELECT 1 FROM turns LIMIT 1")
    wanted = {name: value for name, value in _lasting(settings).items() if empty or name not in noted}
    new = {name: value for name, value in wanted.items() if noted.get(name) != value}
    if not client.rows("SELECT 1 FROM installation WHERE name = 'timezone' LIMIT 1"):
        new["timezone"] = settings.timezone
    if new:
        client.insert("installation", {"name": list(new), "value": list(new.values())})


def _noted(client: Client) -> dict[str, str]:
    return dict(client.rows("SELECT name, value FROM installation FINAL WHERE name IN ('room_idle', 'reorder_wait')"))


def _lasting(settings: Settings) -> dict[str, str]:
    return {"room_idle": _shown(settings.room_idle), "reorder_wait": _shown(settings.reorder_wait)}


def _shown(time: timedelta) -> str:
    """As it may be written into the setting."""
    return f"{time / timedelta(seconds=1):g}s" if time % timedelta(seconds=1) else f"{time // timedelta(seconds=1)}s"
