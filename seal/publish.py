"""The day's own row, and the one statement by which a stage becomes what everybody reads."""

from dataclasses import dataclass
from datetime import date

from seal.day import Day
from seal.gate import Reached
from seal.metrics import step
from seal.replace import replace_day
from seal.stage import Stage
from sql.client import Client

_FIGURES = (
    "kind, site_id, bot_id, number, step, dialog, move, message, next_step, next_dialog, moves, rooms, "
    "room, room_id, customer, channel, scenario_version, cityHash64(edges), cityHash64(nodes)"
)

# over figures alone: no revision, time or offset; and a sum, so that no order of rows counts. One fast hash of a row's
# figures first: sipHash128 of twenty columns takes five times as long as that of two.
_SUMMARY = (
    "SELECT uniqExactIf(room, kind = 'room') AS day_rooms, sumIf(moves, kind = 'edge') AS day_moves, "
    "leftPad(lower(hex(sumWithOverflow(reinterpretAsUInt128(sipHash128(room, figures))))), 32, '0') AS checksum, "
    "sumWithOverflow(cityHash64(figures, ended_at)) AS whole "
    f"FROM (SELECT kind, moves, room, ended_at, cityHash64({_FIGURES}) AS figures "
    "FROM {daily} WHERE day = {{day:Date}} AND kind <> 'seal')"
)


@dataclass(frozen=True, slots=True)
class Seal:
    """A day's published seal. `as_of`: the cut-off, ms; `is_new`: published by this call, not found there.

    `reason`: why there is another revision than the first; `in_use_at`: as of when bots count as in use, ms."""

    day: date
    revision: int
    rooms: int
    moves: int
    checksum: str
    as_of: int
    is_new: bool
    reason: str = ""
    in_use_at: int = 0


def published(client: Client, day: date) -> Seal | None:
    """The seal of the day, if there is one."""
    found = client.rows(
        "SELECT revision, rooms, moves, checksum, toUnixTimestamp64Milli(as_of), reason, "
        "toUnixTimestamp64Milli(if(toUnixTimestamp64Milli(cut_off) = 0, as_of, cut_off)) FROM daily "
        "WHERE day = {day:Date} AND kind = 'seal'",
        {"day": day},
    )
    if not found:
        return None
    revision, rooms, moves, checksum, as_of, reason, in_use_at = found[0]
    return Seal(day, revision, rooms, moves, checksum, as_of, False, reason, in_use_at)


def bots_left_out(client: Client, day: date) -> list[str]:
    """The bots that the published seal of the day left out, as `site:bot`."""
    rows = client.rows("SELECT bots_left_out FROM daily WHERE day = {day:Date} AND kind = 'seal'", {"day": day})
    return list(rows[0][0]) if rows else []


@step("summarize")
def summarize(client: Client, stage: Stage, day: Day, revision: int, reason: str = "") -> Seal:
    """The figures and the checksum of what lies in the stage."""
    rooms, moves, checksum, _ = summary(client, stage.daily, day.day)
    return Seal(day.day, revision, rooms, moves, checksum, day.cut_off, True, reason, day.in_use_at)


def summary(client: Client, daily: str, day: date) -> tuple[int, int, str, int]:
    """Rooms, moves and checksum of the day's rows in `daily` or a stage; and a sum over its rooms' ends, too."""
    rooms, moves, checksum, whole = client.rows(_SUMMARY.format(daily=daily), {"day": day})[0]
    return rooms, moves, checksum, whole


@step("publish")
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
            "cut_off": [seal.in_use_at],
            "reason": [seal.reason],
        },
    )
    replace_day(client, "daily", day.day, stage.daily)
