-- What a seal says of itself and of its rooms beyond 0001: why there is a new revision, as of when bots counted as in use
-- (`as_of` is that same time in the first revision, later in others), and a digest of each room's moves, by which a
-- later look sees whether they are still the same. Days sealed before have 0 and ''.
ALTER TABLE daily ADD COLUMN IF NOT EXISTS cut_off DateTime64(3, 'UTC');
ALTER TABLE daily ADD COLUMN IF NOT EXISTS reason String;
ALTER TABLE daily ADD COLUMN IF NOT EXISTS digest UInt64;

ALTER TABLE daily_history ADD COLUMN IF NOT EXISTS cut_off DateTime64(3, 'UTC');
ALTER TABLE daily_history ADD COLUMN IF NOT EXISTS reason String;
ALTER TABLE daily_history ADD COLUMN IF NOT EXISTS digest UInt64;

-- The least occurred_at of the room's events: no row of it in `moves`, and no seal that it is in, is of an earlier day, so
-- that a seal looks for neither further back.
ALTER TABLE rooms ADD COLUMN IF NOT EXISTS first_at DateTime64(3, 'UTC') DEFAULT opened_at;
