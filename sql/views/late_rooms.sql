-- What a reseal would change, room by room: what a room is now beside what the sealed days have of it.
WITH
    sealed AS (
        SELECT day, as_of, bots_left_out, if(toUnixTimestamp64Milli(cut_off) = 0, as_of, cut_off) AS in_use_at,
            arrayFilter(reached -> reached.1 = 'chatbot.turns.import', offsets) AS imports
        FROM daily
        WHERE kind = 'seal'
    ),
    -- an import brings the times that its sender gives: whether it came after a seal, the offsets say that the seal
    -- noted. An event is of a room that ended on a day about its own
    imported AS (
        SELECT arrayJoin([day - 2, day - 1, day, day + 1]) AS event_day,
            minMap(mapFromArrays(arrayMap(reached -> reached.2, imports), arrayMap(reached -> reached.3, imports))) AS upto
        FROM sealed
        GROUP BY event_day
    ),
    imported_since AS (
        SELECT room
        FROM turns
        INNER JOIN imported ON turns.day = imported.event_day
        WHERE topic = 'chatbot.turns.import' AND offset >= upto[partition]
    ),
    -- (day, bot) that the day would be without now, or that its seal left out
    out_of_use AS (
        SELECT day, site_id, bot_id, NOT argMax(in_use, (occurred_at, partition, offset)) AS is_out,
            has(any(bots_left_out), concat(site_id, ':', bot_id)) AS was_out
        FROM bots
        CROSS JOIN (SELECT day, in_use_at, bots_left_out FROM sealed) AS known
        WHERE occurred_at <= in_use_at
        GROUP BY day, site_id, bot_id
        HAVING is_out OR was_out
    ),
    -- those of which a change came late. A seal notes of the bots that it left out those with moves on the day; of the
    -- others that are out, those that it has figures of. Values, for they are asked of in many places, and mostly empty
    (
        SELECT groupArray((day, site_id, bot_id)) FROM out_of_use
        WHERE was_out AND NOT is_out AND day >= (SELECT min(day) - 2 FROM rooms)
    ) AS turned_on,
    (
        SELECT groupArray((day, site_id, bot_id)) FROM out_of_use
        WHERE is_out AND NOT was_out AND day >= (SELECT min(day) - 2 FROM rooms)
            AND (day, site_id, bot_id) IN (SELECT day, site_id, bot_id FROM daily WHERE kind = 'node' AND number = 1)
    ) AS turned_off,
    arrayMap(turned -> turned.1, arrayConcat(turned_on, turned_off)) AS turned_days,
    -- their rooms: those published, and those that have ended on the day
    of_turned_bots AS (
        SELECT room
        FROM daily
        WHERE notEmpty(turned_off) AND kind = 'room'
            AND (day, site_id, bot_id) IN (SELECT off.1, off.2, off.3 FROM (SELECT arrayJoin(turned_off) AS off))
        UNION ALL
        SELECT room
        FROM moves
        WHERE notEmpty(turned_on)
            AND (site_id, bot_id) IN (SELECT on.2, on.3 FROM (SELECT arrayJoin(turned_on) AS on))
            AND room IN (
                SELECT room
                FROM rooms
                WHERE (toDate(ended_at, '${TIMEZONE}'), site_id) IN (
                    SELECT on.1, on.2 FROM (SELECT arrayJoin(turned_on) AS on)
                )
            )
    ),
    -- Suspects are few: a room that heard of nothing since the day of its first event was known to every seal of it, for
    -- no room ends before that day. One that is due to be closed by its silence is looked at when the worker has closed it
    suspects AS (
        SELECT site_id, bot_id, room_id, room, customer, topic, last_received_at AS received_at, ended_at,
            toDate(ended_at, '${TIMEZONE}') AS ended_day, toDate(first_at, '${TIMEZONE}') AS first_day,
            toDate(greatest(last_at, coalesce(rooms.ended_at, last_at)), '${TIMEZONE}') AS last_day
        FROM rooms FINAL
        WHERE (site_id, day, room) IN (
                SELECT site_id, day, room
                FROM rooms
                WHERE toDate(last_received_at, '${TIMEZONE}') > toDate(first_at, '${TIMEZONE}')
                    OR room IN (SELECT room FROM imported_since)
                    OR room IN (SELECT room FROM of_turned_bots)
            )
            AND (phase = 'closed' OR last_at > now64(3) - toIntervalMillisecond(${ROOM_IDLE_MS}))
    ),
    -- (day, when it ended, moves, digest) wherever a room is published; a digest of 0: of before there were any
    published AS (
        SELECT room, groupArray((day, day_end, day_moves, day_digest)) AS there
        FROM (
            SELECT day, room, max(daily.ended_at) AS day_end, sum(moves) AS day_moves,
                if(min(digest) = 0, 0, sumWithOverflow(digest)) AS day_digest
            FROM daily
            WHERE kind = 'room' AND day >= (SELECT min(day) - 2 FROM rooms) AND room IN (SELECT room FROM suspects)
            GROUP BY day, room
        )
        GROUP BY room
    ),
    -- each suspect on each of its days, but where nothing came since that day's seal, of it or of a bot
    judged AS (
        SELECT sealed.day AS day, site_id, bot_id, room_id, room, customer, topic, received_at, ended_at, first_day, last_day,
            notEmpty(there) AS is_published, received_at > as_of OR room IN (SELECT room FROM imported_since) AS heard_later,
            arrayFirst(one -> one.1 = on_day, there) AS was,
            coalesce(ended_day = on_day, false) AS is_there
        FROM (
            SELECT *, arrayJoin(arrayDistinct(arrayConcat(there.1, arrayFilter(one -> isNotNull(one), [ended_day])))) AS on_day
            FROM suspects
            LEFT JOIN published USING (room)
        ) AS looked
        INNER JOIN sealed ON sealed.day = on_day
        WHERE NOT is_there OR was.3 = 0 OR heard_later OR has(turned_days, on_day)
    ),
    left_out AS (SELECT day, groupArray((site_id, bot_id)) AS bots FROM out_of_use WHERE is_out GROUP BY day),
    -- what a seal of the day would publish of the room now; as seal/build.py counts it
    now_there AS (
        SELECT day, room, sum(bot_moves) AS moves, sumWithOverflow(bot_digest) AS digest
        FROM (
            SELECT ended.day AS day, site_id, bot_id, room, count() AS bot_moves,
                sumWithOverflow(cityHash64(site_id, bot_id, step, dialog, move, message, next_step, next_dialog))
                    + cityHash64(any(ended.customer), argMax(channel, (seq, part)),
                        argMax(scenario_version, (seq, part)), any(ended.ended_at)) AS bot_digest
            FROM (
                SELECT *
                FROM moves FINAL
                PREWHERE room IN (SELECT room FROM judged WHERE is_there)
                WHERE day IN (
                    SELECT arrayJoin(arrayMap(n -> first_day + n, range(toUInt64(last_day - first_day + 1))))
                    FROM judged WHERE is_there
                )
            ) AS moves
            INNER JOIN (
                SELECT day, room, customer, assumeNotNull(judged.ended_at) AS ended_at FROM judged WHERE is_there
            ) AS ended USING (room)
            LEFT JOIN left_out ON left_out.day = ended.day
            WHERE NOT has(left_out.bots, (site_id, bot_id))
            GROUP BY day, site_id, bot_id, room
        )
        GROUP BY day, room
    )
SELECT judged.day AS day, site_id, bot_id, room_id, coalesce(judged.ended_at, was.2) AS ended_at, received_at,
    multiIf(is_published OR NOT heard_later, 'changed_late', topic = 'chatbot.turns.import', 'imported_late', 'closed_late') AS reason
FROM judged
LEFT JOIN now_there ON now_there.day = judged.day AND now_there.room = judged.room
WHERE now_there.moves <> was.3
    OR (was.3 > 0 AND if(was.4 = 0, was.2 <> coalesce(judged.ended_at, was.2), now_there.digest <> was.4))
ORDER BY day, site_id, bot_id, room_id
