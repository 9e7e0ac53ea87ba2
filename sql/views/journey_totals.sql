SELECT rooms, customers, visits, ${part_ways_named}
FROM (
    SELECT uniqExactIf(room, kind = 'room') AS rooms, uniqExactIf(customer, kind = 'room') AS customers,
        sumIf(count, kind = 'node') AS visits, ${part_ways}
    -- only rows of kind `edge` have a move
    FROM (SELECT kind, room, customer, move, message, moves AS count FROM daily WHERE kind <> 'seal' AND ${part_range})
)
