-- Rooms that opened in the last 7 days: a room is open as long as it speaks once a day, few are so for a week.
-- Silence closes a room by the clock alone: one that is due is shown closed, also before the worker has looked
SELECT bot_id, status,
    transform(status, ['bot', 'waiting', 'assigned', 'agent', 'bot_ended', 'agent_ended'],
        ['챗봇 진행중', '상담대기', '접수', '진행중', '챗봇 종료', '상담종료'], '') AS label,
    count() AS rooms, max(status_s) AS longest_s, toUInt64(quantileExact(0.5)(status_s)) AS median_s
FROM (
    SELECT bot_id, last_at + toIntervalMillisecond(${ROOM_IDLE_MS}) AS due_at,
        phase = 'closed' OR due_at <= now64(3) AS is_closed, coalesce(ended_at, due_at) AS closed_at,
        multiIf(NOT is_closed, phase, if(phase = 'closed', ended_from, phase) = 'bot', 'bot_ended', 'agent_ended') AS status,
        toUInt64(greatest(dateDiff('second', if(is_closed, closed_at, phase_since), now64(3)), 0)) AS status_s
    FROM rooms FINAL
    WHERE site_id = {site:String} AND day >= toDate(now(), '${TIMEZONE}') - 7
        AND (NOT is_closed OR toDate(closed_at, '${TIMEZONE}') = toDate(now(), '${TIMEZONE}'))
)
GROUP BY bot_id, status
ORDER BY bot_id, indexOf(['bot', 'waiting', 'assigned', 'agent', 'bot_ended', 'agent_ended'], status)
