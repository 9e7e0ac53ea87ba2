-- lag_seconds: how old the picture is. With nothing left to read, since when nobody looked; else since the time
-- that the partition has reached.
SELECT topic, partition, time AS received_at, written_at AS visible_at,
    toUInt64(if(log_end > offset, log_end - offset, 0)) AS lag_events,
    greatest(dateDiff('millisecond', if(lag_events > 0, time, written_at), now64(3)), 0) / 1000 AS lag_seconds
FROM progress
WHERE (topic, partition, offset) IN (SELECT topic, partition, max(offset) FROM progress GROUP BY topic, partition)
ORDER BY topic, partition, written_at DESC
LIMIT 1 BY topic, partition
