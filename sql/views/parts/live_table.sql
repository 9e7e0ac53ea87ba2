SELECT at_step AS step, at_dialog AS dialog, inflow, rooms, customers, dropouts,
    if(inflow + carried = 0, 0, dropouts / (inflow + carried)) AS dropout_rate,
    if(side = 0, 'open', way) AS move, text AS message, way_step AS next_step, way_dialog AS next_dialog,
    if(side = 0, open, count) AS moves, if(side = 0, open_rooms, side_rooms) AS move_rooms,
    if(side = 0, open_customers, side_customers) AS move_customers, open, carried
FROM (
    SELECT *, sumIf(count, side = 0) OVER node AS inflow, sumIf(side_rooms, side = 0) OVER node AS rooms,
        sumIf(side_customers, side = 0) OVER node AS customers,
        sumIf(count, side = 1 AND way = 'dropout') OVER node AS dropouts, sumIf(old, side = 1) OVER node AS carried,
        toUInt64(inflow + carried - sumIf(count, side = 1) OVER node) AS open
    FROM (
        SELECT side, at_step, at_dialog, if(side = 0, '', move) AS way, if(side = 0, '', message) AS text,
            if(side = 0, 0, to_step) AS way_step, if(side = 0, '', to_dialog) AS way_dialog,
            count() AS count, countIf(NOT fresh) AS old,
            uniqExact(room) AS side_rooms, uniqExact(customer) AS side_customers
        FROM (${part_live_sides})
        GROUP BY side, at_step, at_dialog, way, text, way_step, way_dialog
    )
    WINDOW node AS (PARTITION BY at_step, at_dialog)
) AS ways
LEFT JOIN (
    SELECT at_step, at_dialog, count() AS open_rooms, uniqExact(customer) AS open_customers
    FROM (
        SELECT at_step, at_dialog, room, customer
        FROM (${part_live_sides})
        GROUP BY at_step, at_dialog, room, customer
        HAVING countIf(side = 0) > countIf(side = 1 AND fresh)
    )
    GROUP BY at_step, at_dialog
) AS still USING (at_step, at_dialog)
WHERE side > 0 OR open > 0
ORDER BY step, inflow DESC, dialog, moves DESC, move, message, next_step, next_dialog
