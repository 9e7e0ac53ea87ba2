"""The rows of a day, built aside by the engine in two passes over its moves: edges with counts, then rooms by edge.

An edge is (step, dialog, move, message, next_step, next_dialog); a node is a (step, dialog) that was entered. Both are
numbered within site and bot, in the order of their columns, so that the same day always gets the same numbers; and the
rooms of each are counted from the `room` rows, which have each number once.
"""

from seal.day import Day
from seal.stage import Stage
from sql.client import Client

_EDGE = "step, dialog, move, message, next_step, next_dialog"
_KEY = f"cityHash64(site_id, bot_id, {_EDGE})"
_BOT = "site_id, bot_id"

_COLUMNS = f"{_BOT}, room, seq, part, {_EDGE}, channel, scenario_version"


def leave_bots_out(client: Client, stage: Stage, day: Day) -> list[str]:
    """Note the bots out of use at the cut-off; those of them that had moves on the day, as `site:bot`.

    A bot's state is its last change by occurred_at up to the cut-off; never heard of, it is in use.
    """
    client.run(
        f"INSERT INTO {stage.bots} SELECT site_id, bot_id FROM ("
        "SELECT site_id, bot_id, argMax(in_use, (occurred_at, partition, offset)) AS last_in_use FROM bots "
        "WHERE toUnixTimestamp64Milli(occurred_at) <= {in_use_at:Int64} GROUP BY site_id, bot_id) "
        "WHERE NOT last_in_use",
        day.parameters(),
    )
    rows = client.rows(
        f"SELECT DISTINCT {_BOT} FROM ({moves_of_the_day(stage, _BOT, 'IN')}) ORDER BY {_BOT} {_SETTINGS}",
        day.parameters(),
    )
    return [f"{site}:{bot}" for site, bot in rows]


def build(client: Client, stage: Stage, day: Day, revision: int) -> None:
    """Fill the stage with the day's edge, node and room rows."""
    parameters = {**day.parameters(), "revision": revision}
    client.run(f"INSERT INTO {stage.edges} ({_STAGE_EDGE}, key) {_edges(stage)} {_SETTINGS}", parameters)
    client.run(f"INSERT INTO {stage.daily} ({_DAILY_ROOM}) {_rooms(stage)} {_SETTINGS}", parameters)
    client.run(f"INSERT INTO {stage.daily} ({_DAILY_EDGE}) {_edges_with_rooms(stage)}", parameters)
    client.run(f"INSERT INTO {stage.daily} ({_DAILY_NODE}) {_nodes_with_rooms(stage)}", parameters)


# one day of `moves` by itself: it is in the key
_SETTINGS = "SETTINGS do_not_merge_across_partitions_select_final = 1"


def moves_of_the_day(stage: Stage, columns: str, bots: str = "NOT IN") -> str:
    """The rows of the day's rooms: those that stand in `moves`, and those of rooms folded anew.

    PREWHERE is before FINAL's merge, which is most of the work: right for columns of the key, and for them alone.
    """
    of_bots = f"({_BOT}) {bots} (SELECT {_BOT} FROM {stage.bots})"
    return (
        f"SELECT {columns} FROM moves FINAL PREWHERE {of_bots} AND room IN {stage.standing} WHERE day = {{day:Date}} "
        f"UNION ALL SELECT {columns} FROM moves FINAL PREWHERE {of_bots} AND room IN {stage.early} "
        "WHERE day >= {first_moves_day:Date} AND day < {day:Date} "
        f"UNION ALL SELECT {columns} FROM {stage.moves} WHERE {of_bots}"
    )


_STAGE_EDGE = f"{_BOT}, number, node, {_EDGE}, moves"


def _edges(stage: Stage) -> str:
    number = f"row_number() OVER (PARTITION BY {_BOT} ORDER BY {_EDGE})"
    node = f"dense_rank() OVER (PARTITION BY {_BOT}, next_step > 0 ORDER BY next_step, next_dialog)"
    came = moves_of_the_day(stage, f"{_BOT}, {_EDGE}")
    return (
        f"SELECT {_BOT}, {number}, if(next_step > 0, {node}, 0), {_EDGE}, count, {_KEY} FROM ("
        f"SELECT {_BOT}, {_EDGE}, count() AS count FROM ({came}) GROUP BY {_BOT}, {_EDGE})"
    )


_DAILY_ROOM = (
    "day, revision, kind, site_id, bot_id, moves, room, room_id, customer, channel, scenario_version, ended_at, "
    "edges, nodes, digest"
)


def _rooms(stage: Stage) -> str:
    """A row for each room and bot; channel and version are those of the room's last row of that bot.

    digest: of its moves' keys and the rest of the row, by which `late_rooms` sees whether they are still the same."""
    order = "bitOr(bitShiftLeft(toUInt64(seq), 8), toUInt64(part))"
    by_room = (
        f"SELECT {_BOT}, room, groupArray(place) AS places, sumWithOverflow(key) AS digests, "
        f"argMax((channel, scenario_version), {order}) AS last FROM ("
        f"SELECT {_BOT}, room, {_KEY} AS key, seq, part, channel, scenario_version "
        f"FROM ({moves_of_the_day(stage, _COLUMNS)})) AS came "
        f"INNER JOIN (SELECT key, place FROM {stage.edges}) AS edge USING (key) GROUP BY {_BOT}, room"
    )
    edges = _each_once("bitShiftRight(p, 32)")
    nodes = f"arrayFilter(n -> n > 0, {_each_once('bitAnd(p, 4294967295)')})"
    return (
        f"SELECT {{day:Date}}, {{revision:UInt32}}, 'room', {_BOT}, length(places), room, room_id, customer, "
        f"last.1, last.2, ended_at, {edges}, {nodes}, digests + cityHash64(customer, last.1, last.2, ended_at) "
        f"FROM ({by_room}) AS came INNER JOIN {stage.rooms} AS ended USING (room)"
    )


def _each_once(number: str) -> str:
    return f"arrayCompact(arraySort(arrayMap(p -> toUInt32({number}), places)))"


def _counted(stage: Stage, numbers: str) -> str:
    return (
        f"SELECT {_BOT}, arrayJoin({numbers}) AS number, count() AS count FROM {stage.daily} WHERE kind = 'room' "
        f"GROUP BY {_BOT}, number"
    )


_DAILY_EDGE = f"day, revision, kind, {_BOT}, number, {_EDGE}, moves, rooms"


def _edges_with_rooms(stage: Stage) -> str:
    return (
        f"SELECT {{day:Date}}, {{revision:UInt32}}, 'edge', {_BOT}, number, {_EDGE}, moves, count "
        f"FROM {stage.edges} AS edge INNER JOIN ({_counted(stage, 'edges')}) AS came USING ({_BOT}, number)"
    )


_DAILY_NODE = f"day, revision, kind, {_BOT}, number, step, dialog, moves, rooms"


def _nodes_with_rooms(stage: Stage) -> str:
    entered = (
        f"SELECT {_BOT}, node AS number, next_step, next_dialog, sum(moves) AS inflow FROM {stage.edges} "
        f"WHERE node > 0 GROUP BY {_BOT}, node, next_step, next_dialog"
    )
    return (
        f"SELECT {{day:Date}}, {{revision:UInt32}}, 'node', {_BOT}, number, next_step, next_dialog, inflow, count "
        f"FROM ({entered}) AS node INNER JOIN ({_counted(stage, 'nodes')}) AS came USING ({_BOT}, number)"
    )
