-- No cycle: a next_step goes one step deeper, every other way out ends in a node of its own.
WITH found AS (
    SELECT
        if(move = 'agent_served', 'agent_connect', concat(toString(step), '|', dialog)) AS from_node,
        if(move = 'next_step', concat(toString(next_step), '|', next_dialog), move) AS to_node,
        sum(moves) AS sum_moves, min(place) AS link, groupArray(place) AS places
    FROM (${part_edge_rows})
    WHERE move <> 'start'
    GROUP BY from_node, to_node
)
SELECT from_node AS source, to_node AS target, sum_moves AS value, counted.rooms AS rooms, counted.customers AS customers
FROM found
LEFT JOIN (
    SELECT link, uniqExact(room) AS rooms, uniqExact(customer) AS customers
    FROM (${part_room_edges}) AS came
    INNER JOIN (SELECT link, arrayJoin(places) AS place FROM found) AS places USING (place)
    GROUP BY link
) AS counted USING (link)
ORDER BY source, value DESC, target
