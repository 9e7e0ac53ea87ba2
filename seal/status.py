"""What is sealed, what is due and not sealed yet, and why not."""

import asyncio
from collections.abc import Callable
from datetime import date
from typing import Any

from broker.consumed import behind, needed
from journey.calendar import Calendar
from journey.errors import Retry
from seal.due import last_cut_off
from seal.gate import waited_for
from seal.lock import holder
from seal.run import Sealer
from settings import Settings
from sql import read
from sql.client import Client, Table

_COLUMNS = {
    "day": "Date",
    "state": "String",
    "revision": "UInt32",
    "rooms": "UInt64",
    "moves": "UInt64",
    "late_rooms": "UInt64",
    "as_of": "DateTime64(3)",
    "sealed_at": "DateTime64(3)",
    "reason": "String",
    "checksum": "String",
}

#: States: published; replaced by a later revision; its cut-off has passed, and it is not sealed.
SEALED, EARLIER, DUE = "sealed", "earlier", "due"


def status(client: Client, due: list[date]) -> Table:
    """A row for each revision of each day, and one for each day that is due; by day and revision."""
    found: list[dict[str, Any]] = read.seals(client).dicts()
    newest = {row["day"]: row["revision"] for row in found}
    for row in found:
        row["state"] = SEALED if row["revision"] == newest[row["day"]] else EARLIER
    found += [{"day": day, "state": DUE} for day in due]
    found.sort(key=lambda row: (row["day"], row.get("revision", 0)))
    return Table(list(_COLUMNS), list(_COLUMNS.values()), [tuple(map(row.get, _COLUMNS)) for row in found])


def due_days(settings: Settings, now: Callable[[], int]) -> list[date]:
    """The days that `turnpath seal` would seal now, imported ones among them."""
    return Sealer(settings, now, lambda words: None).due(live_only=False)


def why_waiting(settings: Settings, now: int) -> list[str]:
    """What keeps due days from being sealed just now, as far as it is known: sentences, none where nothing does."""
    said = holder(settings)
    return [*([said] if said else []), *_behind(settings, now)]


def _behind(settings: Settings, now: int) -> list[str]:
    cut_off = last_cut_off(Calendar(settings.timezone), settings.seal_at, now)
    try:
        missing = asyncio.run(_missing(settings.kafka, cut_off))
    except Retry as error:
        return [str(error)]
    if not missing:
        return []
    records = sum(offset - committed for committed, offset in missing.values())
    return [
        f"the workers have {records:,} records to go to the last cut-off, in {len(missing)} partitions: see that they "
        "run (`turnpath doctor`), or wait"
    ]


async def _missing(kafka: str, cut_off: int) -> dict[tuple[str, int], tuple[int, int]]:
    return await behind(kafka, await needed(kafka, waited_for(cut_off)))
