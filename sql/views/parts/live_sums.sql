-- One reading of the day's moves, summed by edge and by room. Each edge is then seen from its sides: 0 visits begin,
-- 1 a way out, 2 agent_served; and each room, side 3, from where it has visits of the day that were not left on it.
-- Rooms and customers as they come, counted later, since a dialog's are those of all edges that lead to it: as states of
-- uniqExact each room would have its own of both, and these took a seventh of the processor's time. Rooms by the lower half
-- of their hashes, which takes a sixth less than by all of it; and each is seen to be one room, so the count is exact
SELECT from_step, from_dialog, move, message, to_step, to_dialog, count, old, its_rooms, its_customers, who,
    arrayJoin(multiIf(
        by_room, arrayMap(visit -> (3, visit), arrayDistinct(arrayFilter(
            visit -> countEqual(begun, visit) > countEqual(left, visit), begun))),
        move = 'start', [(0, to_node)], move = 'agent_served', [(2, from_node)],
        to_step > 0, [(0, to_node), (1, from_node)], [(1, from_node)])) AS seen,
    seen.1 AS side, seen.2 AS node
FROM (
    SELECT grouping(room) = 0 AS by_room, from_step, from_dialog, move, message, to_step, to_dialog,
        cityHash64(from_step, from_dialog) AS from_node, cityHash64(to_step, to_dialog) AS to_node,
        count() AS count, countIf(NOT fresh) AS old, any(customer) AS who, min(other_half) AS least, max(other_half) AS most,
        groupArray(room) AS its_rooms, groupArray(customer) AS its_customers,
        groupArrayIf(to_node, to_step > 0) AS begun,
        groupArrayIf(from_node, fresh AND move NOT IN ('start', 'agent_served')) AS left
    FROM (
        SELECT toUInt64(moves.room) AS room, toUInt64(bitShiftRight(moves.room, 64)) AS other_half, customer,
            step AS from_step, dialog AS from_dialog, move, message, next_step AS to_step,
            next_dialog AS to_dialog, toDate(entered_at, '${TIMEZONE}') = on_day AS fresh
        FROM moves FINAL
        WHERE site_id = {site:String} AND bot_id = {bot:String} AND day = on_day
    )
    GROUP BY GROUPING SETS ((from_step, from_dialog, move, message, to_step, to_dialog), (room))
    HAVING throwIf(by_room AND least <> most, 'turnpath: by a chance of one in ten thousand million two rooms of this bot have the same half of a hash on this day; the views of edges and of nodes, today_edges and so on, count them rightly')
        OR NOT by_room OR length(begun) > length(left)
)
