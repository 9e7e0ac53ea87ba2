"""The statements that give readers of a ClickHouse server their rights, in their order; each may be run again.

Two roles. `turnpath_reader` reads all views, of all sites. `turnpath_site_reader` reads the views that a site has, and,
by the row policies of `turnpath_site_<n>` roles, only its own site's rows. Views run with the rights of whoever asks,
so the roles read the columns that the views need: never those that name a customer. `late_rooms`, `seals` and
`dead_letters_by_reason` read the raw log: they run with the rights of `turnpath_views`, as whom nobody logs in.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

VIEWS = sorted(path.stem for path in (Path(__file__).parents[1] / "views").glob("*.sql"))
#: What their views read of the raw log, and who then reads it: nobody who can log in.
OF_THE_LOG = ("dead_letters_by_reason", "late_rooms", "seals")
#: The columns that views of readers read. Not among them: customer_id, and all of turns and dead_letters.
COLUMNS = {
    "moves": "site_id, bot_id, room_id, room, customer, seq, part, version, is_deleted, occurred_at, entered_at, "
    "received_at, day, step, dialog, move, message, next_step, next_dialog, channel, category, scenario_version",
    "rooms": "site_id, bot_id, room_id, room, customer, opened_at, last_at, entered_at, ended_at, closed_by, phase, "
    "phase_since, ended_from, step, dialog, turns, errors, gaps, last_received_at, topic, partition, day, version, "
    "is_deleted",
}
#: Tables without a customer, and those of them whose rows have a site.
WHOLE = ("bots", "edge_counts", "timeouts", "daily", "daily_history", "progress", "installation")
WITH_SITE = ("moves", "rooms", "edge_counts", "timeouts", "bots", "daily", "daily_history")

_LIMITS = (
    "max_execution_time = 60 MIN 1 MAX 60 CHANGEABLE_IN_READONLY, "
    "max_memory_usage = 1073741824 MIN 1 MAX 1073741824 CHANGEABLE_IN_READONLY, "
    "max_result_rows = 1000000 MIN 1 MAX 1000000 CHANGEABLE_IN_READONLY, "
    "result_overflow_mode = 'throw' CONST, max_bytes_before_external_group_by = 0 CONST, readonly = 1 CONST"
)


def statements(database: str, reader_password: str) -> Iterator[str]:
    """Roles, limits and the user `reader`, who reads all sites. Run them again after `turnpath migrate`."""
    yield f"CREATE SETTINGS PROFILE IF NOT EXISTS turnpath_reader SETTINGS {_LIMITS}"
    for role in ("turnpath_reader", "turnpath_site_reader"):
        yield f"CREATE ROLE IF NOT EXISTS {role} SETTINGS PROFILE 'turnpath_reader'"
        yield from _grants(database, role)
    yield from _views_of_the_log(database)
    yield from (f"GRANT SELECT ON {_name(database)}.{view} TO turnpath_reader" for view in OF_THE_LOG)
    for table in WITH_SITE:
        yield _policy("turnpath_all", database, table, "1", "turnpath_reader, turnpath_views")
    yield (
        "CREATE QUOTA IF NOT EXISTS turnpath_reader KEYED BY user_name FOR INTERVAL 1 minute MAX queries = 600, "
        "FOR INTERVAL 1 hour MAX execution_time = 1800 TO turnpath_reader, turnpath_site_reader"
    )
    yield from _user("reader", reader_password, "turnpath_reader")


def site_statements(database: str, site: str, user: str, password: str) -> Iterator[str]:
    """A user who reads the rows of one site. `statements` come before."""
    role = f"turnpath_site_{hashlib.sha256(site.encode()).hexdigest()[:12]}"
    yield f"CREATE ROLE IF NOT EXISTS {role}"
    yield f"GRANT turnpath_site_reader TO {role}"
    for table in WITH_SITE:
        # a day's own row has no site, and tells of none
        own = f"site_id = {_text(site)}" + (" OR kind = 'seal'" if table.startswith("daily") else "")
        yield _policy(role, database, table, own, role)
    yield from _user(user, password, role)


def _grants(database: str, role: str) -> Iterator[str]:
    here = _name(database)
    for table, columns in COLUMNS.items():
        yield f"GRANT SELECT({columns}) ON {here}.{table} TO {role}"
    for table in WHOLE:
        yield f"GRANT SELECT ON {here}.{table} TO {role}"
    for view in VIEWS:
        if view not in OF_THE_LOG:
            yield f"GRANT SELECT ON {here}.{view} TO {role}"


def _views_of_the_log(database: str) -> Iterator[str]:
    yield "CREATE USER IF NOT EXISTS turnpath_views IDENTIFIED WITH no_password HOST NONE"
    yield f"GRANT SELECT ON {_name(database)}.* TO turnpath_views"
    for view in OF_THE_LOG:
        yield f"ALTER TABLE {_name(database)}.{view} MODIFY SQL SECURITY DEFINER DEFINER = turnpath_views"


def _policy(name: str, database: str, table: str, condition: str, to: str) -> str:
    return f"CREATE ROW POLICY IF NOT EXISTS {name} ON {_name(database)}.{table} FOR SELECT USING {condition} TO {to}"


def _user(user: str, password: str, role: str) -> Iterator[str]:
    hashed = hashlib.sha256(password.encode()).hexdigest()
    yield f"CREATE USER IF NOT EXISTS {_name(user)} IDENTIFIED WITH sha256_hash BY '{hashed}'"
    yield f"ALTER USER {_name(user)} IDENTIFIED WITH sha256_hash BY '{hashed}'"
    yield f"GRANT {role} TO {_name(user)}"
    yield f"ALTER USER {_name(user)} DEFAULT ROLE {role}"


def _name(text: str) -> str:
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
