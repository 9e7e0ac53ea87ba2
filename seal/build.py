"""The rows of a day, built aside by the engine in two passes over its moves: edges with counts, then rooms by edge.

An edge is (step, dialog, move, message, next_step, next_dialog); a node is a (step, dialog) that was entered. Both are
numbered within site and bot, in the order of their columns, so that the same day always gets the same numbers; and the
rooms of each are counted from the `room` rows, which have each number once.
"""

from seal.day import Day
from seal.metrics import step
from seal.stage import Stage
from sql.client import Client

_EDGE = "step, dialog, move, message, next_step, next_dialog"
_BOT = "site_id, bot_id"
#: Of an edge, for a room's digest; `late_rooms` has the same.
_KEY = f"cityHash64({_BOT}, {_EDGE})"


def _hashed(each: str, columns: str) -> str:
    """SQL for a hash of columns: of hashes of the texts, which are taken once for an entry of a column's dictionary.

    A hash of all of them at once is taken for each row, and takes twice as long.
    """
    hashes = (name if name.endswith("step") else f"{each}({name})" for name in columns.split(", "))
    return f"cityHash64({', '.join(hashes)})"


#: By which a row of `moves` finds its edge; and a second one, by which two edges of one hash are noticed.
_MATCH, _OTHER = _hashed("cityHash64", f"{_BOT}, {_EDGE}"), _hashed("sipHash64", f"{_BOT}, {_EDGE}")

_LOOK = "channel, scenario_version"
_COLUMNS = f"{_BOT}, room, seq, part, {_EDGE}, {_LOOK}"


@step("leave_out")
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
    theirs = moves_of_the_day(stage, _BOT, f"({_BOT}) IN (SELECT {_BOT} FROM {stage.bots})")
    rows = client.rows(f"SELECT DISTINCT {_BOT} FROM ({theirs}) ORDER BY {_BOT} {_SETTINGS}", day.parameters())
    return [f"{site}:{bot}" for site, bot in rows]


@step("build")
def build(client: Client, stage: Stage, day: Day, revision: int) -> None:
    """Fill the stage with the day's edge, node and room rows."""
    parameters = {**day.parameters(), "revision": revision}
    client.run(f"INSERT INTO {stage.edges} ({_STAGE_EDGE}) {_edges(stage)} {_SETTINGS}", parameters)
    client.run(f"INSERT INTO {stage.daily} ({_DAILY_ROOM}) {_rooms(stage)} {_SETTINGS}, {_BLOCKS}", parameters)
    client.run(f"INSERT INTO {stage.daily} ({_DAILY_EDGE}) {_edges_with_rooms(stage)}", parameters)
    client.run(f"INSERT INTO {stage.daily} ({_DAILY_NODE}) {_nodes_with_rooms(stage)}", parameters)


# one day of `moves` by itself: it is in the key
_SETTINGS = "SETTINGS do_not_merge_across_partitions_select_final = 1"

# in smaller parts than by default, so that one is written while the next comes
_BLOCKS = "min_insert_block_size_rows = 262144"


def moves_of_the_day(stage: Stage, columns: str, among: str = "1") -> str:
    """The rows of the day's rooms, all or those of the condition `among`: those that stand in `moves`, and those
    of rooms folded anew.

    PREWHERE is before FINAL's merge, which is most of the work: right for columns of the key, and for them alone.
    """
    return (
        f"SELECT {columns} FROM moves FINAL PREWHERE {among} AND room IN {stage.standing} WHERE day = {{day:Date}} "
        f"UNION ALL SELECT {columns} FROM moves FINAL PREWHERE {among} AND room IN {stage.early} "
        "WHERE day >= {first_moves_day:Date} AND day < {day:Date} "
        f"UNION ALL SELECT {columns} FROM {stage.moves} WHERE {among}"
    )


_STAGE_EDGE = f"{_BOT}, bot, number, node, {_EDGE}, moves, key, match"


def _edges(stage: Stage) -> str:
    number = f"row_number() OVER (PARTITION BY {_BOT} ORDER BY {_EDGE})"
    node = f"dense_rank() OVER (PARTITION BY {_BOT}, next_step > 0 ORDER BY next_step, next_dialog)"
    came = moves_of_the_day(stage, f"{_BOT}, {_EDGE}")
    named = ", ".join(f"any({name}) AS {name}" for name in f"{_BOT}, {_EDGE}".split(", "))
    return (
        f"SELECT {_BOT}, dense_rank() OVER (ORDER BY {_BOT}), {number}, if(next_step > 0, {node}, 0), {_EDGE}, count, "
        f"{_KEY}, match FROM ("
        f"SELECT {named}, match, count() AS count FROM ("
        f"SELECT {_BOT}, {_EDGE}, {_MATCH} AS match, {_OTHER} AS other FROM ({came})) GROUP BY match, other) "
        # bots are left out of the few edges: to ask each row for its bot took a tenth longer
        f"WHERE ({_BOT}) NOT IN (SELECT {_BOT} FROM {stage.bots})"
    )


