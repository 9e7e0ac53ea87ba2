-- What became of each export: a row for each attempt of each run of a job.
-- `slot` names the run within its job: the sealed day (`2026-11-22`), a resealed one (`2026-11-22 r2`), or a cron time
-- (`2026-11-22T22:30Z`). `by`: the process that made the attempt, so that two cannot overwrite each other's rows.
-- `version` grows with the state of the attempt: started, sending, then done or failed, then gave_up.
-- `state` and `said` are for people and the retries; `unsure`: the mail may have arrived, its server did not say.
-- No reader sees it: it holds mail addresses.
CREATE TABLE IF NOT EXISTS exports
(
    job String,
    slot String,
    attempt UInt32,
    by String,
    version UInt8,
    state LowCardinality(String),
    at DateTime64(3, 'UTC'),
    first Date,
    last Date,
    revision UInt32,
    destination String,
    files Array(String),
    rows UInt64,
    bytes UInt64,
    seconds Float64,
    sent_to Array(String),
    unsure Bool,
    noticed Bool,
    said String
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (job, slot, attempt, by);

-- Since when each job stands in the file of jobs with this schedule: what was due before is not made.
CREATE TABLE IF NOT EXISTS export_jobs
(
    job String,
    number UInt32,
    schedule String,
    since DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (job, number);
