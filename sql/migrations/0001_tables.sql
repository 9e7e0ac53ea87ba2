-- The tables of DESIGN.md. ${TIMEZONE} and the times to live are put in when they are made.
-- room and customer are 128-bit hashes of (site, id): they count and sort faster than text.

CREATE TABLE IF NOT EXISTS turns
(
    site_id LowCardinality(String),
    bot_id LowCardinality(String),
    room_id String,
    customer_id String,
    room UInt128 DEFAULT reinterpretAsUInt128(sipHash128(site_id, room_id)),
    customer UInt128 DEFAULT reinterpretAsUInt128(sipHash128(site_id, customer_id)),
    seq UInt32,
    type LowCardinality(String),
    occurred_at DateTime64(3, 'UTC'),
    received_at DateTime64(3, 'UTC'),
    day Date DEFAULT toDate(received_at, '${TIMEZONE}'),
    channel LowCardinality(String),
    category LowCardinality(String),
    scenario_version LowCardinality(String),
    dialog LowCardinality(Nullable(String)),
    input_kind LowCardinality(String),
    input String,
    error Nullable(Bool),
    closed_by LowCardinality(String),
    topic LowCardinality(String),
    partition UInt16,
    offset UInt64,
    -- the copy received first wins: of two, the one with the lower offset has the greater version
    version UInt64 DEFAULT 18446744073709551615 - offset,
    -- what is kept is counted from here: history of years ago, imported today, does not expire at once
    written_on Date DEFAULT toDate(now(), '${TIMEZONE}')
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY day
ORDER BY (site_id, room, seq)
TTL written_on + INTERVAL ${KEEP_EVENTS_DAYS} DAY DELETE
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS moves
(
    site_id LowCardinality(String),
    bot_id LowCardinality(String),
    room_id String,
    customer_id String,
    room UInt128 DEFAULT reinterpretAsUInt128(sipHash128(site_id, room_id)),
    customer UInt128 DEFAULT reinterpretAsUInt128(sipHash128(site_id, customer_id)),
    seq UInt32,
    part UInt8,
    version UInt64,
    is_deleted UInt8,
    occurred_at DateTime64(3, 'UTC'),
    entered_at DateTime64(3, 'UTC'),
    received_at DateTime64(3, 'UTC'),
    day Date DEFAULT toDate(occurred_at, '${TIMEZONE}'),
    step UInt16,
    dialog LowCardinality(String),
    move LowCardinality(String),
    message LowCardinality(String),
    next_step UInt16,
    next_dialog LowCardinality(String),
    channel LowCardinality(String),
    category LowCardinality(String),
    scenario_version LowCardinality(String),
    written_on Date DEFAULT toDate(now(), '${TIMEZONE}'),
    INDEX by_room_id room_id TYPE bloom_filter(0.01)
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY day
ORDER BY (site_id, bot_id, day, room, seq, part)
TTL written_on + INTERVAL ${KEEP_EVENTS_DAYS} DAY DELETE
SETTINGS ttl_only_drop_parts = 1;

-- One row a room, under the local day of its opening.
CREATE TABLE IF NOT EXISTS rooms
(
    site_id LowCardinality(String),
    bot_id LowCardinality(String),
    room_id String,
    customer_id String,
    room UInt128 DEFAULT reinterpretAsUInt128(sipHash128(site_id, room_id)),
    customer UInt128 DEFAULT reinterpretAsUInt128(sipHash128(site_id, customer_id)),
    version UInt64,
    is_deleted UInt8,
    opened_at DateTime64(3, 'UTC'),
    day Date DEFAULT toDate(opened_at, '${TIMEZONE}'),
    last_at DateTime64(3, 'UTC'),
    entered_at DateTime64(3, 'UTC'),
    ended_at Nullable(DateTime64(3, 'UTC')),
    closed_by LowCardinality(String),
    phase LowCardinality(String),
    phase_since DateTime64(3, 'UTC'),
    ended_from LowCardinality(String),
    step UInt16,
    dialog LowCardinality(String),
    turns UInt32,
    errors UInt32,
    gaps UInt32,
    last_received_at DateTime64(3, 'UTC'),
    topic LowCardinality(String),
    partition UInt16,
    written_on Date DEFAULT toDate(now(), '${TIMEZONE}')
)
ENGINE = ReplacingMergeTree(version, is_deleted)
PARTITION BY day
ORDER BY (site_id, day, room)
TTL written_on + INTERVAL ${KEEP_EVENTS_DAYS} DAY DELETE
SETTINGS ttl_only_drop_parts = 1;

-- The history of chatbot.bots.
CREATE TABLE IF NOT EXISTS bots
(
    site_id LowCardinality(String),
    bot_id LowCardinality(String),
    name String,
    in_use Bool,
    channel LowCardinality(String),
    category LowCardinality(String),
    occurred_at DateTime64(3, 'UTC'),
    received_at DateTime64(3, 'UTC'),
    partition UInt16,
    offset UInt64
)
ENGINE = ReplacingMergeTree
ORDER BY (site_id, bot_id, occurred_at, partition, offset);

-- The sealed days. One partition a day, so that one REPLACE PARTITION publishes a day whole.
-- node, edge: figures of a (site, bot, step, dialog …), with `number`: its place, from 1, among those of its kind, site, bot and day.
-- room: for each room and bot of the day, the numbers of the edges and nodes that it came by, each once.
-- seal: the day's own row (site_id and bot_id empty).
CREATE TABLE IF NOT EXISTS daily
(
    day Date,
    revision UInt32,
    kind Enum8('seal' = 0, 'node' = 1, 'edge' = 2, 'room' = 3),
    site_id LowCardinality(String),
    bot_id LowCardinality(String),
    number UInt32,
    step UInt16,
    dialog LowCardinality(String),
    move LowCardinality(String),
    message LowCardinality(String),
    next_step UInt16,
    next_dialog LowCardinality(String),
    moves UInt64,
    rooms UInt64,
    room UInt128,
    room_id String,
    customer UInt128,
    channel LowCardinality(String),
    scenario_version LowCardinality(String),
    ended_at DateTime64(3, 'UTC'),
    edges Array(UInt32),
    nodes Array(UInt32),
    as_of DateTime64(3, 'UTC'),
    sealed_at DateTime64(3, 'UTC'),
    timezone LowCardinality(String),
    bots_left_out Array(String),
    offsets Array(Tuple(String, UInt16, UInt64)),
    checksum String
)
ENGINE = MergeTree
PARTITION BY day
ORDER BY (site_id, bot_id, kind, number, room);

-- Earlier revisions of sealed days.
CREATE TABLE IF NOT EXISTS daily_history AS daily
ENGINE = MergeTree
PARTITION BY day
ORDER BY (revision, site_id, bot_id, kind, number, room);

-- What the workers have consumed: `offset` is the next to be read, `time` the partition's time there.
CREATE TABLE IF NOT EXISTS progress
(
    topic LowCardinality(String),
    partition UInt16,
    offset UInt64,
    time DateTime64(3, 'UTC'),
    log_end UInt64,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY (topic, partition, offset)
TTL toDateTime(written_at) + INTERVAL ${KEEP_EVENTS_DAYS} DAY DELETE;

-- Records that break the event contract, whole. They may hold customers' words: no reader sees them, and they expire.
CREATE TABLE IF NOT EXISTS dead_letters
(
    topic LowCardinality(String),
    partition UInt16,
    offset UInt64,
    key Nullable(String),
    value Nullable(String),
    reason LowCardinality(String),
    detail String,
    received_at DateTime64(3, 'UTC'),
    written_at DateTime DEFAULT now()
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, offset)
TTL written_at + INTERVAL ${KEEP_DEAD_LETTERS_DAYS} DAY DELETE;

-- One row: what must not change after the first migration (a day is what this time zone says it is).
CREATE TABLE IF NOT EXISTS installation
(
    name String,
    value String,
    written_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(written_at)
ORDER BY name;
