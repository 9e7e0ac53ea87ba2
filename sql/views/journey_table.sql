SELECT step, dialog, inflow, nodes.rooms AS rooms, nodes.customers AS customers,
    sumIf(ways.moves, move = 'dropout') OVER (PARTITION BY step, dialog) AS dropouts,
    dropouts / inflow AS dropout_rate,
    move, message, next_step, next_dialog,
    ways.moves AS moves, ways.rooms AS move_rooms, ways.customers AS move_customers
FROM (SELECT * FROM (${part_edges}) WHERE move <> 'start') AS ways
INNER JOIN (${part_nodes}) AS nodes USING (step, dialog)
ORDER BY step, inflow DESC, dialog, ways.moves DESC, move, message, next_step, next_dialog
