-- Today's moves of all bots, from the incremental counts: those of records, and the timeouts, which no record made. No
-- nesting, no order, one table, few words: with this few rows to read, half of the time is the engine's for the statement.
SELECT bot_id, step, dialog, move, message, next_step, next_dialog, toUInt64(edge_totals.moves) AS moves
FROM edge_totals FINAL
WHERE site_id = {site:String} AND day = toDate(now(), '${TIMEZONE}') AND edge_totals.moves > 0
SETTINGS max_threads = 1
