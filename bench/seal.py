"""A seal of a busy day beside one plain GROUP BY with the same aggregates, by the same engine, in turns.

    python -m bench.seal [--moves 8000000] [--rounds 5] [--memory 1500000000]

Prints the medians of both and their ratios, by the clock and by the CPU time of ClickHouse's process (which other work
on the machine disturbs less), without a limit and with one, and how much memory ClickHouse's process had at most. The
seal is all of it but the wait for the workers; the day before is as large, and is there, too.
"""

import argparse
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.day import make_day
from bench.parts import cpu_s, running, settings_in
from journey.calendar import Calendar
from journey.events import TOPIC_LIVE
from seal.gate import Reached
from seal.run import Sealer
from settings import Settings
from sql.client import Client
from sql.migrate import migrate
from stack.parts import clickhouse_part

DAY = date(2026, 11, 22)

PLAIN = """SELECT count() AS edges, sum(moves), sum(rooms), sum(customers) FROM (
    SELECT site_id, bot_id, step, dialog, move, message, next_step, next_dialog,
        count() AS moves, uniqExact(room) AS rooms, uniqExact(customer) AS customers
    FROM moves FINAL WHERE day = {day:Date}
    GROUP BY site_id, bot_id, step, dialog, move, message, next_step, next_dialog)"""


@dataclass(frozen=True)
class Took:
    """Seconds by the clock and of CPU, and the most memory that ClickHouse's process had (MB)."""

    clock_s: float
    cpu_s: float
    peak_mb: float


def take(pid: int, work: Callable[[], object]) -> Took:
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak from here on
    begun, cpu = time.monotonic(), cpu_s(pid)
    work()
    clock, used = time.monotonic() - begun, cpu_s(pid) - cpu
    peak = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return Took(clock, used, int(peak.split()[1]) / 1024)


def measure(settings: Settings, pid: int, rounds: int, memory: int) -> None:
    limited = settings.model_copy(update={"seal_memory": memory})
    took: dict[str, list[Took]] = {"plain": [], "seal": [], "limited": []}
    for _ in range(rounds):
        for name, some in (("seal", settings), ("limited", limited)):
            took["plain"].append(take(pid, lambda: plain(settings)))
            took[name].append(take(pid, lambda some=some: seal(some)))  # type: ignore[misc]
            print(f"  {name}: {took[name][-1].clock_s:.2f} s beside {took['plain'][-1].clock_s:.2f} s", flush=True)
    told = {"plain": "plain GROUP BY", "seal": "seal", "limited": f"seal under {memory / 1e9:.1f} GB a statement"}
    base = typical(took["plain"])
    for name, words in told.items():
        found = typical(took[name])
        times = (
            f"{found.clock_s / base.clock_s:.1f} times; CPU {found.cpu_s:.1f} s, {found.cpu_s / base.cpu_s:.1f} times"
        )
        print(f"{words}: {found.clock_s:.2f} s, {times}; memory of the process {found.peak_mb:,.0f} MB at most")


def typical(took: list[Took]) -> Took:
    return Took(median(t.clock_s for t in took), median(t.cpu_s for t in took), max(t.peak_mb for t in took))


def plain(settings: Settings) -> None:
    with Client(settings.clickhouse) as client:
        client.rows(PLAIN, {"day": DAY})


def seal(settings: Settings) -> None:
    with Client(settings.clickhouse) as client:
        client.run(f"ALTER TABLE daily DROP PARTITION '{DAY}'")
    cut_off = Calendar(settings.timezone).cut_off(DAY, settings.seal_at)
    Ungated(settings, lambda: cut_off, lambda words: None).seal(DAY)


class Ungated(Sealer):
    """There is no broker here, and nothing that is not consumed yet."""

    def _await_consumed(self, cut_off: int, who: str) -> Reached:
        return [(TOPIC_LIVE, 0, 0)]


def fill(settings: Settings, moves: int) -> None:
    begun, calendar = time.monotonic(), Calendar(settings.timezone)
    with Client(settings.clickhouse) as client:
        for day in (DAY - timedelta(days=1), DAY):
            make_day(client, calendar.midnight(day), moves)
        ((count, rooms),) = client.rows(
            "SELECT count(), uniqExact(room) FROM moves FINAL WHERE day = {day:Date}", {"day": DAY}
        )
    print(
        f"{count:,} moves of {rooms:,} rooms, and as many the day before, in {time.monotonic() - begun:.0f} s",
        flush=True,
    )


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--moves", type=int, default=8_000_000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--memory", type=int, default=1_500_000_000, help="TURNPATH_SEAL_MEMORY of the limited seal")
    given = options.parse_args()
    with TemporaryDirectory(prefix="turnpath-bench-") as folder, ExitStack() as parts:
        settings = settings_in(Path(folder)).model_copy(update={"keep_events": timedelta(days=18_250)})
        clickhouse = parts.enter_context(running(clickhouse_part(settings), Path(folder)))
        migrate(settings)
        fill(settings, given.moves)
        measure(settings, clickhouse.pid, given.rounds, given.memory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
