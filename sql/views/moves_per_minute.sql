-- the last minutes, the one that is running among them
SELECT toStartOfMinute(occurred_at) AS minute, move, count() AS moves
FROM moves FINAL
WHERE site_id = {site:String} AND bot_id = {bot:String}
    AND occurred_at >= toStartOfMinute(now('UTC')) - toIntervalMinute({minutes:UInt32} - 1)
    AND day >= toDate(now() - toIntervalMinute({minutes:UInt32}), '${TIMEZONE}')
    AND ${part_minutes}
GROUP BY minute, move
ORDER BY minute, move
