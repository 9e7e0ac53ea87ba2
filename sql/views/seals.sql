-- late_rooms: how many are late now; asked of the published revision only
SELECT day, revision, as_of, sealed_at, rooms, moves, if(current, late.late_rooms, 0) AS late_rooms, bots_left_out,
    checksum, reason
FROM (
    SELECT day, revision, as_of, sealed_at, rooms, moves, bots_left_out, checksum, reason, true AS current
    FROM daily WHERE kind = 'seal'
    UNION ALL
    -- a reseal that was killed may have kept what is still published
    SELECT day, revision, as_of, sealed_at, rooms, moves, bots_left_out, checksum, reason, false
    FROM daily_history WHERE kind = 'seal' AND (day, revision) NOT IN (SELECT day, revision FROM daily WHERE kind = 'seal')
) AS seals
LEFT JOIN (SELECT day, count() AS late_rooms FROM late_rooms GROUP BY day) AS late USING (day)
ORDER BY day, revision
