SELECT seq, part, occurred_at, entered_at, received_at, bot_id, step, dialog, move, message, next_step, next_dialog,
    channel, category, scenario_version
FROM moves FINAL
WHERE site_id = {site:String} AND room_id = {room:String}
ORDER BY seq, part
