WITH toDate(now(), '${TIMEZONE}') AS on_day
${part_live_nodes}
