-- What `edge_counts` says of all partitions, an edge a row: live_counts reads a twelfth of the rows. `totals` has the newest
-- total of each partition of the live topic, `imported` of the import topic, at 1 + partition: `upto` in the upper 64 bits,
-- so that the greatest is the newest, `moves` in the lower ones. Arrays, for with maps merging took twice as long; and
-- merged eagerly, for each small part more is a tenth more to read.
CREATE TABLE IF NOT EXISTS edge_totals
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
    imported AggregateFunction(maxForEach, Array(UInt128)),
    counted Int64 ALIAS arraySum(
        total -> reinterpretAsInt64(total), arrayConcat(finalizeAggregation(totals), finalizeAggregation(imported))
    ),
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
WITH arrayConcat(
    arrayWithConstant(partition, toUInt128(0)),
    [bitOr(bitShiftLeft(toUInt128(upto), 64), toUInt128(reinterpretAsUInt64(moves)))]
) AS at_partition
SELECT
    site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog,
    maxForEachStateIf(at_partition, topic = 'chatbot.turns') AS totals,
    maxForEachStateIf(at_partition, topic != 'chatbot.turns') AS imported,
    max(written_on) AS written_on
FROM edge_counts
GROUP BY site_id, day, edge, bot_id, step, dialog, move, message, next_step, next_dialog;

-- What was counted before, written once more: so it comes by the view. Today's, and what may still be asked for; an insert
-- may not have more than 100 days.
INSERT INTO edge_counts SELECT * FROM edge_counts FINAL WHERE day >= toDate(now(), '${TIMEZONE}') - 2;
