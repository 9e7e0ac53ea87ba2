-- the bots that were heard of, by a change or by traffic; first_day and last_day: of their sealed and live days
SELECT site_id, bot_id, argMaxIf(name, place, known) AS name, argMaxIf(channel, place, known) AS channel,
    argMaxIf(category, place, known) AS category,
    -- a bot never heard of counts as in use
    if(max(known), argMaxIf(in_use, place, known), true) AS in_use,
    min(seen) AS first_day, max(seen) AS last_day
FROM (
    SELECT site_id, bot_id, name, channel, category, in_use, (occurred_at, partition, offset) AS place, true AS known,
        CAST(NULL, 'Nullable(Date)') AS seen
    FROM bots
    UNION ALL
    SELECT site_id, bot_id, '', '', '', true, (toDateTime64(0, 3, 'UTC'), 0, 0), false, day
    FROM daily
    WHERE kind = 'node'
    GROUP BY site_id, bot_id, day
    UNION ALL
    SELECT site_id, bot_id, '', '', '', true, (toDateTime64(0, 3, 'UTC'), 0, 0), false, day
    FROM moves
    WHERE day NOT IN (SELECT day FROM daily WHERE kind = 'seal')
    GROUP BY site_id, bot_id, day
)
GROUP BY site_id, bot_id
ORDER BY site_id, bot_id
