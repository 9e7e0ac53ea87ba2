"""The statements that give readers of a ClickHouse server their rights, in their order; each may be run again.

Readers read views, and no table: `customer` is a hash without a key, by which a named customer could be followed. A
view runs with the rights of its definer, as whom nobody logs in, and under the definer's row policies; the reader's are
not asked. So a site has views of its own, the same texts once more in the database `<database>_site_<n>`, whose definer
sees the rows of that site alone. `turnpath migrate` lays the views of `<database>` anew, without a definer: until these
statements are run again, readers are refused.
"""

import hashlib
from collections.abc import Iterator
from math import ceil
from pathlib import Path

from settings import Settings
from sql.migrate import variables, view_text

VIEWS = {path.stem: path for path in sorted((Path(__file__).parents[1] / "views").glob("*.sql"))}
#: What tells of all sites at once; no site has it.
OF_ALL_SITES = ("dead_letters_by_reason", "late_rooms", "seals")
#: What the views of a site read: tables whose rows have a site, each with which rows are a site's; and others. A seal's
#: row has none; of all that it says, views of a site show the day, the revision and as of when.
WITH_SITE = {
    **dict.fromkeys(("moves", "rooms", "edge_totals", "bots"), "site_id = {site}"),
    "daily": "site_id = {site} OR kind = 'seal'",
}
WITHOUT_SITE = ("progress",)


def statements(database: str, reader_password: str, settings: Settings) -> Iterator[str]:
    """Roles, limits and the user `reader`, who reads all sites. Run them again after `turnpath migrate`."""
    here = _name(database)
    yield from _made("SETTINGS PROFILE", "turnpath_reader", f"SETTINGS {_limits(settings)}")
    for role in ("turnpath_reader", "turnpath_site_reader"):
        yield from _made("ROLE", role, "SETTINGS PROFILE 'turnpath_reader'")
    yield from _made(
        "QUOTA",
        "turnpath_reader",
        "KEYED BY user_name FOR INTERVAL 1 minute MAX queries = 600, "
        "FOR INTERVAL 1 hour MAX execution_time = 1800 TO turnpath_reader, turnpath_site_reader",
    )
    yield _definer("turnpath_views")
    yield f"GRANT SELECT ON {here}.* TO turnpath_views"
    yield f"REVOKE ALL ON {here}.* FROM turnpath_reader, turnpath_site_reader"  # an earlier version granted tables
    for view in VIEWS:
        yield from _shown(f"{here}.{view}", "turnpath_views", "turnpath_reader")
    yield from _user("reader", reader_password, "turnpath_reader", database)


def site_statements(database: str, site: str, user: str, password: str, settings: Settings) -> Iterator[str]:
    """A user who reads one site, in a database of its own. `statements` come before."""
    own = site_database(database, site)
    definer, role = f"turnpath_views_{_number(site)}", f"turnpath_site_{_number(site)}"
    yield _definer(definer)
    yield from _rows_of(database, site, definer)
    yield from _made("ROLE", role, "SETTINGS PROFILE 'turnpath_reader'")
    yield f"GRANT turnpath_site_reader TO {role}"
    yield f"CREATE DATABASE IF NOT EXISTS {_name(own)}"
    yield f"USE {_name(database)}"  # the tables that the views name are there
    for view, path in VIEWS.items():
        if view not in OF_ALL_SITES:
            yield f"CREATE OR REPLACE VIEW {_name(own)}.{view} AS\n{view_text(path, variables(settings))}"
            yield from _shown(f"{_name(own)}.{view}", definer, role)
    yield from _user(user, password, role, own)


def site_database(database: str, site: str) -> str:
    """The name of the database with a site's views."""
    return f"{database}_site_{_number(site)}"


def _rows_of(database: str, site: str, definer: str) -> Iterator[str]:
    """The definer reads that site's rows, by a policy that takes away; it comes before the right to read.

    All others read on as before: where a server hides the rows of a table with policies from whom none names, it would
    have hidden them from Turnpath itself.
    """
    for table, own in WITH_SITE.items():
        on = f"ON {_name(database)}.{table}"
        rows = own.format(site=_text(site))
        yield from _made("ROW POLICY", f"turnpath_all {on}", "FOR SELECT USING 1 AS PERMISSIVE TO ALL")
        yield from _made("ROW POLICY", f"{definer} {on}", f"FOR SELECT USING {rows} AS RESTRICTIVE TO {definer}")
    for table in (*WITH_SITE, *WITHOUT_SITE):
        yield f"GRANT SELECT ON {_name(database)}.{table} TO {definer}"


def _limits(settings: Settings) -> str:
    most = {
        "max_execution_time": max(1, ceil(settings.reader_time.total_seconds())),
        "max_memory_usage": settings.reader_memory,
        "max_result_rows": settings.reader_rows,
    }
    smaller = [f"{name} = {value} MIN 1 MAX {value} CHANGEABLE_IN_READONLY" for name, value in most.items()]
    fixed = "result_overflow_mode = 'throw' CONST, max_bytes_before_external_group_by = 0 CONST, readonly = 1 CONST"
    return ", ".join([*smaller, fixed])


def _made(kind: str, name: str, what: str) -> Iterator[str]:
    """As it shall be, whatever was there: not OR REPLACE, since what refers to it would refer to it no more."""
    yield f"CREATE {kind} IF NOT EXISTS {name} {what}"
    yield f"ALTER {kind} {name} {what}"


def _definer(name: str) -> str:
    return f"CREATE USER IF NOT EXISTS {name} IDENTIFIED WITH no_password HOST NONE"


def _shown(view: str, definer: str, role: str) -> Iterator[str]:
    yield f"ALTER TABLE {view} MODIFY SQL SECURITY DEFINER DEFINER = {definer}"
    yield f"GRANT SELECT ON {view} TO {role}"


def _user(user: str, password: str, role: str, database: str) -> Iterator[str]:
    hashed = hashlib.sha256(password.encode()).hexdigest()
    what = f"IDENTIFIED WITH sha256_hash BY '{hashed}' DEFAULT DATABASE {_name(database)}"
    yield from _made("USER", _name(user), what)
    yield f"GRANT {role} TO {_name(user)}"
    yield f"ALTER USER {_name(user)} DEFAULT ROLE {role}"


def _number(site: str) -> str:
    return hashlib.sha256(site.encode()).hexdigest()[:12]


def _name(text: str) -> str:
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
