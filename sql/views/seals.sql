-- late_rooms: how many are late now; asked of the published revision only
SELECT day, revision, as_of, sealed_at, rooms, moves, if(current, late.late_rooms, 0) AS late_rooms, bots_left_out, checksum
FROM (
    SELECT day, revision, as_of, sealed_at, rooms, moves, bots_left_out, checksum, true AS current
    FROM daily WHERE kind = 'seal'
    UNION ALL
    SELECT day, revision, as_of, sealed_at, rooms, moves, bots_left_out, checksum, false
    FROM daily_history WHERE kind = 'seal'
) AS seals
LEFT JOIN (SELECT day, count() AS late_rooms FROM late_rooms GROUP BY day) AS late USING (day)
ORDER BY day, revision
