-- ClickHouse's times wrap around: too many minutes reached into the future, and nothing was answered. (guard.sql: why so)
(SELECT throwIf({minutes:UInt32} NOT BETWEEN 1 AND 525600, 'turnpath: minutes must be 1 to 525600')) = 0
