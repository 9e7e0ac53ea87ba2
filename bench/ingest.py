"""Broker -> turns, moves, rooms -> commit, end to end, beside stock Faust doing the same.

    python -m bench.ingest [--events 1500000] [--stock-events 100000]

Prints events/s of both (between the first and the last commit seen), their ratio, the worker's CPU and memory.
"""

import argparse
import asyncio
import sys
import threading
import time

from bench.events import stamped, stream
from bench.parts import committed, consuming, cpu_s, memory_mb, process, rate, stack
from broker.produce import Producer
from journey.events import TOPIC_LIVE
from settings import Settings
from sql.client import Client
from stack.parts import GIVES_WAY


async def fill(settings: Settings, count: int) -> None:
    async with Producer(settings.kafka, TOPIC_LIVE) as producer:
        for key, event in stream(count):
            await producer.send(stamped(event), key)


def measure_worker(settings: Settings, events: int) -> float:
    with consuming(settings) as worker:
        memory: list[float] = []
        done = threading.Event()

        def watch() -> None:
            while not done.wait(0.5):
                memory.append(memory_mb(worker.pid))

        threading.Thread(target=watch, daemon=True).start()
        begun = cpu_s(worker.pid)
        speed, samples = rate(lambda: committed(settings, "turnpath"), events)
        done.set()
        quarters = [f"{memory[len(memory) * n // 4 - 1]:.0f}" for n in (1, 2, 3, 4)]
        print(f"worker: {speed:,.0f} events/s; {samples[-1][1]:,} committed in {samples[-1][0] - samples[0][0]:.1f} s")
        print(f"  CPU {1e6 * (cpu_s(worker.pid) - begun) / events:.1f} µs an event, start included")
        print(f"  memory {max(memory):.0f} MB at most; after each quarter of the run {', '.join(quarters)}")
    return speed


def measure_stock(settings: Settings, events: int) -> float:
    """The rate over the first `events` of the same log."""
    with process(settings, "stock", [sys.executable, "-m", "bench.stock"], GIVES_WAY):  # as the worker
        speed, _ = rate(lambda: committed(settings, "stock"), events)
    print(f"stock Faust: {speed:,.0f} events/s")
    return speed


def check(settings: Settings, events: int) -> None:
    with Client(settings.clickhouse) as client:
        (turns,) = client.rows("SELECT count() FROM turns FINAL")[0]
        (moves,) = client.rows("SELECT count() FROM moves FINAL")[0]
    assert turns == events, f"{turns} of {events} in turns"
    print(f"turns FINAL {turns:,}, moves FINAL {moves:,}: all there")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=1_500_000)
    options.add_argument("--stock-events", type=int, default=100_000)
    given = options.parse_args()
    with stack() as settings:
        begun = time.monotonic()
        asyncio.run(fill(settings, given.events))
        print(f"produced {given.events:,} events in {time.monotonic() - begun:.1f} s")
        ours = measure_worker(settings, given.events)
        check(settings, given.events)
        stock = measure_stock(settings, given.stock_events)
        print(f"ratio: {ours / stock:.1f}")


if __name__ == "__main__":
    main()
