# ruff: noqa: E501
"""What every client is asked for, and what it must get. Programs of other languages have them as JSON.

`types`: the client makes a table of the type, reads the values, inserts what it read as blocks into another table, and
has the two compared by the database. `query`: the rows. `error`: ClickHouse's code. `wide`: number and sum of the rows
of a result that no client holds whole. `cancel`: a query without an end is given up, and the client goes on.

Values are compared by a text that all languages can make: times are UTC, floats the bits of their double.
"""

from typing import Any

Case = dict[str, Any]

_TYPES: list[tuple[str, list[str], list[Any]]] = [
    ("UInt8", ["0", "255"], ["0", "255"]),
    ("UInt64", ["0", "18446744073709551615"], ["0", "18446744073709551615"]),
    ("Int8", ["-128", "127"], ["-128", "127"]),
    ("Int64", ["-9223372036854775808", "9223372036854775807"], ["-9223372036854775808", "9223372036854775807"]),
    ("UInt128", ["0", "340282366920938463463374607431768211455"], ["0", "340282366920938463463374607431768211455"]),
    ("Int256", ["-1", "7"], ["-1", "7"]),
    ("Float32", ["0.5", "-2"], ["3fe0000000000000", "c000000000000000"]),
    ("Float64", ["0.1", "1e300"], ["3fb999999999999a", "7e37e43c8800759c"]),
    ("Bool", ["true", "false"], ["true", "false"]),
    ("String", ["''", "'한글 \\'x\\' \\n'", "repeat('y', 20000)"], ["", "한글 'x' \n", "y" * 20_000]),
    ("LowCardinality(String)", ["'a'", "''", "'a'"], ["a", "", "a"]),
    ("FixedString(3)", ["'abc'", "'xyz'"], ["abc", "xyz"]),
    ("Date", ["'1970-01-02'", "'2024-02-29'"], ["1970-01-02T00:00:00", "2024-02-29T00:00:00"]),
    ("DateTime('UTC')", ["'2024-02-29 01:02:03'"], ["2024-02-29T01:02:03"]),
    ("DateTime('Asia/Seoul')", ["'2024-02-29 01:02:03'"], ["2024-02-28T16:02:03"]),
    ("DateTime64(3, 'UTC')", ["'2024-02-29 01:02:03.456'"], ["2024-02-29T01:02:03.456"]),
    ("DateTime64(6, 'Asia/Seoul')", ["'2024-02-29 01:02:03.000456'"], ["2024-02-28T16:02:03.000456"]),
    ("Enum8('bot' = 1, 'it\\'s' = 2)", ["'bot'", "'it\\'s'"], ["bot", "it's"]),
    ("Decimal(18, 3)", ["1.234", "-5"], ["1.234", "-5"]),
    ("UUID", ["'00000000-0000-0000-0000-000000000005'"], ["00000000-0000-0000-0000-000000000005"]),
    ("IPv4", ["'10.0.0.7'"], ["10.0.0.7"]),
    ("Nullable(UInt32)", ["NULL", "7"], [None, "7"]),
    ("Nullable(String)", ["NULL", "''"], [None, ""]),
    ("Array(UInt32)", ["[]", "[1, 2, 3]"], [[], ["1", "2", "3"]]),
    ("Array(Array(Nullable(String)))", ["[['a', NULL], []]", "[]"], [[["a", None], []], []]),
    ("Tuple(UInt32, String)", ["(1, 'a')"], [["1", "a"]]),
    # of one key each: Go's maps have no order, ClickHouse's have
    ("Map(String, UInt64)", ["map('a', 1)", "map('b', 2)"], [[["a", "1"]], [["b", "2"]]]),
]
_QUERIES: list[tuple[str, str, dict[str, str] | None, list[list[Any]]]] = [
    ("numbers", "SELECT number FROM numbers(3)", None, [["0"], ["1"], ["2"]]),
    ("no rows", "SELECT 1 AS a, 'x' AS b WHERE 0", None, []),
    ("a number given", "SELECT {n:UInt32} + 1", {"n": "41"}, [["42"]]),
    ("a text given", "SELECT length({t:String}), {t:String}", {"t": "it's 한글"}, [["11", "it's 한글"]]),
    ("a day given", "SELECT {d:Date}", {"d": "2024-02-29"}, [["2024-02-29T00:00:00"]]),
    ("show", "SHOW TABLES LIKE 'seals'", None, [["seals"]]),
    ("aliases", "WITH 2 AS two SELECT two * two AS four", None, [["4"]]),
    ("unions", "SELECT a FROM (SELECT 1 AS a UNION ALL SELECT 2) ORDER BY a DESC", None, [["2"], ["1"]]),
    ("bots", "SELECT bot_id, name FROM bots_list ORDER BY bot_id", None, [["orders", "주문봇"], ["returns", ""]]),
    (
        "a view",
        "SELECT step, dialog, move, moves, rooms FROM day_edges(site = 'shop', bot = 'orders', day = '2024-02-29') "
        "ORDER BY step, move",
        None,
        [["0", "", "start", "3", "3"], ["1", "welcome", "dropout", "1", "1"], ["1", "welcome", "next_step", "2", "2"]],
    ),
    (
        "times in a view",
        "SELECT seq, move, occurred_at FROM room_path(site = {site:String}, room = {room:String}) ORDER BY seq",
        {"site": "shop", "room": "r1"},
        [["1", "start", "2024-02-29T03:00:00.001"], ["2", "next_step", "2024-02-29T03:00:05.002"]],
    ),
]  # fmt: skip

