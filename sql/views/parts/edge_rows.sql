-- the edges of the sealed days, a row a day; `place` names a day's edge where the room rows mention it
SELECT step, dialog, move, message, next_step, next_dialog, moves,
    bitOr(bitShiftLeft(toUInt64(toUInt16(day)), 32), toUInt64(number)) AS place
FROM daily
WHERE kind = 'edge' AND ${part_range}
