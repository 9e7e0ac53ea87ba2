"""How long until a room that opens is counted by rooms_now? The real broker, worker and ClickHouse, with other traffic.

    python -m bench.rooms_now [--rooms 1000] [--rate 300] [--gap-ms 50] [--small]

Each room is of a bot of its own, so that rooms_now says which are there. They open at random, --gap-ms apart
on average, while --rate events/s of other rooms arrive. Measured from before the sending to the answer that has the
room; the asking, again and again with 20 ms between, is part of it.
"""

import argparse
import asyncio
import random
import threading
import time

from bench.arriving import arriving
from bench.events import stamped
from bench.parts import committed, consuming, stack
from broker.produce import Producer
from journey.events import TOPIC_LIVE
from settings import Settings
from sql import read
from sql.client import Client

SITE = "probe"


def opening(number: int) -> dict[str, object]:
    return {
        "type": "turn",
        "site_id": SITE,
        "bot_id": f"bot-{number}",
        "room_id": f"probe-{number}",
        "customer_id": f"customer-{number}",
        "seq": 1,
        "dialog": "처음",
        "input_kind": "none",
    }


async def send(settings: Settings, rooms: int, gap_s: float, sent: dict[str, float]) -> None:
    """Open the rooms; `sent` gets the time of each, by bot."""
    rng = random.Random(1)
    async with Producer(settings.kafka, TOPIC_LIVE) as producer:
        for number in range(rooms):
            await asyncio.sleep(rng.expovariate(1 / gap_s))
            event = opening(number)
            sent[str(event["bot_id"])] = time.monotonic()
            await producer.send(stamped(event), str(event["room_id"]).encode())


def watch(settings: Settings, seen: dict[str, float], asked: list[float], done: threading.Event) -> None:
    """When each bot was first in an answer, and how long each answer took."""
    with Client(settings.clickhouse) as client:
        while not done.is_set():
            begun = time.monotonic()
            bots = [row["bot_id"] for row in read.rooms_now(client, SITE).dicts()]
            now = time.monotonic()
            asked.append(now - begun)
            for bot in bots:
                seen.setdefault(bot, now)
            time.sleep(0.02)


def measure(settings: Settings, rooms: int, rate: float, gap_s: float) -> None:
    sent: dict[str, float] = {}
    seen: dict[str, float] = {}
    asked: list[float] = []
    done = threading.Event()
    limit_s = rooms * gap_s * 2 + 120
    with consuming(settings) as worker, arriving(settings, rate, limit_s):
        until = time.monotonic() + 60
        while committed(settings, "turnpath") < 3 * rate:
            assert time.monotonic() < until, f"the worker does not come along: {worker.last_words()}"
            time.sleep(0.5)
        watcher = threading.Thread(target=watch, args=(settings, seen, asked, done))
        watcher.start()
        asyncio.run(send(settings, rooms, gap_s, sent))
        until = time.monotonic() + 20
        while len(seen) < rooms and time.monotonic() < until:
            time.sleep(0.1)
        done.set()
        watcher.join()
    show("counted by rooms_now after", [seen[bot] - at for bot, at in sent.items() if bot in seen])
    show("an answer of rooms_now took", asked)
    print(f"{len(seen):,} of {len(sent):,} rooms seen, {rate:,.0f} other events/s")


def show(title: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    shares = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0))
    found = [
        f"{name} {1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]:.0f} ms" for name, share in shares
    ]
    print(f"{title}: {', '.join(found)}", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rooms", type=int, default=1000)
    options.add_argument("--rate", type=float, default=300)
    options.add_argument("--gap-ms", type=float, default=50)
    options.add_argument("--small", action="store_true", help="200 rooms")
    given = options.parse_args()
    with stack() as settings:
        measure(settings, 200 if given.small else given.rooms, given.rate, given.gap_ms / 1000)


if __name__ == "__main__":
    main()
