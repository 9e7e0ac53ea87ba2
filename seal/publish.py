"""The day's own row, and the one statement by which a stage becomes what everybody reads."""

from dataclasses import dataclass
from datetime import date

from seal.day import Day
from seal.gate import Reached
from seal.stage import Stage
from sql.client import Client

_FIGURES = (
    "kind, site_id, bot_id, number, step, dialog, move, message, next_step, next_dialog, moves, rooms, "
    "room, room_id, customer, channel, scenario_version, cityHash64(edges), cityHash64(nodes)"
)
# over figures alone: no revision, time or offset; and a sum, so that no order of rows counts
_SUMMARY = (
    "SELECT uniqExactIf(room, kind = 'room') AS day_rooms, sumIf(moves, kind = 'edge') AS day_moves, "
    f"leftPad(lower(hex(sumWithOverflow(reinterpretAsUInt128(sipHash128({_FIGURES}))))), 32, '0') "
    "FROM {daily} WHERE kind <> 'seal'"
)


@dataclass(frozen=True, slots=True)
class Seal:
    """A day's published seal. `as_of`: the cut-off, ms; `is_new`: published by this call, not found there."""

    day: date
    revision: int
    rooms: int
    moves: int
    checksum: str
    as_of: int
    is_new: bool


def published(client: Client, day: date) -> Seal | None:
    """The seal of the day, if there is one."""
    rows = client.rows(
        "SELECT revision, rooms, moves, checksum, toUnixTimestamp64Milli(as_of) FROM daily "
        "WHERE day = {day:Date} AND kind = 'seal'",
        {"day": day},
    )
    if not rows:
        return None
    revision, rooms, moves, checksum, as_of = rows[0]
    return Seal(day, revision, rooms, moves, checksum, as_of, is_new=False)


def summarize(client: Client, stage: Stage, day: Day, revision: int) -> Seal:
    """The figures and the checksum of what lies in the stage."""
    ((rooms, moves, checksum),) = client.rows(_SUMMARY.format(daily=stage.daily))
    return Seal(day.day, revision, rooms, moves, checksum, day.cut_off, is_new=True)


def publish(
    client: Client, stage: Stage, day: Day, seal: Seal, reached: Reached, left_out: list[str], sealed_at: int
) -> None:
    """Add the day's own row, then replace the day whole: readers see all of it or nothing."""
    client.insert(
        stage.daily,
        {
            "day": [day.day],
            "revision": [seal.revision],
            "kind": ["seal"],
            "rooms": [seal.rooms],
            "moves": [seal.moves],
            "as_of": [seal.as_of],
            "sealed_at": [sealed_at],
            "timezone": [day.zone],
            "bots_left_out": [left_out],
            "offsets": [reached],
            "checksum": [seal.checksum],
        },
    )
    client.run(f"ALTER TABLE daily REPLACE PARTITION '{day.day.isoformat()}' FROM {stage.daily}")
