"""A million open rooms: the worker's memory, what a start costs, what reading back and looking for silence cost.

    python -m bench.open_rooms [--rooms 1000000] [--turns 3] [--tables-only]

Every room gets its turns and stays open. Then rooms at random speak once more; the worker is stopped and started, and a
few of them speak; then the statements are timed alone, over the tables as they are. With --tables-only the engine makes
the rooms, and only the statements are timed. bench.room_memory has the memory of a room alone.
"""

import argparse
import asyncio
import http.client
import random
import re
import time
from collections.abc import Iterator

from bench.events import OPEN, room_events, stamped
from bench.parts import committed, consuming, memory_mb, stack
from broker.produce import Producer
from journey.events import TOPIC_LIVE, RoomKey
from settings import Settings
from sql.client import Client
from sql.readback import Readback
from stack.ports import split
from stack.process import Process

SECOND = 1000


def opened(rooms: int, turns: int) -> Iterator[tuple[bytes, dict[str, object]]]:
    """The first turns of rooms, `OPEN` of them at a time under way, none closed."""
    rng = random.Random(1)
    numbers = iter(range(rooms))
    under_way: list[Iterator[dict[str, object]]] = []
    while True:
        while len(under_way) < OPEN and (number := next(numbers, None)) is not None:
            events = room_events(number, rng)
            under_way.append(next(events) for events in [events] * turns)
        if not under_way:
            return
        place = rng.randrange(len(under_way))
        event = next(under_way[place], None)
        if event is None:
            under_way[place] = under_way[-1]
            under_way.pop()
        else:
            yield str(event["room_id"]).encode(), event


def again(numbers: list[int], seq: int) -> Iterator[tuple[bytes, dict[str, object]]]:
    """One more turn of each of these rooms."""
    for number in numbers:
        event = next(room_events(number, random.Random(number)))
        event |= {"seq": seq, "dialog": "더", "input_kind": "button", "input": "더"}
        yield str(event["room_id"]).encode(), event


async def send(settings: Settings, events: Iterator[tuple[bytes, dict[str, object]]]) -> int:
    async with Producer(settings.kafka, TOPIC_LIVE) as producer:
        for key, event in events:
            await producer.send(stamped(event), key)
    return producer.acknowledged


def metric(settings: Settings, name: str) -> float:
    """The sum of a metric's samples; 0 where the worker does not answer."""
    connection = http.client.HTTPConnection(*split(settings.worker_http), timeout=10)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except OSError:
        return 0
    return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


def consume(settings: Settings, worker: Process, until: int) -> tuple[float, float]:
    """Wait until so many records are committed: seconds, and the worker's greatest resident memory meanwhile (MB)."""
    begun, most = time.monotonic(), 0.0
    while committed(settings, "turnpath") < until:
        most = max(most, memory_mb(worker.pid))
        assert worker.code is None, worker.last_words()
        time.sleep(0.5)
    return time.monotonic() - begun, max(most, memory_mb(worker.pid))


