-- rooms that opened in the last 7 days: a room is open as long as it speaks once a day, few are so for a week
SELECT bot_id, status,
    transform(status, ['bot', 'waiting', 'assigned', 'agent', 'bot_ended', 'agent_ended'],
        ['챗봇 진행중', '상담대기', '접수', '진행중', '챗봇 종료', '상담종료'], '') AS label,
    count() AS rooms, max(status_s) AS longest_s, toUInt64(quantileExact(0.5)(status_s)) AS median_s
FROM (
    SELECT bot_id,
        multiIf(phase <> 'closed', phase, ended_from = 'bot', 'bot_ended', 'agent_ended') AS status,
        toUInt64(greatest(dateDiff('second', coalesce(ended_at, phase_since), now64(3)), 0)) AS status_s
    FROM rooms FINAL
    WHERE site_id = {site:String} AND day >= toDate(now(), '${TIMEZONE}') - 7
        AND (phase <> 'closed' OR toDate(ended_at, '${TIMEZONE}') = toDate(now(), '${TIMEZONE}'))
)
GROUP BY bot_id, status
ORDER BY bot_id, indexOf(['bot', 'waiting', 'assigned', 'agent', 'bot_ended', 'agent_ended'], status)
