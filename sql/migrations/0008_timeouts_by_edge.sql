-- The timeouts once more, sorted by edge: so an edge's are counted anew by reading its own alone. No row changes its edge
-- here; one that was taken back stays, for its version says how much is known (see `timed_out`).
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

-- The timeouts of an edge, counted anew by the worker whenever one came or went (sql/sink.py): the sum of their versions in
-- the upper 64 bits, which only grows, so that the greatest is the newest; how many stand in the lower ones.
ALTER TABLE edge_totals ADD COLUMN IF NOT EXISTS timed_out SimpleAggregateFunction(max, UInt128) AFTER imported;

ALTER TABLE edge_totals MODIFY COLUMN counted Int64 ALIAS arraySum(
    total -> reinterpretAsInt64(total), arrayConcat(finalizeAggregation(totals), finalizeAggregation(imported))
) + reinterpretAsInt64(timed_out);

INSERT INTO edge_totals
    (site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog, timed_out, written_on)
SELECT site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog,
    bitOr(bitShiftLeft(toUInt128(sum(version)), 64), toUInt128(countIf(is_deleted = 0))), max(written_on)
FROM timeouts FINAL
GROUP BY site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog
SETTINGS max_partitions_per_insert_block = 0;