def measure(settings: Settings, rooms: int, turns: int) -> None:
    rng = random.Random(2)
    sent = asyncio.run(send(settings, opened(rooms, turns)))
    with consuming(settings) as worker:
        seconds, most = consume(settings, worker, sent)
        held = metric(settings, "turnpath_worker_rooms_in_memory")
        print(f"{rooms:,} open rooms of {turns} turns in {seconds:.1f} s: {most:.0f} MB at most, {held:,.0f} in memory")
        some = rng.sample(range(rooms), rooms // 10)
        sent += asyncio.run(send(settings, again(some, turns + 1)))
        seconds, most = consume(settings, worker, sent)
        back = metric(settings, "turnpath_worker_rooms_read_back_total")
        print(f"{len(some):,} of them speak again: {back:,.0f} read back in {seconds:.1f} s, {most:.0f} MB at most")
    begin_again(settings, rng.sample(sorted(set(range(rooms)) - set(some)), 1000), turns + 1, sent)


def begin_again(settings: Settings, numbers: list[int], seq: int, sent: int) -> None:
    """Start the worker anew; then these rooms speak."""
    begun = time.monotonic()
    with consuming(settings) as worker:
        while not metric(settings, "turnpath_worker_partitions"):
            time.sleep(0.05)
        print(f"started again: partitions after {time.monotonic() - begun:.1f} s")
        time.sleep(3)
        print(f"  read back by then: {metric(settings, 'turnpath_worker_rooms_read_back_total'):.0f} rooms")
        sent += asyncio.run(send(settings, again(numbers, seq)))
        seconds, most = consume(settings, worker, sent)
        back = metric(settings, "turnpath_worker_rooms_read_back_total")
        print(f"  {len(numbers):,} rooms speak: {back:,.0f} read back, committed after {seconds:.1f} s, {most:.0f} MB")


#: As the worker would have written them: three versions of each room, last spoken to over the last 20 hours.
_ROOMS = """
    INSERT INTO rooms (site_id, room_id, topic, partition, version, bot_id, customer_id, opened_at, last_at, entered_at,
        phase, phase_since, step, dialog, turns, last_received_at)
    SELECT 'bench', concat('room-', leftPad(toString(number), 12, '0')), 'chatbot.turns', number % 12, 2 * v, 'bot-1',
        toString(number % 700000), now64(3) - toIntervalSecond(number % 72000 + 100) AS opened_at,
        opened_at + toIntervalSecond(v * 20) AS last_at, opened_at, 'bot', opened_at, v, 'A', v, last_at
    FROM numbers({rooms:UInt64}) AS n, (SELECT arrayJoin([1, 2, 3]) AS v) AS versions
"""
_TURNS = """
    INSERT INTO turns (site_id, room_id, topic, partition, offset, seq, type, occurred_at, received_at, bot_id,
        customer_id, dialog, input_kind, input)
    SELECT 'bench', concat('room-', leftPad(toString(number), 12, '0')), 'chatbot.turns', number % 12,
        number * 3 + v, v, 'turn', now64(3) - toIntervalSecond(number % 72000 + 100) AS occurred_at, occurred_at,
        'bot-1', toString(number % 700000), 'A', 'button', 'B'
    FROM numbers({rooms:UInt64}) AS n, (SELECT arrayJoin(range(1, {turns:UInt8} + 1)) AS v) AS turns
"""


def make_tables(settings: Settings, rooms: int, turns: int) -> None:
    with Client(settings.clickhouse) as client:
        client.run(_ROOMS, {"rooms": rooms})
        client.run(_TURNS, {"rooms": rooms, "turns": turns})


def statements(settings: Settings, rooms: int) -> None:
    """The worker's reads alone."""
    keys = [RoomKey("bench", f"room-{number:012d}") for number in random.Random(3).sample(range(rooms), 10_000)]
    with Client(settings.clickhouse) as client:
        (turns,) = client.rows("SELECT count() FROM turns")[0]
        reads, now = Readback(client), time.time_ns() // 1_000_000
        for _ in range(3):
            begun = time.monotonic()
            known = reads.known_rooms(keys)
            between = time.monotonic()
            entries = reads.entries(known)
            done = time.monotonic()
            print(
                f"read back {len(known):,} rooms, {len(entries):,} entries of {turns:,}: "
                f"rooms {between - begun:.2f} s, turns {done - between:.2f} s"
            )
        for words, since, bound in (
            ("whole, none silent", 0, now - 86_400 * SECOND),
            ("whole, all silent", 0, now),
            ("10 s and the overlap, at the end", now - 70 * SECOND, now),
            ("10 s and the overlap, none", now - 86_470 * SECOND, now - 86_400 * SECOND),
        ):
            begun = time.monotonic()
            found = reads.silent_rooms(since, bound, 2_000)
            print(f"look for silent rooms, {words}: {time.monotonic() - begun:.3f} s, {len(found):,} found")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rooms", type=int, default=1_000_000)
    options.add_argument("--turns", type=int, default=3)
    options.add_argument("--tables-only", action="store_true")
    given = options.parse_args()
    with stack(broker=not given.tables_only) as settings:
        if given.tables_only:
            make_tables(settings, given.rooms, given.turns)
        else:
            measure(settings, given.rooms, given.turns)
        statements(settings, given.rooms)


if __name__ == "__main__":
    main()
