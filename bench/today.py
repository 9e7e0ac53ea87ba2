"""The live views beside the bare grouped query on `moves FINAL`, over a busy day; quiet, and while events arrive.

    python -m bench.today [--moves 8000000] [--rounds 15] [--rate 10000] [--seconds 60] [--small]

today_table of one bot of 25 beside two queries that the engine takes alone: EDGES, one GROUP BY of the bot's edges
with their moves, rooms and customers; and SAME, which also has the dialogs' visits, rooms and customers, and what was
carried (the table has open visits besides). live_counts is asked for all 25 bots. In turns, so that what else goes on
on the machine falls on all; CPU is that of ClickHouse's process, while nothing arrives. Then a worker runs and events
come at --rate: live_counts is asked five times a second as boards do, beside SELECT 1, which says how long whoever asks
waits for the machine; then the tables of one bot without a pause. At the end what live_counts says is compared with
`moves FINAL`.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.arriving import arriving
from bench.day import make_day
from bench.parts import committed, consuming, cpu_s, running, settings_in
from broker.produce import Producer
from broker.topics import make_topics
from journey.calendar import Calendar
from journey.events import TOPIC_LIVE
from settings import Settings
from sql.client import Client
from sql.migrate import migrate
from sql.sink import EDGE_COUNTS, Sink
from stack.jars import fetch
from stack.parts import clickhouse_part, kafka_part

SITE, BOT = "bench", "bot-0"

_FROM = """FROM moves FINAL
    WHERE site_id = {site:String} AND bot_id = {bot:String} AND day = toDate(now(), {zone:String})"""
EDGES = f"""SELECT step, dialog, move, message, next_step, next_dialog,
    count() AS moves, uniqExact(room) AS rooms, uniqExact(customer) AS customers {_FROM}
    GROUP BY step, dialog, move, message, next_step, next_dialog"""
SAME = f"""SELECT step, dialog, move, message, next_step, next_dialog, count() AS moves, uniqExact(room) AS rooms,
    uniqExact(customer) AS customers, countIf(toDate(entered_at, {{zone:String}}) <> day) AS carried {_FROM}
    GROUP BY GROUPING SETS (
        (day, step, dialog, move, message, next_step, next_dialog), (day, next_step, next_dialog))"""
VIEWS = {
    "EDGES": EDGES,
    "SAME": SAME,
    "today_table": "SELECT * FROM today_table(site = {site:String}, bot = {bot:String})",
    "live_counts": "SELECT * FROM live_counts(site = {site:String})",
    "SELECT 1": "SELECT 1",
}
#: What a board asks for each second, some five of them; and the tables of one bot, without a pause.
BOARD, BOARD_EVERY_S = ["SELECT 1", "live_counts"], 0.2
TABLES = ["EDGES", "SAME", "today_table"]

#: As the worker would have written them, up to the first offset.
COUNTS = f"""
    INSERT INTO edge_counts (topic, partition, day, site_id, bot_id, step, dialog, move, message, next_step,
        next_dialog, moves, upto)
    SELECT '{TOPIC_LIVE}', room % 12 AS of, day, site_id, bot_id, step, dialog, move, message, next_step, next_dialog,
        count(), 0
    FROM moves FINAL
    WHERE part < 9
    GROUP BY of, day, site_id, bot_id, step, dialog, move, message, next_step, next_dialog
"""
#: Rooms of the day before that have been silent for a day now: one more a room that ended by itself.
TIMEOUTS = """
    INSERT INTO moves (site_id, bot_id, room_id, customer_id, seq, part, version, is_deleted, occurred_at, entered_at,
        received_at, step, dialog, move, message, next_step, next_dialog, channel, category, scenario_version)
    SELECT site_id, bot_id, concat('silent ', room_id), customer_id, seq, 9, version + 1, 0, occurred_at,
        occurred_at - toIntervalDay(1), received_at - toIntervalDay(1), step, dialog, 'bot_end', 'timeout', 0, '',
        channel, category, scenario_version
    FROM moves
    WHERE message = 'manager'
"""
TIMED_OUT = "SELECT DISTINCT day, site_id, bot_id, step, dialog, move, message, next_step, next_dialog FROM timeouts"
DIFFERENCE = """
    SELECT count(), sum(abs(counted)) FROM (
        SELECT sum(n) AS counted
        FROM (
            SELECT bot_id, step, dialog, move, message, next_step, next_dialog, toInt64(moves) AS n
            FROM live_counts(site = {site:String})
            UNION ALL
            SELECT bot_id, step, dialog, move, message, next_step, next_dialog, -toInt64(1)
            FROM moves FINAL WHERE site_id = {site:String} AND day = toDate(now(), {zone:String})
        )
        GROUP BY bot_id, step, dialog, move, message, next_step, next_dialog
        HAVING counted <> 0
    )
