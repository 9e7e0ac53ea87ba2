-- asked: connects of the last minutes; served and the waits: the agents who came in them, whenever they were asked
-- for. occurred_at is the same in every version of a row of an event, so it may be looked at before FINAL.
SELECT bot_id, countIf(move = 'agent_connect') AS asked, countIf(move = 'agent_served') AS served,
    if(served = 0, 0, toUInt64(round(quantileExactIf(0.5)(wait_s, move = 'agent_served')))) AS median_s,
    if(served = 0, 0, toUInt64(round(quantileExactIf(0.9)(wait_s, move = 'agent_served')))) AS p90_s,
    toUInt64(round(maxIf(wait_s, move = 'agent_served'))) AS longest_s
FROM (
    SELECT bot_id, move, greatest(dateDiff('millisecond', entered_at, occurred_at), 0) / 1000 AS wait_s
    FROM moves FINAL
    PREWHERE part < 9 AND occurred_at >= toStartOfMinute(now('UTC')) - toIntervalMinute({minutes:UInt32} - 1)
    WHERE site_id = {site:String} AND move IN ('agent_connect', 'agent_served')
        AND day >= toDate(now() - toIntervalMinute({minutes:UInt32}), '${TIMEZONE}')
        AND ${part_minutes}
)
GROUP BY bot_id
ORDER BY bot_id
