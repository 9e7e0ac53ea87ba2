site_id = {site:String} AND bot_id = {bot:String} AND day BETWEEN {from:Date} AND {to:Date}
    AND day >= toDate('${FIRST_DAY}') AND ${part_guard}
