"""The short form of `make soak`: real broker, real workers, real ClickHouse behind a proxy; faults from a seed.

TURNPATH_TEST_SEED plays another; a failure names the rows that differ, and the seed.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults import crashing
from tests.faults.driver import Driver, Scenario
from tests.faults.parts import Parts

SEED = os.environ.get("TURNPATH_TEST_SEED", "1")
EVENTS, PER_S = 5000, 400.0

#: Of the points of a batch those at which most can go wrong; `make soak` goes through all.
CRASHES = (
    "turns after",
    "moves before",
    "moves after",
    "rooms after",
    "edge_counts after",
    "progress after",
    "ack before",
    "commit before",
)

SHORT = Scenario(
    "short",
    {"kill": 3, "term": 1, "pause": 1, "cut_insert": 3, "broker": 1, "refuse": 1, "swallow": 1, "slow": 1, "cut": 1},
    refused=0.1,
    lost=0.1,
    crashes=CRASHES,
)

#: So many of the points of a seal are tried, beside those about the statement that publishes.
SEAL_POINTS = 10


@pytest.fixture
def parts(
    kafka_template: Path, clickhouse_address: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Parts]:
    folder = tmp_path_factory.mktemp("faults")
    with Parts(folder, clickhouse=clickhouse_address, redis=redis_url, template=kafka_template) as made:
        yield made


def test_nothing_is_lost_and_nothing_counted_twice(parts: Parts) -> None:
    """One test for all of it: what comes later stands on the tables and logs that the faults before have left."""
    played = Driver(parts, SHORT, SEED, EVENTS, PER_S).play()
    assert played.differences == []
    assert {**SHORT.actions, "crash": len(CRASHES)}.items() <= played.done.items()
    assert played.facts["inserts cut"] > 0
    assert played.facts["sealed days"] >= 3
    assert crashing.crash_each_seal(parts.settings, some_points) == []
    assert crashing.run_plainly(parts) == []


def some_points(heard: list[str]) -> list[str]:
    """About the statement that publishes, and some others."""
    (publishes,) = (number for number, text in enumerate(heard, 1) if "REPLACE PARTITION" in text)
    others = random.Random(SEED).sample(range(1, len(heard) + 1), SEAL_POINTS)
    numbers = [publishes, publishes, publishes - 1, *others]
    return [f"statement {number} {'after' if at % 2 else 'before'}" for at, number in enumerate(numbers)]
