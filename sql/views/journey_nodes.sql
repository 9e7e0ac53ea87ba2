SELECT step, dialog, inflow, rooms, customers, ${part_ways_named}, dropouts / inflow AS dropout_rate
FROM (${part_nodes}) AS nodes
LEFT JOIN (
    SELECT step, dialog, ${part_ways}
    FROM (SELECT step, dialog, move, message, moves AS count FROM (${part_edge_rows}))
    GROUP BY step, dialog
) AS ways USING (step, dialog)
ORDER BY step, inflow DESC, dialog
