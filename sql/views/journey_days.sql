SELECT day, max(found_revision) AS revision, toUInt8(max(found_revision) > 0) AS sealed, max(found_as_of) AS as_of
FROM (
    SELECT day, revision AS found_revision, CAST(as_of, 'Nullable(DateTime64(3, \'UTC\'))') AS found_as_of
    FROM daily
    WHERE kind = 'seal' AND day BETWEEN {from:Date} AND {to:Date} AND day >= toDate('${FIRST_DAY}')
    UNION ALL
    SELECT {from:Date} + number, toUInt32(0), NULL
    FROM numbers(toUInt64(greatest(dateDiff('day', {from:Date}, {to:Date}) + 1, 0)))
)
WHERE ${part_guard}
GROUP BY day
ORDER BY day
