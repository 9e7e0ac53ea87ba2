-- which room came by which edge, each once a day
SELECT room, customer, bitOr(bitShiftLeft(toUInt64(toUInt16(day)), 32), toUInt64(arrayJoin(edges))) AS place
FROM daily
WHERE kind = 'room' AND ${part_range}
