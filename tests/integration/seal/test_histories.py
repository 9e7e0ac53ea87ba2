"""Two hundred random histories, each of a site of its own: every row of `daily` beside a count in plain Python.

Fifty in each of three zones, one of them twice, about both days on which its clocks change. In them is what a seal must
get right (`kinds`): rooms over midnight and that silence ended, late events, gaps filled late, conflicts, bots
switched off and on around the cut-offs, the same bot in many sites.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial

import pytest

from journey.calendar import Calendar
from journey.events import RoomKey
from journey.fold import fold
from seal.run import Sealer
from settings import Settings
from sql.client import Client
from sql.sink import Sink
from tests.integration.seal.scene import CUSTOMERS, FAR, left_behind, same
from tests.integration.seal.truth import (
    IDLE,
    SEAL_AT,
    Consumer,
    RandomLog,
    count,
    out_of_use,
    published,
    random_bots,
    received,
)
from tests.unit.histories import DAY, HOUR

#: Fifty histories of some 15 rooms a run; TURNPATH_TEST_HISTORIES for more.
HISTORIES = int(os.environ.get("TURNPATH_TEST_HISTORIES", "50"))
ROOMS_OF_A_PARTITION = 5

ZONES = {
    "Seoul": ("Asia/Seoul", date(2026, 3, 6)),
    "New York, the day of 23 hours": ("America/New_York", date(2026, 3, 6)),
    "New York, the day of 25 hours": ("America/New_York", date(2026, 10, 30)),
    "UTC": ("UTC", date(2026, 3, 6)),
}


@dataclass
class Histories:
    """A log of many sites, the changes of their bots, and the worker that consumes them."""

    settings: Settings
    log: RandomLog
    bots: list[tuple[object, ...]]
    consumer: Consumer


@pytest.fixture(params=ZONES, ids=str)
def case(request: pytest.FixtureRequest) -> str:
    """One of ZONES."""
    return str(request.param)


@pytest.fixture
def zone(case: str) -> str:
    return ZONES[case][0]


@pytest.fixture
def histories(consumed: Settings, case: str) -> Iterator[Histories]:
    zone, first = ZONES[case]
    rng = random.Random(f"{case} {os.environ.get('TURNPATH_TEST_SEED', '')}")
    sites = [f"site {n:04}" for n in range(HISTORIES)]
    rooms = ROOMS_OF_A_PARTITION * HISTORIES
    log = RandomLog(rng, Calendar(zone), first, 4, rooms, late=0.1, late_rooms=0.1, conflicts=0.05, sites=sites)
    with Client(consumed.clickhouse) as client:
        bots = random_bots(rng, log)
        Sink(client).bots(bots)
        yield Histories(consumed, log, bots, Consumer(client, log))


def test_each_seal_is_what_a_count_of_the_log_says(histories: Histories) -> None:
    """Three days one after the other, on one of the last two the clocks change; the worker is at the cut-off or well
    past it."""
    log = histories.log
    elsewhere, left_out, in_use = set[RoomKey](), set[str](), set[str]()
    with Client(histories.settings.clickhouse) as client:
        for day in log.days[:3]:
            cut_off = log.calendar.cut_off(day, SEAL_AT)
            histories.consumer.consume(cut_off + log.rng.choice((0, HOUR, DAY)))
            truth = count(log, day, out_of_use(histories.bots, cut_off), elsewhere)
            seal = Sealer(histories.settings, partial(int, cut_off), lambda words: None).seal(day)
            same(published(client, day, CUSTOMERS, log.sites), truth)
            rooms = {RoomKey(room[0], room[2]) for room in truth.rooms}
            assert (seal.rooms, seal.moves) == (len(rooms), sum(edge[-2] for edge in truth.edges))
            elsewhere |= rooms
            left_out |= set(truth.left_out)
            in_use |= {f"{room[0]}:{room[1]}" for room in truth.rooms}
        assert not left_behind(client)
        assert client.rows("SELECT count() FROM dead_letters WHERE reason = 'conflict'") > [(0,)]
    assert left_out & in_use, "a bot out of use hides its day, not its other days"
    assert kinds(log, elsewhere) == {"over midnight", "ended by silence", "late", "a gap filled late", "two bots"}


def kinds(log: RandomLog, sealed: set[RoomKey]) -> set[str]:
    """What there is among the rooms that were sealed."""
    found = set[str]()
    for key, entries in received(log, FAR).items():
        folded = fold(entries, IDLE, FAR)
        if key not in sealed or folded is None or folded.room.ended_at is None:
            continue
        days = [log.calendar.day(entry.event.occurred_at) for entry in entries]
        by_offset = [entry.event.seq for entry in sorted(entries, key=lambda entry: entry.received_at)]
        found |= {
            *(["over midnight"] if len(set(days)) > 1 else []),
            *(["ended by silence"] if folded.room.closed_by == "timeout" else []),
            *(["late"] if folded.room.last_received_at > log.calendar.cut_off(days[-1], SEAL_AT) else []),
            *(["a gap filled late"] if by_offset != sorted(by_offset) else []),
            *(["two bots"] if len({row.bot_id for row in folded.rows}) > 1 else []),
        }
    return found
