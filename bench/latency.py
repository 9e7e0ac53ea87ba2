"""How long until an event is in today_table? 1,000 events/s in order to a running worker, the view asked all the while.

    python -m bench.latency [--rate 1000] [--seconds 60]

Every event is a visit of some dialog, so the inflow of today_table over all dialogs is the number of events that are
in it. The n-th event sent counts as seen when that number reaches n: with partitions that overtake one another a few
milliseconds too late, never too early once all are in. The reading itself is part of it.
"""

import argparse
import asyncio
import bisect
import threading
import time

from bench.events import stamped, stream
from bench.parts import consuming, stack
from broker.produce import Producer
from journey.events import TOPIC_LIVE
from settings import Settings
from sql.client import Client

SEEN = """SELECT sum(inflow) FROM (SELECT DISTINCT step, dialog, inflow
FROM today_table(site={site:String}, bot={bot:String}))"""


async def send(settings: Settings, rate: float, seconds: float, sent: list[float]) -> None:
    """Turns of one bot at this rate; `sent` gets the time of each."""
    turns = ((key, event) for key, event in stream(10**9) if event["type"] == "turn")
    async with Producer(settings.kafka, TOPIC_LIVE) as producer:
        begun = time.monotonic()
        while (now := time.monotonic()) < begun + seconds:
            while len(sent) < (now - begun) * rate:
                key, event = next(turns)
                await producer.send(stamped({**event, "bot_id": "bot-0"}), key)
                sent.append(time.monotonic())
            await asyncio.sleep(0.002)


def watch(settings: Settings, seen: list[tuple[float, int]], done: threading.Event) -> None:
    """What today_table has, as often as it answers: (when the answer was here, how many)."""
    with Client(settings.clickhouse) as client:
        while not done.is_set():
            count = client.rows(SEEN, {"site": "bench", "bot": "bot-0"})[0][0]
            seen.append((time.monotonic(), count))
            time.sleep(0.05)


def delays(sent: list[float], seen: list[tuple[float, int]]) -> list[float]:
    """Seconds from sending to being seen, of each event that was seen."""
    counts = [count for _, count in seen]
    found = []
    for number, at in enumerate(sent, 1):
        place = bisect.bisect_left(counts, number)
        if place < len(seen):
            found.append(seen[place][0] - at)
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rate", type=float, default=1000)
    options.add_argument("--seconds", type=float, default=60)
    given = options.parse_args()
    sent: list[float] = []
    seen: list[tuple[float, int]] = []
    done = threading.Event()
    with stack() as settings, consuming(settings):
        time.sleep(6)  # the group forms
        watcher = threading.Thread(target=watch, args=(settings, seen, done))
        watcher.start()
        asyncio.run(send(settings, given.rate, given.seconds, sent))
        until = time.monotonic() + 10
        while time.monotonic() < until and (not seen or seen[-1][1] < len(sent)):
            time.sleep(0.1)
        done.set()
        watcher.join()
    found = sorted(delays(sent, seen))
    print(
        f"{len(sent):,} events sent at {given.rate:,.0f}/s, {len(found):,} seen; {len(seen):,} readings of today_table"
    )
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)):
        print(f"{name} {1000 * found[min(len(found) - 1, int(share * len(found)))]:.0f} ms")


if __name__ == "__main__":
    main()
