WITH {day:Date} AS on_day
${part_live_table}
