SELECT step, dialog, move, message, next_step, next_dialog,
    count() AS moves, uniqExact(room) AS rooms, uniqExact(customer) AS customers,
    countIf(move NOT IN ('start', 'agent_served') AND toDate(entered_at, '${TIMEZONE}') <> on_day) AS carried
FROM moves FINAL
WHERE site_id = {site:String} AND bot_id = {bot:String} AND day = on_day
GROUP BY step, dialog, move, message, next_step, next_dialog
ORDER BY step, dialog, moves DESC, move, message, next_step, next_dialog
