-- counts only: dead letters may hold customers' words
SELECT topic, reason, count() AS letters, max(received_at) AS newest_at
FROM dead_letters FINAL
GROUP BY topic, reason
ORDER BY topic, reason
