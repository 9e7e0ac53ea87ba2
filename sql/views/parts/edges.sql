-- each edge of the range with its moves, and its rooms and customers each once
WITH found AS (
    SELECT step, dialog, move, message, next_step, next_dialog,
        sum(moves) AS sum_moves, min(place) AS edge, groupArray(place) AS places
    FROM (${part_edge_rows})
    GROUP BY step, dialog, move, message, next_step, next_dialog
)
SELECT found.step AS step, found.dialog AS dialog, found.move AS move, found.message AS message,
    found.next_step AS next_step, found.next_dialog AS next_dialog,
    found.sum_moves AS moves, counted.rooms AS rooms, counted.customers AS customers
FROM found
LEFT JOIN (
    SELECT edge, uniqExact(room) AS rooms, uniqExact(customer) AS customers
    FROM (${part_room_edges}) AS came
    INNER JOIN (SELECT edge, arrayJoin(places) AS place FROM found) AS places USING (place)
    GROUP BY edge
) AS counted USING (edge)
