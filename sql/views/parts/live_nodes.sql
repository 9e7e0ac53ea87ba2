SELECT at_step AS step, at_dialog AS dialog, inflow, rooms, customers, ${part_ways_named},
    if(inflow + carried = 0, 0, dropouts / (inflow + carried)) AS dropout_rate,
    toUInt64(inflow - fresh_out) AS open, carried
FROM (
    SELECT at_step, at_dialog, countIf(side = 0) AS inflow, uniqExactIf(room, side = 0) AS rooms,
        uniqExactIf(customer, side = 0) AS customers, countIf(side = 1 AND fresh) AS fresh_out,
        countIf(side = 1 AND NOT fresh) AS carried, ${part_ways}
    FROM (SELECT *, toUInt64(side > 0) AS count FROM (${part_live_sides}))
    GROUP BY at_step, at_dialog
)
ORDER BY step, inflow DESC, dialog
