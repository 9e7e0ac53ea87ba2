"""A room is in one day's seal only, and stays there until that day is resealed."""

import random
from collections.abc import Callable
from datetime import date

import pytest

from journey.errors import NotSealed
from journey.events import TOPIC_LIVE, Event, RoomKey
from seal.reseal import Resealer
from seal.run import Sealer
from settings import Settings
from sql.client import Client
from tests.integration.seal.scene import CUSTOMERS, FAR, FIRST, SEOUL, same, sealer
from tests.integration.seal.truth import SEAL_AT, Consumer, RandomLog, count, published, record
from tests.unit.histories import DAY, HOUR

MINUTE = HOUR // 60


Sent = list[tuple[int, RoomKey, Event]]


def fell_silent(log: RandomLog, key: RoomKey, later: int = DAY // 2) -> Sent:
    """Its silence ended it on the second day, by what was known at that day's cut-off. Its next event, of just after
    midnight, came half a day `later`: with it it was the third day on which it was silent for long enough."""
    midnight = SEOUL.midnight(log.days[1])
    turn = Event("turn", 1, midnight - 10 * MINUTE, "x", "customer 1", dialog="A", input_kind="none")
    went = Event("turn", 2, midnight + 10 * MINUTE, "x", "customer 1", dialog="B", input_kind="button", input="on")
    return [(turn.occurred_at, key, turn), (midnight + DAY + later, key, went)]


def was_closed(log: RandomLog, key: RoomKey) -> Sent:
    """Closed on the second day, with a gap before that, which was given up. What was missing came half a day later: it
    had been closed before, by a clock that was a day ahead."""
    opened = SEOUL.midnight(log.days[1]) + 10 * HOUR
    turn = Event("turn", 1, opened, "x", "customer 1", dialog="A", input_kind="none")
    close = Event("room_closed", 3, opened + MINUTE, "x", "customer 1", closed_by="customer")
    before = Event("room_closed", 2, opened + DAY, "x", "customer 1", closed_by="agent")
    return [(turn.occurred_at, key, turn), (close.occurred_at, key, close), (opened + DAY + MINUTE, key, before)]


def days_of(client: Client, key: RoomKey) -> list[date]:
    """The days whose seals have the room."""
    sql = "SELECT DISTINCT day FROM daily WHERE site_id = {site:String} AND room_id = {room:String} ORDER BY day"
    return [day for (day,) in client.rows(sql, {"site": key.site_id, "room": key.room_id})]


def test_a_room_that_went_on_stays_in_its_seal_until_that_is_resealed(
    consumed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seal.reseal.await_consumed", lambda *_: [(TOPIC_LIVE, 0, 0)])
    log = RandomLog(random.Random("elsewhere"), SEOUL, FIRST, 4, rooms=5)
    silent, closed = RoomKey("s", "silent"), RoomKey("s", "closed")
    sent = sorted(fell_silent(log, silent) + was_closed(log, closed), key=lambda item: item[0])
    log.records[TOPIC_LIVE, 0] = [record(offset, *item) for offset, item in enumerate(sent)]
    _, second, third, _ = log.days
    with Client(consumed.clickhouse) as client:
        consumer, elsewhere = Consumer(client, log), set[RoomKey]()
        for day in (second, third):
            consumer.consume(SEOUL.cut_off(day, SEAL_AT))
            truth = count(log, day, set(), elsewhere)
            sealer(consumed, SEOUL.cut_off(day, SEAL_AT)).seal(day)
            same(published(client, day, CUSTOMERS), truth)
            elsewhere |= {RoomKey(room[0], room[2]) for room in truth.rooms}
        assert days_of(client, silent) == days_of(client, closed) == [second]
        consumer.consume(FAR)
        Resealer(consumed, lambda: FAR, lambda words: None).reseal(second, "they went on")
        assert days_of(client, silent) == days_of(client, closed) == [third]


@pytest.mark.parametrize("went_on", [fell_silent, was_closed])
def test_two_days_sealed_at_once_do_not_both_have_a_room(
    consumed: Settings, went_on: Callable[[RandomLog, RoomKey], Sent]
) -> None:
    """Without the lock: while the third day is about to be published, the second is, with a room that both have; the
    third day folds it anew, or it stands there."""
    without_redis = consumed.model_copy(update={"redis": "redis://127.0.0.1:1/0"})
    log = RandomLog(random.Random("at once"), SEOUL, FIRST, 4, rooms=5)
    both = RoomKey("s", "both")
    log.records[TOPIC_LIVE, 0] = [record(n, *item) for n, item in enumerate(went_on(log, both))]
    _, second, third, _ = log.days
    begun = list[str]()

    def meanwhile(words: str) -> None:
        if words.endswith("publishing") and not begun:
            begun.append(words)
            sealer(without_redis).seal(second)

    with Client(consumed.clickhouse) as client:
        Consumer(client, log).consume(SEOUL.cut_off(third, SEAL_AT))
        Sealer(without_redis, lambda: FAR, meanwhile).seal(third)
        assert days_of(client, both) == [second]
        elsewhere = {RoomKey(room[0], room[2]) for room in published(client, second, CUSTOMERS).rooms}
        same(published(client, third, CUSTOMERS), count(log, third, set(), elsewhere))


def test_a_room_that_left_for_a_day_still_to_come_is_in_that_days_seal(
    consumed: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seal.reseal.await_consumed", lambda *_: [(TOPIC_LIVE, 0, 0)])
    log = RandomLog(random.Random("to come"), SEOUL, FIRST, 4, rooms=5)
    silent = RoomKey("s", "silent")
    log.records[TOPIC_LIVE, 0] = [record(n, *item) for n, item in enumerate(fell_silent(log, silent))]
    _, second, third, _ = log.days
    over = SEOUL.cut_off(third, SEAL_AT)
    with Client(consumed.clickhouse) as client:
        consumer = Consumer(client, log)
        consumer.consume(SEOUL.cut_off(second, SEAL_AT))
        sealer(consumed, SEOUL.cut_off(second, SEAL_AT)).seal(second)
        consumer.consume(over)
        Resealer(consumed, lambda: over - 1, lambda words: None).reseal(second, "it went on")
        assert days_of(client, silent) == []
        sealer(consumed, over).seal(third)
        assert days_of(client, silent) == [third]


def test_a_room_does_not_leave_for_a_day_that_is_due(consumed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it leaves by came after the cut-off of the day that it leaves for: the seal of that day, made afterwards,
    would leave it out, too."""
    monkeypatch.setattr("seal.reseal.await_consumed", lambda *_: [(TOPIC_LIVE, 0, 0)])
    log = RandomLog(random.Random("due"), SEOUL, FIRST, 4, rooms=5)
    silent = RoomKey("s", "silent")
    log.records[TOPIC_LIVE, 0] = [record(n, *item) for n, item in enumerate(fell_silent(log, silent, 2 * DAY))]
    _, second, third, _ = log.days
    resealer = Resealer(consumed, lambda: FAR, lambda words: None)
    with Client(consumed.clickhouse) as client:
        consumer = Consumer(client, log)
        consumer.consume(SEOUL.cut_off(second, SEAL_AT))
        sealer(consumed, SEOUL.cut_off(second, SEAL_AT)).seal(second)
        consumer.consume(FAR)
        with pytest.raises(NotSealed, match=f"{third} is not sealed: seal it first .`turnpath seal --day {third}`"):
            resealer.reseal(second, "it went on")
        assert days_of(client, silent) == [second]
        sealer(consumed).seal(third)
        resealer.reseal(second, "it went on")
        assert days_of(client, silent) == [third]
