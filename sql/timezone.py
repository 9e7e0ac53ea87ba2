"""Whose days these are: the time zone that a database was made with stays; another one in the settings is refused."""

from journey.errors import BadSetting
from sql.client import Client


def check_timezone(client: Client, timezone: str) -> None:
    """BadSetting where the days in the tables are those of another zone.

    A day is what the time zone said when it was written; the tables' own defaults know it.
    """
    known = client.rows(
        "SELECT extract(default_expression, '\\'([^\\']+)\\'\\\\)$') FROM system.columns "
        "WHERE database = currentDatabase() AND table IN ('turns', 'moves', 'rooms') "  # of all, ten times the cost
        "AND name = 'day' AND default_kind = 'DEFAULT'"
    )
    for (zone,) in known:
        if zone and zone != timezone:
            raise BadSetting(
                f"TURNPATH_TIMEZONE is {timezone}, but the days in this database are those of {zone}: set it back to "
                f"{zone}, or name another database in TURNPATH_CLICKHOUSE"
            )
