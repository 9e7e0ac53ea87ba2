-- of the ways out that customers and agents made in the last minutes (silence is none), the share that were errors.
-- occurred_at is the same in every version of a row of an event, so it may be looked at before FINAL.
SELECT bot_id, count() AS moves, countIf(move = 'error') AS errors, errors / moves AS error_rate
FROM moves FINAL
PREWHERE part < 9 AND occurred_at >= toStartOfMinute(now('UTC')) - toIntervalMinute({minutes:UInt32} - 1)
WHERE site_id = {site:String} AND move NOT IN ('start', 'agent_served')
    AND day >= toDate(now() - toIntervalMinute({minutes:UInt32}), '${TIMEZONE}')
    AND ${part_minutes}
GROUP BY bot_id
ORDER BY bot_id
