-- Suspects are few: rooms that heard something after the cut-off of the day on which they ended, or were imported.
WITH
    sealed AS (SELECT day, as_of, bots_left_out FROM daily WHERE kind = 'seal'),
    suspects AS (
        SELECT ended.day AS day, site_id, bot_id, room_id, room, ended_at, received_at, topic, as_of, bots_left_out
        FROM (
            SELECT toDate(assumeNotNull(rooms.ended_at), '${TIMEZONE}') AS day, site_id, bot_id, room_id, room,
                assumeNotNull(rooms.ended_at) AS ended_at, last_received_at AS received_at, topic
            FROM rooms FINAL
            WHERE phase = 'closed' AND rooms.ended_at IS NOT NULL
        ) AS ended
        INNER JOIN sealed ON sealed.day = ended.day
        WHERE received_at > as_of OR topic = 'chatbot.turns.import'
    ),
    published AS (
        SELECT day, room, any(daily.ended_at) AS published_end
        FROM daily
        WHERE kind = 'room' AND day IN (SELECT day FROM suspects) AND room IN (SELECT room FROM suspects)
        GROUP BY day, room
    ),
    -- tombstones, too: what was taken back late is a change
    moved AS (
        SELECT room, max(received_at) AS moved_at,
            groupUniqArrayIf(concat(site_id, ':', bot_id), is_deleted = 0) AS bots
        FROM moves
        WHERE room_id IN (SELECT room_id FROM suspects)
        GROUP BY room
    )
SELECT suspects.day AS day, site_id, bot_id, room_id, ended_at, received_at,
    multiIf(
        published.room <> 0, 'changed_late',
        received_at > as_of, 'closed_late',
        'imported_late'
    ) AS reason
FROM suspects
INNER JOIN moved ON moved.room = suspects.room
LEFT JOIN published ON published.day = suspects.day AND published.room = suspects.room
-- a room whose bots were all left out belongs to no seal
WHERE arrayExists(bot -> NOT has(bots_left_out, bot), bots)
    AND (published.room = 0 OR published_end <> ended_at OR moved_at > as_of)
ORDER BY day, site_id, bot_id, room_id