FOREVER = "SELECT sum(cityHash64(number)) FROM numbers(100000000000000)"
_WIDE_ROWS = 1_000_000

CASES: list[Case] = [
    *({"name": kind, "kind": "types", "type": kind, "values": values} for kind, values, _ in _TYPES),
    *({"name": name, "kind": "query", "sql": sql, "params": given} for name, sql, given, _ in _QUERIES),
    {"name": "an unknown table", "kind": "error", "sql": "SELECT * FROM nothing_of_this_name"},
    {"name": "an error in the middle", "kind": "error"}
    | {"sql": "SELECT throwIf(number = 900000, 'later') FROM numbers(1000000)"},
    {"name": "a wide result", "kind": "wide"}
    | {"sql": f"SELECT number, repeat('x', 40) AS text FROM numbers({_WIDE_ROWS})"},
    {"name": "a query given up", "kind": "cancel", "sql": FOREVER},
]

EXPECTED: dict[str, Any] = {
    **{kind: [[[str(n), v] for n, v in enumerate(told)], [["1"]]] for kind, _, told in _TYPES},
    **{name: rows for name, _, _, rows in _QUERIES},
    "an unknown table": 60,
    "an error in the middle": 395,
    "a wide result": [str(_WIDE_ROWS), str(_WIDE_ROWS * (_WIDE_ROWS - 1) // 2)],
    "a query given up": [["1"]],
}

#: What the views of the cases show.
SEED = [
    "INSERT INTO bots (site_id, bot_id, name, in_use, occurred_at) VALUES ('shop', 'orders', '주문봇', 1, '2024-02-29 00:00:00')",
    """INSERT INTO moves (site_id, bot_id, room_id, customer_id, seq, version, occurred_at, entered_at, received_at,
        step, dialog, move, next_step, next_dialog) VALUES
        ('shop', 'orders', 'r1', 'c1', 1, 2, '2024-02-29 03:00:00.001', '2024-02-29 03:00:00.001', '2024-02-29 03:00:01', 0, '', 'start', 1, 'welcome'),
        ('shop', 'orders', 'r1', 'c1', 2, 4, '2024-02-29 03:00:05.002', '2024-02-29 03:00:00.001', '2024-02-29 03:00:06', 1, 'welcome', 'next_step', 2, 'menu'),
        ('shop', 'orders', 'r2', 'c2', 1, 2, '2024-02-29 04:00:00', '2024-02-29 04:00:00', '2024-02-29 04:00:01', 0, '', 'start', 1, 'welcome'),
        ('shop', 'orders', 'r2', 'c2', 2, 4, '2024-02-29 04:00:05', '2024-02-29 04:00:00', '2024-02-29 04:00:06', 1, 'welcome', 'next_step', 2, 'menu'),
        ('shop', 'orders', 'r3', 'c1', 1, 2, '2024-02-29 05:00:00', '2024-02-29 05:00:00', '2024-02-29 05:00:01', 0, '', 'start', 1, 'welcome'),
        ('shop', 'orders', 'r3', 'c1', 2, 4, '2024-02-29 05:00:05', '2024-02-29 05:00:00', '2024-02-29 05:00:06', 1, 'welcome', 'dropout', 1, 'welcome'),
        ('shop', 'returns', 'r4', 'c1', 1, 2, '2024-02-29 06:00:00', '2024-02-29 06:00:00', '2024-02-29 06:00:01', 0, '', 'start', 1, 'welcome')""",
]  # fmt: skip
