"""The tables by numbered migrations, and the views laid anew: what `turnpath migrate` does in ClickHouse.

No transactions: every statement may be run twice, since one that was killed begins its migration again. But not by two
at once: who comes late would make again what a later migration has made anew. clickhouse-migrations takes the md5 of
the raw files and so does not notice what is put into them; that is watched here. The time zone must not change after
the first migration; the times to live are laid on the tables where they differ.
"""

import re
from datetime import timedelta
from math import ceil
from pathlib import Path
from urllib.parse import urlsplit

from clickhouse_migrations.clickhouse_cluster import ClickhouseCluster
from clickhouse_migrations.exceptions import MigrationException
from clickhouse_migrations.substitution import substitute

from journey.errors import Crash
from settings import Duration, Settings
from sql.alone import alone
from sql.client import Client, errors_named
from sql.installation import check, note
from sql.timezone import check_timezone

MIGRATIONS = Path(__file__).parent / "migrations"
VIEWS = Path(__file__).parent / "views"

_PART = re.compile(r"\$\{(part_\w+)\}")
_TTL = re.compile(r" TTL (.+? \+ toIntervalDay)\((\d+)\)")


def migrate(settings: Settings) -> None:
    """Make the database and what is missing in it, and lay the views anew; one after the other, where two begin.

    Raises BadSetting where the time zone is not that of the first migration, Crash where a migration that was
    applied has been edited since, Busy where another one does not end, and what sql.client.Client raises.
    """
    parts = urlsplit(settings.clickhouse)
    server = parts._replace(path="").geturl()  # a session in a missing database cannot begin
    database = parts.path.strip("/")
    values = variables(settings)
    with alone(server, f"turnpath-{database}-migrate"), Client(settings.clickhouse) as client:
        if _exists(server, database):
            _check(client, settings)
        _apply(settings, client, values)
        note(client, settings)
        _keep(client, values)
        lay_views(client, values)


def variables(settings: Settings) -> dict[str, str]:
    """What stands for `${NAME}` in migrations and views."""
    return {
        "TIMEZONE": settings.timezone,
        "FIRST_DAY": settings.first_day.isoformat(),
        "ROOM_IDLE_MS": str(settings.room_idle // timedelta(milliseconds=1)),
        "KEEP_EVENTS_DAYS": _days(settings.keep_events),
        "KEEP_DEAD_LETTERS_DAYS": _days(settings.keep_dead_letters),
    }


def lay_views(client: Client, values: dict[str, str]) -> None:
    """CREATE OR REPLACE each view of sql/views, by name: one may read another that comes before it."""
    for path in sorted(VIEWS.glob("*.sql")):
        client.run(f"CREATE OR REPLACE VIEW {path.stem} AS\n{view_text(path, values)}")


def view_text(path: Path, values: dict[str, str]) -> str:
    """A view's query. `${part_name}` in a view or a part stands for the text of views/parts/name.sql."""
    raw = path.read_text(encoding="utf-8").strip()
    parts = {name: view_text(VIEWS / "parts" / f"{name[5:]}.sql", values) for name in _PART.findall(raw)}
    return str(substitute(raw, {**values, **parts}, path.name))


def _days(time: Duration) -> str:
    return str(max(1, ceil(time.total_seconds() / 86400)))


def _exists(server: str, database: str) -> bool:
    with Client(server) as client:
        found = client.rows("SELECT name FROM system.databases WHERE name = {name:String}", {"name": database})
    return bool(found)


def _check(client: Client, settings: Settings) -> None:
    """Against what the tables were filled with; where they are empty, settings may change."""
    tables = client.rows("SELECT name FROM system.tables WHERE database = currentDatabase() AND name = 'turns'")
    if tables and client.rows("SELECT 1 FROM turns LIMIT 1"):
        check(client, settings)
    else:
        check_timezone(client, settings.timezone)


def _apply(settings: Settings, client: Client, values: dict[str, str]) -> None:
    with errors_named(client.address):
        try:
            ClickhouseCluster(db_url=settings.clickhouse).migrate(client.database, MIGRATIONS, variables=values)
        except MigrationException as error:
            raise Crash(f"{error} Undo the change in sql/migrations; what is new goes into a new file") from error


def _keep(client: Client, values: dict[str, str]) -> None:
    """A changed setting changes how long the rows of a table stay; by which time they age stays the table's."""
    tables = client.rows("SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()")
    for name, query in tables:
        wanted = values["KEEP_DEAD_LETTERS_DAYS" if name == "dead_letters" else "KEEP_EVENTS_DAYS"]
        laid = _TTL.search(query)
        if laid and laid[2] != wanted:
            client.run(f"ALTER TABLE {name} MODIFY TTL {laid[1]}({wanted}) DELETE")
