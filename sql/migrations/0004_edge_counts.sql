-- The incremental counts of moves by edge (stream/counts.py): of each partition of the topic and each local day,
-- `moves` so far, and `upto`, the offset up to which it counts. Rows of parts 0 and 1. The key has the edge as a hash:
-- merging by its eight columns took FINAL three times as long.
CREATE TABLE IF NOT EXISTS edge_counts
(
    topic LowCardinality(String),
    partition UInt16,
    day Date,
    site_id LowCardinality(String),
    bot_id LowCardinality(String),
    step UInt16,
    dialog LowCardinality(String),
    move LowCardinality(String),
    message LowCardinality(String),
    next_step UInt16,
    next_dialog LowCardinality(String),
    edge UInt128 DEFAULT reinterpretAsUInt128(sipHash128(bot_id, step, dialog, move, message, next_step, next_dialog)),
    moves Int64,
    upto UInt64,
    written_on Date DEFAULT toDate(now(), '${TIMEZONE}')
)
ENGINE = ReplacingMergeTree(upto)
PARTITION BY day
ORDER BY (site_id, day, partition, edge, topic)
TTL written_on + INTERVAL ${KEEP_EVENTS_DAYS} DAY DELETE
SETTINGS ttl_only_drop_parts = 1;

-- What was counted before this table was there: today's, and what its moves may still correct. `upto` is what was consumed.
INSERT INTO edge_counts
    (topic, partition, day, site_id, bot_id, step, dialog, move, message, next_step, next_dialog, moves, upto)
SELECT topic, partition, day, site_id, bot_id, step, dialog, move, message, next_step, next_dialog, count(), max(consumed)
FROM
(
    SELECT site_id, room, day, bot_id, step, dialog, move, message, next_step, next_dialog
    FROM moves FINAL
    WHERE part != 9 AND day >= toDate(now(), '${TIMEZONE}') - 2
) AS made
INNER JOIN
(
    SELECT site_id, room, any(topic) AS topic, any(partition) AS partition
    FROM rooms
    WHERE (site_id, room) IN (SELECT site_id, room FROM moves WHERE day >= toDate(now(), '${TIMEZONE}') - 2)
    GROUP BY site_id, room
) AS came USING (site_id, room)
INNER JOIN
(
    SELECT topic, partition, max(offset) - 1 AS consumed FROM progress WHERE offset > 0 GROUP BY topic, partition
) AS reached USING (topic, partition)
GROUP BY topic, partition, day, site_id, bot_id, step, dialog, move, message, next_step, next_dialog;