"""


async def first_offsets(settings: Settings) -> None:
    """A tick for each partition: what comes after it lies above the offset that COUNTS has."""
    async with Producer(settings.kafka, TOPIC_LIVE) as producer:
        for _ in range(producer.partitions):
            await producer.send(b'{"type":"tick"}')


def fill(settings: Settings, client: Client, moves: int) -> None:
    begun, calendar = time.monotonic(), Calendar(settings.timezone)
    make_day(client, calendar.midnight(calendar.day(time.time_ns() // 1_000_000)), moves, [SITE])
    client.run(COUNTS)
    client.run(TIMEOUTS)
    sink = Sink(client)
    sink.edge_totals(client.rows(f"SELECT {', '.join(EDGE_COUNTS)} FROM edge_counts"))
    sink.timeouts([(day, edge) for day, *edge in client.rows(TIMED_OUT)])  # type: ignore[misc]
    asyncio.run(first_offsets(settings))
    (((there, counts),)) = client.rows("SELECT (SELECT count() FROM moves), (SELECT count() FROM edge_counts)")
    print(f"{there:,} moves, {counts:,} rows of edge_counts, made in {time.monotonic() - begun:.0f} s", flush=True)


def ask(
    client: Client, settings: Settings, pid: int, names: Sequence[str], more: Callable[[int], bool], pause_s: float = 0
) -> dict[str, list[tuple[float, float]]]:
    """Ask in turns as long as `more(round)`: of each, seconds by the clock and of ClickHouse's CPU."""
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    given = {"site": SITE, "bot": BOT, "zone": settings.timezone}
    for name in names:
        client.rows(VIEWS[name], given)  # the first of each is not counted
    turn = 0
    while more(turn):
        for name in names:
            begun, cpu = time.monotonic(), cpu_s(pid)
            client.rows(VIEWS[name], given)
            took[name].append((time.monotonic() - begun, cpu_s(pid) - cpu))
        turn += 1
        time.sleep(random.uniform(0, 2 * pause_s))
    return took


def show(title: str, took: dict[str, list[tuple[float, float]]], *, cpu: bool) -> None:
    print(f"{title}, {min(map(len, took.values()))} rounds")
    for name, found in took.items():
        clock = sorted(seconds for seconds, _ in found)
        words = [f"{name:12} p50 {1000 * median(clock):5.0f} ms  p95 {1000 * _at(clock, 0.95):5.0f} ms"]
        if name == "today_table":
            words += [f"{median(_ratios(found, took[bare], 0)):.2f} x {bare}" for bare in ("EDGES", "SAME")]
        if cpu:
            words.append(f"CPU {1000 * sum(used for _, used in found) / len(found):5.0f} ms")
        print("  " + ", ".join(words), flush=True)


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _ratios(found: Iterable[tuple[float, float]], bare: Iterable[tuple[float, float]], place: int) -> list[float]:
    """Of each round, one beside the other."""
    return [one[place] / other[place] for one, other in zip(found, bare, strict=True)]


def while_arriving(settings: Settings, client: Client, pid: int, rate: float, seconds: float) -> None:
    with consuming(settings) as worker, arriving(settings, rate, 2 * seconds + 120) as sender:
        until = time.monotonic() + 120
        while committed(settings, "turnpath") < 20 * rate / 10:
            assert worker.code is None, worker.last_words()
            assert time.monotonic() < until, f"the worker does not come along: {worker.last_words()}"
            time.sleep(0.5)
        for names, pause_s in ((BOARD, BOARD_EVERY_S), (TABLES, 0)):
            begun, first = time.monotonic(), committed(settings, "turnpath")
            took = ask(client, settings, pid, names, lambda _, end=begun + seconds: time.monotonic() < end, pause_s)  # type: ignore[misc]
            came = (committed(settings, "turnpath") - first) / (time.monotonic() - begun)
            show(f"while {came:,.0f} events/s are consumed", took, cpu=False)
        sender.stop(10)
        _settle(settings)
    edges, moves = client.rows(DIFFERENCE, {"site": SITE, "zone": settings.timezone})[0]
    print(f"edges in which live_counts and moves FINAL differ: {edges}, by {moves} moves")


def _merged(client: Client) -> None:
    """Wait until the merges that the filling left behind are done."""
    until = time.monotonic() + 120
    while client.rows("SELECT count() FROM system.merges")[0][0] and time.monotonic() < until:
        time.sleep(0.5)


def _settle(settings: Settings) -> None:
    """Wait until nothing more is committed."""
    last, since = -1, time.monotonic()
    while time.monotonic() < since + 3:
        if (now := committed(settings, "turnpath")) != last:
            last, since = now, time.monotonic()
        time.sleep(0.3)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--moves", type=int, default=8_000_000)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--rate", type=float, default=10_000)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--small", action="store_true", help="400,000 moves, 5 rounds, 1,000 events/s for 10 s")
    given = options.parse_args()
    if given.small:
        given.moves, given.rounds, given.rate, given.seconds = 400_000, 5, 1_000, 10
    with TemporaryDirectory(prefix="turnpath-bench-") as folder, ExitStack() as parts:
        settings = settings_in(Path(folder))
        fetch(settings.cache)
        clickhouse = parts.enter_context(running(clickhouse_part(settings), Path(folder)))
        parts.enter_context(running(kafka_part(settings).giving_way(), Path(folder)))
        make_topics(settings)
        migrate(settings)
        client = parts.enter_context(Client(settings.clickhouse))
        fill(settings, client, given.moves)
        _merged(client)
        show("quiet", ask(client, settings, clickhouse.pid, list(VIEWS), lambda turn: turn < given.rounds), cpu=True)
        while_arriving(settings, client, clickhouse.pid, given.rate, given.seconds)


if __name__ == "__main__":
    main()
