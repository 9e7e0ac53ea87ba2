"""`python -m sql.access | clickhouse-client --multiquery`: the rights of readers, for a ClickHouse server's admin.

Passwords come by the environment: TURNPATH_READER_PASSWORD, and TURNPATH_SITE_PASSWORD for the user of one site; so do
the limits, TURNPATH_READER_TIME, _MEMORY and _ROWS, and whatever `turnpath migrate` put into the views.
"""

import argparse
import os
import sys

from journey.errors import BadSetting
from sql.access.statements import site_database, site_statements, statements


def main() -> int:
    """Write the statements to standard output; the exit code."""
    from settings import load  # an entry of its own, as `turnpath` is

    parser = argparse.ArgumentParser(prog="python -m sql.access", description=__doc__)
    parser.add_argument("--database", default="turnpath", help="the database of Turnpath's tables")
    parser.add_argument("--site", help="also make a user who reads the rows of this site alone")
    parser.add_argument("--user", help="that user's name")
    given = parser.parse_args()
    password, site_password = (os.environ.get(f"TURNPATH_{name}_PASSWORD") for name in ("READER", "SITE"))
    if not password:
        print("set TURNPATH_READER_PASSWORD to the password that the user reader shall have", file=sys.stderr)
        return 3
    if given.site and not (given.user and site_password):
        print("--site needs --user, and that user's password in TURNPATH_SITE_PASSWORD", file=sys.stderr)
        return 2
    try:
        settings = load()
    except BadSetting as error:
        print(error, file=sys.stderr)
        return error.exit_code
    made = list(statements(given.database, password, settings))
    if given.site:
        made += site_statements(given.database, given.site, given.user, site_password or "", settings)
        print(f"{given.user} reads {site_database(given.database, given.site)}", file=sys.stderr)
    print("".join(f"{statement};\n" for statement in made), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
