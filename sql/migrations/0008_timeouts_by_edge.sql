-- The timeouts once more, sorted by edge: so an edge's are counted anew by reading its own alone. No row changes its edge
-- here; one that was taken back stays, for its version says how much is known (see `totals` below).
DROP VIEW IF EXISTS timeouts_of_moves;

CREATE OR REPLACE TABLE timeouts
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
    edge UInt128 DEFAULT reinterpretAsUInt128(sipHash128(bot_id, step, dialog, move, message, next_step, next_dialog)),
    written_on Date DEFAULT toDate(now(), '${TIMEZONE}')
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY day
ORDER BY (site_id, day, edge, room, seq)
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
WHERE part = 9 AND day >= toDate(now(), '${TIMEZONE}') - 2
ORDER BY version DESC
LIMIT 1 BY site_id, bot_id, day, room, seq
SETTINGS max_partitions_per_insert_block = 0;

-- The totals once more, an edge a row, with all that is known of it in one state: reading two took a tenth longer. `totals`
-- has, at each place, the greatest of what was written there: of the timeouts at the first, then of the partitions of the
-- live topic and of the import topic, by turns 64 of each. In the upper 64 bits `upto`, so that the greatest is the newest,
-- in the lower ones `moves`. Of the timeouts, which the worker counts anew whenever one came or went (sql/sink.py), the
-- upper bits have the sum of their versions, which only grows.
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
    totals AggregateFunction(maxForEach, Array(UInt128)),
    counted Int64 ALIAS reinterpretAsInt64(arraySum(finalizeAggregation(totals))),
    written_on SimpleAggregateFunction(max, Date)
)
ENGINE = AggregatingMergeTree
PARTITION BY day
PRIMARY KEY (site_id, day, edge)
ORDER BY (site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog)
TTL written_on + INTERVAL ${KEEP_EVENTS_DAYS} DAY DELETE
SETTINGS ttl_only_drop_parts = 1, merge_selector_base = 2;

-- Where ClickHouse dies between the two tables, the batch is consumed again and writes the same once more.
CREATE MATERIALIZED VIEW IF NOT EXISTS totals_of_edge_counts TO edge_totals AS
WITH 1 + partition + 64 * (intDiv(partition, 64) + (topic != 'chatbot.turns')) AS place
SELECT
    site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog,
    maxForEachState(arrayPushBack(
        arrayWithConstant(place, toUInt128(0)),
        bitOr(bitShiftLeft(toUInt128(upto), 64), toUInt128(reinterpretAsUInt64(moves)))
    )) AS totals,
    max(written_on) AS written_on
FROM edge_counts
GROUP BY site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog;

-- What was counted before, written once more: so it comes by the view. Today's, and what may still be asked for.
INSERT INTO edge_counts SELECT * FROM edge_counts FINAL WHERE day >= toDate(now(), '${TIMEZONE}') - 2;

INSERT INTO edge_totals (site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog, totals, written_on)
SELECT site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog,
    initializeAggregation('maxForEachState',
        [bitOr(bitShiftLeft(toUInt128(sum(version)), 64), toUInt128(countIf(is_deleted = 0)))]),
    max(written_on)
FROM timeouts FINAL
GROUP BY site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog
SETTINGS max_partitions_per_insert_block = 0;
