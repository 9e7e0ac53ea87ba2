"""Events that arrive while something else is measured, sent by a process of their own.

    python -m bench.arriving --kafka HOST:PORT --rate 10000 --seconds 60

Rooms of bench.events, a few turns and a close each.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.events import stamped, stream
from bench.parts import process
from broker.produce import Producer
from journey.events import TOPIC_LIVE
from settings import Settings
from stack.process import Process


@contextmanager
def arriving(settings: Settings, rate: float, seconds: float) -> Iterator[Process]:
    """Such a process, for as long as its user measures."""
    command = [sys.executable, "-m", "bench.arriving", "--kafka", settings.kafka]
    # customers sit at machines of their own: this one is kept from those who ask only where nobody does
    with process(settings, "arriving", [*command, "--rate", str(rate), "--seconds", str(seconds)], 19) as sender:
        yield sender


async def send(kafka: str, rate: float, seconds: float) -> int:
    """Send at this rate; how many were sent."""
    events = stream(10**9)
    sent, begun = 0, time.monotonic()
    async with Producer(kafka, TOPIC_LIVE) as producer:
        while (now := time.monotonic()) < begun + seconds:
            while sent < (now - begun) * rate:
                key, event = next(events)
                await producer.send(stamped(event), key)
                sent += 1
            await asyncio.sleep(0.005)
    return sent


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kafka", required=True)
    options.add_argument("--rate", type=float, default=10_000)
    options.add_argument("--seconds", type=float, default=60)
    given = options.parse_args()
    print(f"{asyncio.run(send(given.kafka, given.rate, given.seconds)):,} events sent")


if __name__ == "__main__":
    main()
