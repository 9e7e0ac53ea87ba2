-- edge_counts once more, sorted by the edge's hash before all else but the site: two rows seldom share it, so that FINAL
-- takes a third as long. Made anew and filled anew from `moves`: a killed migration may be run again.
CREATE OR REPLACE TABLE edge_counts
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
ORDER BY (site_id, edge, day, partition, topic)
TTL written_on + INTERVAL ${KEEP_EVENTS_DAYS} DAY DELETE
SETTINGS ttl_only_drop_parts = 1;

-- The timeouts (part 9) of `moves`, as they are there: to look for them in `moves` took as long as all the rest.
CREATE TABLE IF NOT EXISTS timeouts
(
    site_id LowCardinality(String),
    bot_id LowCardinality(String),
    day Date,
    room UInt128,
    seq UInt32,
    version UInt64,
    is_deleted UInt8,
    step UInt16,
    dialog LowCardinality(String),
    move LowCardinality(String),
    message LowCardinality(String),
    next_step UInt16,
    next_dialog LowCardinality(String),
    written_on Date DEFAULT toDate(now(), '${TIMEZONE}')
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY day
ORDER BY (site_id, bot_id, day, room, seq)
TTL written_on + INTERVAL ${KEEP_EVENTS_DAYS} DAY DELETE
SETTINGS ttl_only_drop_parts = 1;

-- An insert into `moves` that could not be brought here fails, and is done again.
CREATE MATERIALIZED VIEW IF NOT EXISTS timeouts_of_moves TO timeouts AS
SELECT site_id, bot_id, day, room, seq, version, is_deleted, step, dialog, move, message, next_step, next_dialog
FROM moves
WHERE part = 9;

INSERT INTO timeouts
    (site_id, bot_id, day, room, seq, version, is_deleted, step, dialog, move, message, next_step, next_dialog)
SELECT site_id, bot_id, day, room, seq, version, is_deleted, step, dialog, move, message, next_step, next_dialog
FROM moves
WHERE part = 9 AND day >= toDate(now(), '${TIMEZONE}') - 2;

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
