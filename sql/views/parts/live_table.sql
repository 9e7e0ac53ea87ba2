SELECT node_step AS step, node_dialog AS dialog, inflow, rooms, customers, dropouts,
    if(inflow + carried = 0, 0, dropouts / (inflow + carried)) AS dropout_rate,
    way.1 AS move, way.2 AS message, way.3 AS next_step, way.4 AS next_dialog,
    way.5 AS moves, way.6 AS move_rooms, way.7 AS move_customers, open, carried
FROM (
    SELECT anyIf(if(side = 0, to_step, from_step), side < 3) AS node_step,
        anyIf(if(side = 0, to_dialog, from_dialog), side < 3) AS node_dialog,
        sumIf(count, side = 0) AS inflow, uniqExactArrayIf(its_rooms, side = 0) AS rooms,
        uniqExactArrayIf(its_customers, side = 0) AS customers,
        sumIf(count, side = 1 AND move = 'dropout') AS dropouts, sumIf(old, side = 1) AS carried,
        toUInt64(inflow + carried - sumIf(count, side = 1)) AS open,
        countIf(side = 3) AS open_rooms, uniqExactIf(who, side = 3) AS open_customers,
        groupArrayIf((toString(move), toString(message), to_step, toString(to_dialog), count,
            arrayUniq(its_rooms), arrayUniq(its_customers)), side IN (1, 2)) AS ways
    FROM (${part_live_sums})
    GROUP BY node
)
ARRAY JOIN arrayConcat(ways, if(open > 0, [('open', '', 0, '', open, open_rooms, open_customers)], [])) AS way
-- by the ways as they are, not by their names: to resolve these again is 3 ms of planning
ORDER BY node_step, inflow DESC, node_dialog, way.5 DESC, way
-- one stream through FINAL: cutting a bot's day, a small part of the table, into layers costs more than it gains
SETTINGS split_intersecting_parts_ranges_into_layers_final = 0
