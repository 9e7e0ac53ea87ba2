"""Which rooms are in a day's seal, and whose rows can be taken from `moves` as they stand there.

A room is in if, folded from what was received by the cut-off, with all gaps given up and the cut-off as now, it ended
on the day. The gate has seen to it that all of that is in `turns`, `moves` and `rooms`. So a room that has received
nothing since the cut-off stands in `moves` and `rooms` as this seal sees it, with one exception: a silence that made
its end may not have been written yet. The others are folded anew (seal.refold); of those it does no harm to find too
many.

Workers go on writing while a seal looks. They write `turns` before `moves` before `rooms`; so whatever a seal has seen
of the time after the cut-off in one of them, it finds the reason for in `turns` if it looks there afterwards. That is
why `rooms` is read first, in one query, then `turns`; and `turns` again once all is built (`disturbed`).
"""

from journey.errors import SealFailed
from journey.events import TOPIC_IMPORT
from seal.day import Day
from seal.metrics import step
from seal.stage import Stage
from sql.client import Client

# The marks: STANDS, rows as in `moves`; REFOLD, to be folded anew; FOLDED, was folded anew and is in; ELSEWHERE, is in
# another day's seal. A room may have several.
STANDS, REFOLD, FOLDED, ELSEWHERE = "stands", "refold", "folded", "elsewhere"

#: How many records a set of rooms may come from, before it is made in several goes.
_AT_ONCE = 50_000_000

_END = "toUnixTimestamp64Milli(coalesce(rooms.ended_at, last_at)) + if(isNull(rooms.ended_at), {idle:Int64}, 0)"
_ENDED = f"({_END}) >= {{begin:Int64}} AND ({_END}) < {{end:Int64}}"
_SCATTERED = (
    "toDate(first_at, {zone:String}) < {first_moves_day:Date} OR toUnixTimestamp64Milli(last_at) >= {end:Int64}"
)
# What the seal does not know, see seal.turns.Known. An import has the time that its sender gives; so late ones are
# looked for among the days of the room's own events: what was received before those occurred before the rows that the
# build reads, and its room is _SCATTERED.
_AFTER = (
    "FROM turns WHERE (day >= toDate(fromUnixTimestamp64Milli({cut_off:Int64}), {zone:String}) "
    "AND toUnixTimestamp64Milli(received_at) > {cut_off:Int64} "
    f"OR day >= {{first_received_day:Date}} - 1 AND topic = '{TOPIC_IMPORT}' AND notEmpty({{imported:Array(UInt64)}}) "
    "AND offset >= {imported:Array(UInt64)}[partition + 1])"
)


@step("mark")
def mark_rooms(client: Client, stage: Stage, day: Day, *, stay_elsewhere: bool = True) -> None:
    """Fill `marks` with all rooms that are in or may be in, those to be folded anew not folded yet.

    `stay_elsewhere`: not those that another day's published seal has.
    """
    _mark_ended(client, stage, day)
    if stage.holds:  # before it is looked who has gone on: what a copy has of that, `turns` had before
        _copy_standing(client, stage, day)
    _mark_gone_on(client, stage, day)
    if stay_elsewhere:
        _mark_elsewhere(client, stage, day)
    if stage.holds:
        client.run(f"DELETE FROM {stage.moves} WHERE room IN ({_otherwise(stage)})")


def _mark_ended(client: Client, stage: Stage, day: Day) -> None:
    """Rooms that ended on the day by what `rooms` says; those that only their silence ended are open there.

    Folded anew are also those with rows of days that the build does not read: they went on for long, or had wrong
    clocks.
    """
    client.run(
        f"INSERT INTO {stage.marks} (site_id, room_id, room, customer, ended_at, is_early, mark) "
        f"SELECT site_id, room_id, room, customer, fromUnixTimestamp64Milli({_END}, 'UTC'), "
        f"toUnixTimestamp64Milli(first_at) < {{begin:Int64}}, "
        f"if(isNull(rooms.ended_at) OR {_SCATTERED}, '{REFOLD}', '{STANDS}') FROM rooms FINAL "
        # each day of opening by itself: it is in the key
        f"WHERE day IN (SELECT DISTINCT day FROM rooms WHERE {_ENDED}) AND {_ENDED} "
        "SETTINGS do_not_merge_across_partitions_select_final = 1",
        day.parameters(),
    )


def _copy_standing(client: Client, stage: Stage, day: Day) -> None:
    client.run(
        f"INSERT INTO {stage.moves} SELECT * FROM moves FINAL "
        f"PREWHERE room IN (SELECT room FROM {stage.marks} WHERE mark = '{STANDS}') "
        "WHERE day >= {first_moves_day:Date} AND day <= {day:Date} "
        "SETTINGS do_not_merge_across_partitions_select_final = 1",
        day.parameters(),
    )


def _otherwise(stage: Stage) -> str:
    """SQL for the marked rooms whose rows in `moves` are not those of this seal."""
    return f"SELECT room FROM {stage.marks} WHERE mark IN ('{REFOLD}', '{ELSEWHERE}')"