_DAILY_ROOM = (
    "day, revision, kind, site_id, bot_id, moves, room, room_id, customer, channel, scenario_version, ended_at, "
    "edges, nodes, digest"
)


def _mixed(room: str, bot: str) -> str:
    """SQL for a room's hash and a bot's number in one of 128 bits, as unlikely to be twice as the hash alone, which
    nobody would notice either; mixed once more it is the hash again."""
    return f"bitXor({room}, bitShiftLeft(toUInt128({bot}), 64))"


def _rooms(stage: Stage) -> str:
    """A row for each room and bot; channel and version are those of the room's last row of that bot. Rows of bots left
    out have no edge; of others that have none, written since the edges were, `disturbed` or `check` tells.

    digest: of its moves' keys and the rest of the row, by which `late_rooms` sees whether they are still the same."""
    order = "bitOr(bitShiftLeft(toUInt64(seq), 8), toUInt64(part))"
    # by one key of fixed size: of two, or of texts, GROUP BY takes longer, and more memory for each room
    by_room = (
        f"SELECT {_mixed('came.room', 'edge.bot')} AS both, any(edge.bot) AS bot, {_mixed('both', 'bot')} AS room, "
        f"groupArray(place) AS places, sumWithOverflow(key) AS digests, argMax(look, {order}) AS look FROM ("
        f"SELECT room, {_MATCH} AS match, seq, part, {_hashed('cityHash64', _LOOK)} AS look "
        f"FROM ({moves_of_the_day(stage, _COLUMNS)})) AS came "
        f"INNER JOIN (SELECT match, bot, key, place FROM {stage.edges}) AS edge USING (match) GROUP BY both"
    )
    # a place has the number of its edge first: what is in the order of places is in that of edges
    edges = "arrayCompact(arrayMap(p -> toUInt32(bitShiftRight(p, 32)), arraySort(places)))"
    nodes = "arrayCompact(arraySort(arrayFilter(n -> n > 0, arrayMap(p -> toUInt32(bitAnd(p, 4294967295)), places))))"
    return (
        f"SELECT {{day:Date}}, {{revision:UInt32}}, 'room', {_BOT}, length(places), room, room_id, customer, "
        f"{_LOOK}, ended_at, {edges}, {nodes}, digests + cityHash64(customer, {_LOOK}, ended_at) "
        f"FROM ({by_room}) AS came INNER JOIN {stage.rooms} AS ended USING (room) "
        f"INNER JOIN (SELECT DISTINCT bot, {_BOT} FROM {stage.edges}) AS named USING (bot) "
        f"INNER JOIN ({_looks(stage)}) AS looked USING (look)"
    )


def _looks(stage: Stage) -> str:
    """Channels and versions by their hash, of all rooms of those days: to read less takes longer than to find more. Two
    of one hash would bring a room twice, which `check` finds."""
    look, other = _hashed("cityHash64", _LOOK), _hashed("sipHash64", _LOOK)
    return (
        "SELECT look, any(channel) AS channel, any(scenario_version) AS scenario_version FROM ("
        f"SELECT {_LOOK}, {look} AS look, {other} AS other FROM ("
        f"SELECT {_LOOK} FROM moves WHERE day >= {{first_moves_day:Date}} AND day <= {{day:Date}} "
        f"UNION ALL SELECT {_LOOK} FROM {stage.moves})) GROUP BY look, other"
    )


def _counted(stage: Stage, numbers: str) -> str:
    """How many rooms came by each: one map for each bot, in a third of the time of a row for each room and number."""
    ones = f"mapFromArrays({numbers}, arrayWithConstant(length({numbers}), 1))"
    return (
        f"SELECT {_BOT}, number, count FROM (SELECT {_BOT}, sumMap({ones}) AS counted FROM {stage.daily} "
        f"WHERE kind = 'room' GROUP BY {_BOT}) ARRAY JOIN mapKeys(counted) AS number, mapValues(counted) AS count"
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
