-- the day's moves, each seen from its sides: 0 a visit begins, 1 a way out, 2 agent_served;
-- fresh: the visit that it leaves was entered on the same day
SELECT room, customer, move, message, step AS from_step, dialog AS from_dialog, next_step AS to_step, next_dialog AS to_dialog,
    toDate(entered_at, '${TIMEZONE}') = on_day AS fresh,
    arrayJoin(multiIf(move = 'start', [0], move = 'agent_served', [2], next_step > 0, [0, 1], [1])) AS side,
    if(side = 0, to_step, from_step) AS at_step, if(side = 0, to_dialog, from_dialog) AS at_dialog
FROM moves FINAL
WHERE site_id = {site:String} AND bot_id = {bot:String} AND day = on_day
