-- Today's moves of all bots, from the incremental counts; and the timeouts, which no record made.
SELECT bot_id, step, dialog, move, message, next_step, next_dialog, toUInt64(sum(counted)) AS moves
FROM (
    SELECT bot_id, step, dialog, move, message, next_step, next_dialog, moves AS counted
    FROM edge_counts FINAL
    WHERE site_id = {site:String} AND day = toDate(now(), '${TIMEZONE}')
    UNION ALL
    SELECT bot_id, step, dialog, move, message, next_step, next_dialog, 1
    FROM timeouts FINAL
    WHERE site_id = {site:String} AND day = toDate(now(), '${TIMEZONE}')
)
GROUP BY bot_id, step, dialog, move, message, next_step, next_dialog
HAVING sum(counted) > 0
ORDER BY bot_id, step, dialog, move, message, next_step, next_dialog
SETTINGS max_threads = 1
