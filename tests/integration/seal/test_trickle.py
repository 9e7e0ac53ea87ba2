"""Late events that keep coming for a day's rooms, one while each attempt is built."""

import random

from journey.events import TOPIC_LIVE, Event, RoomKey
from seal.run import Sealer
from settings import Settings
from sql.client import Client
from tests.integration.seal.scene import CUSTOMERS, FAR, FIRST, SEOUL, same
from tests.integration.seal.truth import SEAL_AT, Consumer, RandomLog, count, published, record
from tests.unit.histories import HOUR

ROOMS = 12
LIVE = (TOPIC_LIVE, 0)


def trickle() -> RandomLog:
    """Rooms of the second day, closed, each with a gap that was given up; what is missing comes after the cut-off, room
    by room."""
    log = RandomLog(random.Random("trickle"), SEOUL, FIRST, 4, rooms=0)
    at, after = SEOUL.midnight(log.days[1]) + HOUR, SEOUL.cut_off(log.days[1], SEAL_AT) + HOUR
    keys = [RoomKey("s", f"r{number}") for number in range(ROOMS)]
    turns = [Event("turn", n, at + n, "x", "customer 1", dialog="ABC"[n - 1], input_kind="none") for n in (1, 2, 3)]
    close = Event("room_closed", 4, at + 4, "x", "customer 1", closed_by="customer")
    sent = [(at + 4, key, event) for key in keys for event in (*turns[:2], close)]
    sent += [(at + HOUR, RoomKey("s", "another"), turns[0])]  # by whose time the gaps are given up
    sent += [(after + n, key, turns[2]) for n, key in enumerate(keys)]
    log.records[LIVE] = [record(offset, *item) for offset, item in enumerate(sent)]
    return log


def test_a_day_is_sealed_although_late_events_keep_coming(consumed: Settings) -> None:
    log, built = trickle(), list[str]()
    day = log.days[1]

    def meanwhile(words: str) -> None:
        if words.endswith("building"):
            built.append(words)
            consumer._poll(LIVE, consumer.position[LIVE] + 1)

    with Client(consumed.clickhouse) as client:
        consumer = Consumer(client, log)
        consumer._poll(LIVE, 3 * ROOMS + 1)
        Sealer(consumed, lambda: FAR, meanwhile).seal(day)
        assert len(built) == 2
        same(published(client, day, CUSTOMERS), count(log, day, set(), set()))
