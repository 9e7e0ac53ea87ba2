"""What `turnpath seal` says and does of days that are sealed: --status, --show, --verify, --reseal."""

from datetime import date

from cli import output, wiring
from exporter.days import said
from journey.errors import SealFailed
from journey.labels import Lang
from scheduler.clock import SystemClock
from seal import history
from seal import status as sealed
from seal.publish import Seal
from seal.reseal import Resealer
from seal.verify import verify as verified
from settings import load
from sql.client import Table

#: How many differences are printed.
_MOST = 1000


def status() -> Table:
    """Every revision of every day and the days due; said with it: what is late, and what keeps due days waiting."""
    settings, now = load(), SystemClock().now
    due = sealed.due_days(settings, now)
    with wiring.client(settings) as client:
        table = sealed.status(client, due)
    late = {row["day"]: row["late_rooms"] for row in table.dicts() if row["late_rooms"]}
    if late:
        output.say(
            f"{sum(late.values()):,} rooms are late for {said(late)}: the view late_rooms names them, "
            '`turnpath seal --reseal DAY --reason "…"` takes them in'
        )
    if due:
        output.say(f"due, and not sealed: {said(due)}; `turnpath seal` seals them")
        for reason in sealed.why_waiting(settings, now()):
            output.say(reason)
    return table


def show(day: date, revision: int | None) -> Table:
    """The nodes and edges of a revision; said with it: which one it is."""
    with wiring.client(load()) as client:
        seal, table = history.show(client, day, revision)
    because = f", because: {seal['reason']}" if seal["reason"] else ""
    output.say(
        f"{day}, revision {seal['revision']}, as of {seal['as_of']:%Y-%m-%d %H:%M:%S} UTC{because}. "
        f"{seal['rooms']:,} rooms, {seal['moves']:,} moves, checksum {seal['checksum']}"
    )
    return table


def verify(day: date, form: output.Form, lang: Lang) -> None:
    """Print what differs; SealFailed where anything does."""
    found = verified(load(), day, SystemClock().now(), output.say)
    table = found.table()
    output.show(Table(table.columns, table.types, table.rows[:_MOST]), form, lang)
    counted = f"{found.rooms:,} rooms, {found.moves:,} moves"
    if found.differences:
        raise SealFailed(
            f"{day}, revision {found.revision}, is not what its events say ({counted}): {len(found.differences):,} "
            f"differences, of which {min(len(found.differences), _MOST):,} are above"
        )
    output.say(f"{day}, revision {found.revision}, is what its events say: {counted}")


def reseal(day: date, reason: str) -> list[Seal]:
    """The new revisions; none where nothing came late."""
    seals = Resealer(load(), SystemClock().now, output.say).reseal(day, reason)
    for seal in seals:
        output.say(f"{seal.day}: revision {seal.revision}")
    if not seals:
        output.say(f"nothing came late that changes {day}: no new revision was made")
    return seals
