-- Today's moves of all bots, from the incremental counts: those of records, and the timeouts, which no record made. No
-- nesting, no order, one table: with this few rows to read, most of the time is the engine's for the statement itself.
SELECT bot_id, step, dialog, move, message, next_step, next_dialog, toUInt64(counted) AS moves
FROM edge_totals FINAL
WHERE site_id = {site:String} AND day = toDate(now(), '${TIMEZONE}') AND counted > 0
SETTINGS max_threads = 1
