-- Each batch asks whether its new rooms are known, among all that are kept; in the key they come after site and day.
-- Of 27 million rooms kept, 600 were looked for in 0.11 s of CPU instead of 0.31.
ALTER TABLE rooms ADD INDEX IF NOT EXISTS by_room room TYPE bloom_filter(0.0001) GRANULARITY 1;

-- In the background.
ALTER TABLE rooms MATERIALIZE INDEX by_room;