def _mark_gone_on(client: Client, stage: Stage, day: Day) -> None:
    """Rooms that received something after the cut-off: those that ended on the day by what `rooms` says, and those that
    received something before it, too, by which they may have ended."""
    parameters = day.parameters()
    goes = 1 + int(client.rows(f"SELECT count() {_AFTER}", parameters)[0][0]) // _AT_ONCE
    for go in range(goes):
        after = f"SELECT room {_AFTER} AND room % {goes} = {go}"
        client.run(
            f"INSERT INTO {stage.marks} (site_id, room_id, room, mark) "
            f"SELECT DISTINCT site_id, room_id, room, '{REFOLD}' FROM ("
            f"SELECT site_id, room_id, room FROM {stage.marks} WHERE mark = '{STANDS}' AND room IN ({after}) "
            "UNION ALL SELECT site_id, room_id, room FROM turns WHERE day >= {first_received_day:Date} "
            "AND toUnixTimestamp64Milli(received_at) BETWEEN {first_received:Int64} AND {cut_off:Int64} "
            f"AND room IN ({after}))",
            parameters,
        )


def _mark_elsewhere(client: Client, stage: Stage, day: Day) -> None:
    """A room that another day's published seal has stays there until that day is resealed."""
    client.run(
        f"INSERT INTO {stage.marks} (room, mark) "
        f"SELECT DISTINCT room, '{ELSEWHERE}' {_elsewhere(stage, f'room IN (SELECT room FROM {stage.marks})')}",
        day.parameters(),
    )


def elsewhere(stage: Stage) -> str:
    """SQL for what other days' published seals have of the day's rooms, once these are settled."""
    return _elsewhere(stage, f"(room IN {stage.standing} OR room IN (SELECT room FROM {stage.rooms} WHERE is_aside))")


def _elsewhere(stage: Stage, among: str) -> str:
    """As `elsewhere`, of rooms by the condition `among`. No seal has a room before its first event; so of the years
    that are sealed few days are looked at."""
    return f"FROM daily WHERE kind = 'room' AND day <> {{day:Date}} AND day >= {first_day(stage)} AND {among}"


def first_day(stage: Stage) -> str:
    """SQL for the first local day on which something of the marked rooms occurred: a room that stands has no earlier
    rows than the build reads, those to be folded anew may."""
    refold = f"SELECT room FROM {stage.marks} WHERE mark = '{REFOLD}'"
    found = f"SELECT toDate(minOrNull(first_at), {{zone:String}}) FROM rooms WHERE room IN ({refold})"
    return f"least({{first_moves_day:Date}}, coalesce(({found}), {{first_moves_day:Date}}))"


@step("settle")
def settle(client: Client, stage: Stage) -> None:
    """Say which of `marks` are in, once those to be folded anew have been."""
    client.run(
        f"CREATE VIEW {stage.rooms} AS SELECT room_id, room, customer, ended_at, is_early, "
        f"mark = '{FOLDED}' OR {stage.holds} AS is_aside FROM {stage.marks} "
        f"WHERE mark = '{FOLDED}' OR mark = '{STANDS}' AND room NOT IN ({_otherwise(stage)})"
    )
    standing = f"SELECT room FROM {stage.rooms} WHERE NOT is_aside"
    client.run(f"INSERT INTO {stage.standing} {standing}")
    client.run(f"INSERT INTO {stage.early} {standing} AND is_early")
    if twice := _twice(client, stage):
        raise SealFailed(
            f"`rooms` has more than one row of a room ({', '.join(twice)}): its versions do not replace each other"
        )


def _twice(client: Client, stage: Stage) -> list[str]:
    """Ids of rooms that are in twice, a few. A set has each room once, so its size says at once whether there are any
    of those that stand; those aside are counted. None is both: what is folded anew does not stand."""
    rooms, aside = client.rows(f"SELECT count(), uniqExactIf(room, is_aside) FROM {stage.rooms}")[0]
    if rooms == aside + stage.sizes(client)[0]:
        return []
    found = client.rows(
        f"SELECT DISTINCT room_id FROM {stage.rooms} "
        f"WHERE room IN (SELECT room FROM {stage.rooms} GROUP BY room HAVING count() > 1) ORDER BY room_id LIMIT 3"
    )
    return [name for (name,) in found]


def taken(client: Client, stage: Stage, day: Day) -> int:
    """How many of the day's rooms have got into another day's published seal since they were marked."""
    rows = client.rows(f"SELECT uniqExact(room) {elsewhere(stage)}", day.parameters())
    return int(rows[0][0])


def disturbed(client: Client, stage: Stage, day: Day) -> int:
    """How many rooms, taken as they stood in `moves`, have heard of something meanwhile that the seal does not know."""
    rows = client.rows(
        f"SELECT uniqExact(room) {_AFTER} AND room IN {stage.standing}",
        day.parameters(),
    )
    return int(rows[0][0])
