"""The one statement that puts a day's rows in the place of those that stood there, and never beside them."""

from datetime import date

from journey.errors import Retry
from sql.alone import in_turn
from sql.client import Client

#: How long another one's statement is waited for; seconds.
_WAIT_S = 60


def replace_day(client: Client, table: str, day: date, source: str) -> None:
    """Replace the day in `table` (whose partitions are days) by that in `source`: readers see one or the other.

    ClickHouse removes what lay there when the statement began: of two at once the rows of both would stay. But it runs
    one statement of an id at a time, and this ends with the statement, whatever becomes of the client: so that is the
    lock. Retry if somebody else's does not end.
    """
    sql = f"ALTER TABLE {table} REPLACE PARTITION '{day.isoformat()}' FROM {source}"
    otherwise = Retry(
        f"somebody else has been publishing {day} for {_WAIT_S} seconds: see what runs in ClickHouse "
        "(system.processes), and try again"
    )
    in_turn(lambda: client.run(sql, query_id=statement_id(client, table, day)), _WAIT_S, otherwise)


def statement_id(client: Client, table: str, day: date) -> str:
    """The query id of all statements that replace this day of this table."""
    return f"turnpath-{client.database}-{table}-{day.isoformat()}"
