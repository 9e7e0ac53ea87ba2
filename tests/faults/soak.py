"""The long form: `make soak ROUNDS=n`. Every scenario of issue 4 on the real parts, with a seed; 0 differences each.

    python -m tests.faults.soak --rounds 1 --events 300000 --per-second 1500 --only kills

A line of JSON for each scenario on standard output; exit code 1 where anything differed. Logs stay in --folder.
"""

import argparse
import os
import shutil
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import structlog

from tests.faults.crashing import crash_each_seal, every_point, run_plainly
from tests.faults.driver import Driver, Outcome, Scenario
from tests.faults.parts import Parts
from tests.faults.points import POINTS

SCENARIOS = (
    Scenario("kills", {"kill": 100}),
    Scenario("kills, a fourth of the inserts failing", {"kill": 100}, refused=0.125, lost=0.125),
    Scenario("kills, the broker killed", {"kill": 100, "broker": 5}),
    Scenario("kills, ClickHouse cut in the middle of inserts", {"kill": 100, "cut_insert": 20}),
    Scenario("zombies", {"pause": 40, "kill": 10}),
    Scenario(
        "everything",
        {
            "kill": 15, "term": 8, "pause": 10, "join": 10, "broker": 3, "clickhouse": 4, "redis": 2, "cut": 8,
            "cut_insert": 8, "refuse": 5, "swallow": 5, "slow": 5,
        },
        refused=0.03,
        lost=0.03,
    ),
    Scenario("crash points", {}, crashes=POINTS),
)  # fmt: skip


def play(scenario: Scenario, seed: str, events: int, per_s: float, folder: Path, limit_s: float) -> Outcome:
    """A scenario on a stack of its own."""
    shutil.rmtree(folder, ignore_errors=True)
    with Parts(folder, java=("-Xmx512m",)) as parts:
        outcome = Driver(parts, scenario, seed, 1000 if scenario.crashes else events, per_s, limit_s).play()
        if scenario.crashes:  # they take the events that they need
            outcome.differences += crash_each_seal(parts.settings, every_point)
            outcome.differences += run_plainly(parts)
        return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", "1")))
    parser.add_argument("--seed", default=str(int(time.time())), help="the rounds are this seed and 0, 1, 2 …")
    parser.add_argument("--events", type=int, default=int(os.environ.get("TURNPATH_SOAK_EVENTS", "300000")))
    parser.add_argument("--per-second", type=float, default=float(os.environ.get("TURNPATH_SOAK_RATE", "1500")))
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no fault of a scenario after so long")
    parser.add_argument("--part", type=float, default=1.0, help="this part of each scenario's faults")
    parser.add_argument("--only", action="append", help="scenarios whose name begins so", default=[])
    parser.add_argument("--folder", type=Path, default=Path("/tmp/turnpath-soak"))
    given = parser.parse_args()
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(file=sys.stderr))
    failed = False
    for number in range(given.rounds):
        for scenario in SCENARIOS:
            if given.only and not any(scenario.name.startswith(name) for name in given.only):
                continue
            part = {name: max(1, round(given.part * times)) for name, times in scenario.actions.items()}
            scenario = replace(scenario, actions=part)
            folder = given.folder / f"{number}-{scenario.name.replace(' ', '-').replace(',', '')}"
            outcome = play(
                scenario, f"{given.seed}-{number}", given.events, given.per_second, folder, given.minutes * 60
            )
            failed |= bool(outcome.differences)
            print(orjson.dumps(asdict(outcome)).decode(), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
