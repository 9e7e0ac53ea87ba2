"""Earlier revisions of sealed days: kept in `daily_history` before the next one is published, and shown again."""

import secrets
from datetime import date
from typing import Any

from journey.errors import NoData, NotSealed, SealFailed
from seal.replace import replace_day
from seal.stage import PREFIX
from sql.client import Client, Params, Table

_ROWS = (
    "SELECT site_id, bot_id, toString(kind) AS row_kind, step, dialog, move, message, next_step, next_dialog, moves, "
    "rooms FROM {table} WHERE day = {{day:Date}} AND revision = {{revision:UInt32}} AND kind IN ('node', 'edge') "
    "ORDER BY site_id, bot_id, row_kind DESC, step, dialog, moves DESC, move, message, next_step, next_dialog"
)


def keep(client: Client, day: date, revision: int) -> None:
    """Copy the day's published revision into `daily_history`; done twice, or by two at once, it is there once.

    The day's history is laid anew beside it and put in its place by one statement, as the seal does with `daily`.
    """
    name = f"{PREFIX}{day:%Y%m%d}_{secrets.token_hex(6)}_history"
    of_day: Params = {"day": day, "revision": revision}
    client.run(f"CREATE TABLE {name} AS daily_history")
    try:
        client.run(
            f"INSERT INTO {name} SELECT * FROM daily_history WHERE day = {{day:Date}} AND revision <> "
            "{revision:UInt32} UNION ALL SELECT * FROM daily WHERE day = {day:Date} AND revision = {revision:UInt32}",
            of_day,
        )
        seals = f"SELECT count() FROM {name} WHERE kind = 'seal' AND revision = {{revision:UInt32}}"
        if client.rows(seals, of_day)[0][0] != 1:
            raise SealFailed(
                f"revision {revision} of {day} is not what is published any more: somebody resealed the day just now. "
                "Nothing was published; look at `turnpath seal --status` before you try again"
            )
        replace_day(client, "daily_history", day, name)
    finally:
        client.run(f"DROP TABLE IF EXISTS {name}")


def show(client: Client, day: date, revision: int | None = None) -> tuple[dict[str, Any], Table]:
    """A revision of a sealed day (None: the published one): its own row, and its nodes and edges by site and bot.

    Raises NotSealed where the day has no seal, NoData where it has no such revision.
    """
    seals = {row["revision"]: row for row in _seals(client, day)}
    if not seals:
        raise NotSealed(f"{day} is not sealed: `turnpath seal --day {day}` seals it, --status shows what is there")
    wanted = max(seals) if revision is None else revision
    if wanted not in seals:
        there = ", ".join(map(str, sorted(seals)))
        raise NoData(f"{day} has no revision {wanted}; it has {there}")
    table = seals[wanted]["kept_in"]
    rows = client.table(_ROWS.format(table=table), {"day": day, "revision": wanted})
    return seals[wanted], Table(
        ["kind" if name == "row_kind" else name for name in rows.columns], rows.types, rows.rows
    )


def _seals(client: Client, day: date) -> list[dict[str, Any]]:
    columns = "revision, rooms, moves, as_of, sealed_at, reason, checksum, bots_left_out"
    return client.table(
        f"SELECT 'daily_history' AS kept_in, {columns} FROM daily_history WHERE day = {{day:Date}} AND kind = 'seal' "
        f"UNION ALL SELECT 'daily', {columns} FROM daily WHERE day = {{day:Date}} AND kind = 'seal'",
        {"day": day},
    ).dicts()
