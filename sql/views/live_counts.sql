-- Today's moves of all bots, from the incremental counts; and the timeouts, which no record made. No edge is in both:
-- who closed the room is `timeout` in the latter alone. No nesting, no order: with this few rows to read, half of the
-- time is the engine's for the statement itself.
SELECT bot_id, step, dialog, move, message, next_step, next_dialog, toUInt64(counted) AS moves
FROM edge_totals FINAL
WHERE site_id = {site:String} AND day = toDate(now(), '${TIMEZONE}') AND counted > 0
SETTINGS max_threads = 1
UNION ALL
SELECT bot_id, step, dialog, move, message, next_step, next_dialog, count()
FROM timeouts FINAL
WHERE site_id = {site:String} AND day = toDate(now(), '${TIMEZONE}')
GROUP BY bot_id, step, dialog, move, message, next_step, next_dialog
SETTINGS max_threads = 1
