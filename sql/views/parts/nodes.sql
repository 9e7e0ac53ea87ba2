-- each (step, dialog) of the range with its inflow, and its rooms and customers each once
WITH found AS (
    SELECT step, dialog, sum(moves) AS inflow, min(place) AS node, groupArray(place) AS places
    FROM (
        SELECT step, dialog, moves, bitOr(bitShiftLeft(toUInt64(toUInt16(day)), 32), toUInt64(number)) AS place
        FROM daily
        WHERE kind = 'node' AND ${part_range}
    )
    GROUP BY step, dialog
)
SELECT found.step AS step, found.dialog AS dialog, found.inflow AS inflow,
    counted.rooms AS rooms, counted.customers AS customers
FROM found
LEFT JOIN (
    SELECT node, uniqExact(room) AS rooms, uniqExact(customer) AS customers
    FROM (
        SELECT room, customer, bitOr(bitShiftLeft(toUInt64(toUInt16(day)), 32), toUInt64(arrayJoin(nodes))) AS place
        FROM daily
        WHERE kind = 'room' AND ${part_range}
    ) AS came
    INNER JOIN (SELECT node, arrayJoin(places) AS place FROM found) AS places USING (place)
    GROUP BY node
) AS counted USING (node)
