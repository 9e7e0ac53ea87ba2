-- The totals once more, an edge a row with one number: a state of each partition's was the dearer half of reading them
-- (live_counts took a third more). `moves` is the sum of the edge's newest rows in `edge_counts`, or the number of its
-- timeouts that stand (an edge has either: a timeout's has a message that no record makes). `version` is the sum of what
-- these count up to, or of their versions, which only grows: of two totals the one with the greater is the later, whoever
-- writes it and when. The worker counts anew whichever edges it touched (sql/sink.py).
DROP VIEW IF EXISTS totals_of_edge_counts;

CREATE OR REPLACE TABLE edge_totals
(
    site_id LowCardinality(String),
    day Date,
    edge UInt128,
    bot_id LowCardinality(String),
    step UInt16,
    dialog LowCardinality(String),
    move LowCardinality(String),
    message LowCardinality(String),
    next_step UInt16,
    next_dialog LowCardinality(String),
    moves Int64,
    version UInt64,
    written_on Date DEFAULT toDate(now(), '${TIMEZONE}')
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY day
ORDER BY (site_id, day, edge)
TTL written_on + INTERVAL ${KEEP_EVENTS_DAYS} DAY DELETE
SETTINGS ttl_only_drop_parts = 1, merge_selector_base = 2;

-- What was counted before: today's, and what may still be asked for.
INSERT INTO edge_totals (site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog, moves, version)
SELECT site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog, sum(moves), sum(upto + 1)
FROM edge_counts FINAL
WHERE day >= toDate(now(), '${TIMEZONE}') - 2
GROUP BY site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog
SETTINGS max_partitions_per_insert_block = 0;

INSERT INTO edge_totals (site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog, moves, version)
SELECT site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog, countIf(is_deleted = 0), sum(version)
FROM timeouts FINAL
GROUP BY site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog
SETTINGS max_partitions_per_insert_block = 0;
