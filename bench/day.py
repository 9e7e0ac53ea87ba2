"""Days of a busy installation, made by the engine itself: turns, moves and rooms as the worker would have written them.

Rooms open all through the day and an hour into the next; each is a start, some steps and an end. Dialogs and buttons
are as uneven as in a scenario: a few edges have most of the moves.
"""

from collections.abc import Sequence

from sql.client import Client

#: Rows of `moves` of a room, on average.
LENGTH = 6.5

#: Rooms that an insert brings: blocks as large as a busy worker's.
_AT_ONCE = 100_000

# rooms are numbered in the order of time: the first opens 20 minutes before the day, the last at 00:41 after it
_ROOM = """
    SELECT number AS i, i + {begin:Int64} AS r, cityHash64(r) AS h, toUInt16(3 + h % 8) AS length,
        {sites:Array(String)} AS sites, sites[1 + r % 25 % length(sites)] AS site,
        concat('bot-', toString(r % 25)) AS bot,
        concat('room-', toString(sipHash64(r))) AS room, concat('customer-', toString(h % {customers:UInt64})) AS who,
        toDateTime64(({begin:Int64} + intDiv(i * 90060000, {rooms:UInt64})) / 1000, 3, 'UTC') AS opened,
        opened + (length - 1) * 20 AS ended,
        multiIf(h % 17 = 0, 'manager', h % 3 = 0, 'auto', 'customer') AS closed
    FROM numbers({first:UInt64}, {count:UInt64})
"""
_PLACE = "toUInt8(intDiv(pow(cityHash64(r, {n}) % 1000, 2), 250000))"
_ROW = f"""
    SELECT *, arrayJoin(range(length)) AS n, opened + n * 20 AS at,
        concat('대화 ', toString(n), '-', toString(p)) AS here,
        concat('대화 ', toString(n + 1), '-', toString(q)) AS there, n + 1 = length AS last,
        {_PLACE.format(n="n")} AS p, {_PLACE.format(n="n + 1")} AS q
    FROM ({_ROOM})
"""
_MOVES = f"""
    INSERT INTO moves (site_id, bot_id, room_id, customer_id, seq, part, version, is_deleted, occurred_at, entered_at,
        received_at, step, dialog, move, message, next_step, next_dialog, channel, category, scenario_version)
    SELECT site, bot, room, who, n + 1, 0, 2 * (n + 1), 0, at, if(n = 0, at, at - 20), at + 0.5,
        n, if(n = 0, '', here), multiIf(n = 0, 'start', last, 'bot_end', 'next_step'),
        multiIf(n = 0, '', last, closed, concat('선택 ', toString(q))), if(last, 0, n + 1), if(last, '', there),
        ['kakao', 'web', 'app'][1 + h % 3], '', '2026-11'
    FROM ({_ROW})
"""
_TURNS = f"""
    INSERT INTO turns (site_id, bot_id, room_id, customer_id, seq, type, occurred_at, received_at, channel, category,
        scenario_version, dialog, input_kind, input, error, closed_by, topic, partition, offset)
    SELECT site, bot, room, who, n + 1, if(last, 'room_closed', 'turn'), at, at + 0.5,
        ['kakao', 'web', 'app'][1 + h % 3], '', '2026-11', if(last, NULL, there), if(n = 0, 'none', 'button'),
        if(n = 0 OR last, '', concat('선택 ', toString(q))), NULL, if(last, closed, ''), 'chatbot.turns', h % 12,
        16 * i + n
    FROM ({_ROW})
"""
_ROOMS = f"""
    INSERT INTO rooms (site_id, bot_id, room_id, customer_id, version, is_deleted, opened_at, last_at, entered_at,
        ended_at, closed_by, phase, phase_since, ended_from, step, dialog, turns, errors, gaps, last_received_at, topic,
        partition)
    SELECT site, bot, room, who, 2 * length, 0, opened, ended, opened, ended, closed, 'closed', ended, 'bot',
        length - 1, '', length - 1, 0, 0, ended + 0.5, 'chatbot.turns', h % 12
    FROM ({_ROOM})
"""


def make_day(client: Client, begin: int, moves: int, sites: Sequence[str] = ("mall", "bank", "travel")) -> None:
    """Fill the tables with a day that begins at `begin` (ms) and has about so many moves, of 25 bots of these sites."""
    rooms = round(moves / LENGTH * 90_060 / 86_400)
    for first in range(0, rooms, _AT_ONCE):
        given: dict[str, int | list[str]] = {
            "first": first,
            "count": min(_AT_ONCE, rooms - first),
            "rooms": rooms,
            "customers": max(1, rooms * 2 // 3),
            "begin": begin - 1_200_000,
            "sites": list(sites),
        }
        for sql in (_TURNS, _MOVES, _ROOMS):
            client.run(sql, given)
