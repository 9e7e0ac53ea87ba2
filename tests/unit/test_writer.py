"""Between the agent and the batches: how much is queued, and what is taken for the end of a log."""

import asyncio
import time
from threading import Event as Flag
from threading import Semaphore
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP
from structlog.testing import capture_logs

from journey.calendar import Calendar
from journey.events import TOPIC_LIVE
from stream.agents import ENOUGH, ENOUGH_BYTES, MUCH, SILENT_S, Writer
from stream.outages import Stopped
from stream.poll import Poll
from stream.prepared import Output, Prepared
from tests.unit.memory_tables import MemoryTables
from tests.unit.test_delivery import worker
from tests.waiting import until

HERE = TP(TOPIC_LIVE, 0)


class Consumer:
    """As far as the writer asks it."""

    def __init__(self) -> None:
        self.silence, self.coordinator = 0.0, True

    def assignment(self) -> set[TP]:
        return {HERE}

    def log_end(self, tp: TP) -> int:
        return 10

    def committed_offset(self, tp: TP) -> int:
        return 10

    def silent_s(self, tp: TP) -> float:
        return self.silence

    def knows_coordinator(self) -> bool:
        return self.coordinator

    async def commit(self) -> None:
        pass


@pytest.fixture
def consumer() -> Consumer:
    return Consumer()


@pytest.fixture
def writer(consumer: Consumer) -> Writer:
    flow = SimpleNamespace(is_active=lambda: True)
    app: Any = SimpleNamespace(consumer=consumer, consumer_generation_id=None, flow_control=flow, rebalancing=False)
    batches = worker(MemoryTables(Calendar("UTC")), 100)
    return Writer(app, batches, lambda: 0, lambda _: None, Flag())


def poll(records: int, size: int) -> Any:
    return SimpleNamespace(value=[SimpleNamespace(value=b"x" * size)] * records)


@pytest.mark.parametrize(("records", "size"), [(ENOUGH, 1), (600, 65536), (1, ENOUGH_BYTES)])
async def test_who_hands_over_waits_while_too_much_is_queued(writer: Writer, records: int, size: int) -> None:
    await writer.put(poll(records, size))
    more = asyncio.create_task(writer.put(poll(1, 1)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not more.done()
    assert len(await writer._take()) == 1
    await more
    assert len(await writer._take()) == 1


class Slow:
    """Batches whose rows and counts are written each once they may be; `folded`: how many records each had."""

    def __init__(self, writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folded: list[int] = []
        self.rows, self.counts = Semaphore(0), Semaphore(0)
        monkeypatch.setattr(writer._batches, "prepare", self._prepare)
        monkeypatch.setattr(writer._batches, "write_rows", lambda _: self.rows.acquire(timeout=60))
        monkeypatch.setattr(writer._batches, "write_counts", lambda _: self.counts.acquire(timeout=60))

    def _prepare(self, polls: list[Poll], _: Any) -> Prepared:
        self.folded.append(sum(len(poll.records) for poll in polls))
        return Prepared(Output(), {}, set(), {}, Flag())


def event(records: int) -> Any:
    message = SimpleNamespace(topic=HERE.topic, partition=HERE.partition, offset=0, generation_id=None)
    return SimpleNamespace(message=message, value=[SimpleNamespace(value=b"x", offset=0)] * records)


async def test_what_comes_while_rows_are_written_joins_the_next_batch(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken one by one, the last would wait for two batches; but while one is counted the next is folded."""
    slow = Slow(writer, monkeypatch)
    running = asyncio.create_task(writer.run())
    for records in (1, 2, 3):
        await writer.put(event(records))
        await asyncio.sleep(0.1)
    assert slow.folded == [1]
    slow.rows.release()
    await asyncio.to_thread(until, lambda: slow.folded == [1, 5])
    slow.rows.release()
    await writer.put(event(1))
    await asyncio.sleep(0.3)
    assert slow.folded == [1, 5], "no rows before the batch before is counted"
    slow.counts.release()
    await asyncio.to_thread(until, lambda: slow.folded == [1, 5, 1])
    await stopped(writer, slow, running)


async def test_it_is_folded_as_late_as_it_is_ready_in_time(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting took a minute, and folding next to nothing: so there is time to wait for more."""
    slow, running = await begun(writer, monkeypatch)
    writer._counting_s = 60.0
    slow.rows.release()
    await writer.put(event(2))
    await asyncio.sleep(0.3)
    await writer.put(event(3))
    assert slow.folded == [1]
    slow.counts.release()
    await asyncio.to_thread(until, lambda: slow.folded == [1, 5])
    await stopped(writer, slow, running)


async def test_much_is_folded_while_rows_are_written(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, running = await begun(writer, monkeypatch)
    await writer.put(event(MUCH))
    await asyncio.to_thread(until, lambda: slow.folded == [1, MUCH])
    slow.rows.release()
    slow.counts.release()
    await writer.put(event(1))
    await asyncio.sleep(0.3)
    assert slow.folded == [1, MUCH]
    await stopped(writer, slow, running)


async def test_a_batch_that_is_given_up_is_said(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to stop while ClickHouse is away: `rows` gives up, and nobody else would say so."""

    def give_up(_: Prepared) -> None:
        assert writer._stopping.wait(60)
        raise Stopped("turns")

    slow = Slow(writer, monkeypatch)
    monkeypatch.setattr(writer._batches, "write_rows", give_up)
    with capture_logs() as said:
        running = asyncio.create_task(writer.run())
        await writer.put(event(1))
        await asyncio.to_thread(until, lambda: slow.folded == [1])
        await asyncio.sleep(0.2)
        writer._stopping.set()
        await running
    assert [(line["event"], line["step"]) for line in said] == [("batch given up", "turns")]


async def begun(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> tuple[Slow, asyncio.Task[None]]:
    """A writer whose first batch, of one record, is being written."""
    slow = Slow(writer, monkeypatch)
    running = asyncio.create_task(writer.run())
    await writer.put(event(1))
    await asyncio.to_thread(until, lambda: slow.folded == [1])
    return slow, running


async def stopped(writer: Writer, slow: Slow, running: asyncio.Task[None]) -> None:
    writer._stopping.set()
    slow.rows.release(3)
    slow.counts.release(3)
    await running


async def test_a_record_without_a_value_is_nothing_to_wait_for(writer: Writer) -> None:
    await writer.put(SimpleNamespace(value=[SimpleNamespace(value=None)]))
    await writer.put(poll(1, 1))
    assert len(await writer._take()) == 2


def test_a_broker_that_is_silent_does_not_say_where_the_log_ends(writer: Writer, consumer: Consumer) -> None:
    assert writer._end_of(HERE) == 10
    consumer.silence = SILENT_S + 1
    assert writer._end_of(HERE) is None


def test_the_broker_is_away_where_nothing_is_fetched_or_its_coordinator_is_lost(
    writer: Writer, consumer: Consumer
) -> None:
    assert not writer._is_kafka_silent()
    consumer.silence = SILENT_S + 1
    assert writer._is_kafka_silent()
    consumer.silence, consumer.coordinator = 0.0, False
    assert writer._is_kafka_silent()


def test_a_stream_that_stands_still_fetches_nothing_and_that_is_no_silence(writer: Writer, consumer: Consumer) -> None:
    """ClickHouse is away, so nothing is asked of Kafka: Kafka is not to blame."""
    consumer.silence = SILENT_S + 1
    writer._health._turned_at -= 60
    assert not writer._is_kafka_silent()


def test_a_commit_that_is_not_answered_is_the_brokers_silence(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-open broker: the stream stands still for it, and its coordinator is not given up for 20 s."""
    writer._health._turned_at -= 60
    with writer._batches.outages.under_way("commit"):
        assert not writer._is_kafka_silent()
        monkeypatch.setattr(writer._batches.outages, "_clock", lambda: time.monotonic() + 2)
        assert writer._is_kafka_silent()
    assert not writer._is_kafka_silent()


def test_a_rebalance_that_does_not_end_is_said(writer: Writer) -> None:
    since: dict[str, float] = {}
    reasons = writer._batches.outages.reasons
    writer._note(since, "rebalance", True, 30, "still dealing")
    assert reasons() == []
    since["rebalance"] -= 31
    writer._note(since, "rebalance", True, 30, "still dealing")
    assert reasons() == ["rebalance: for 0 s: still dealing"]
    writer._note(since, "rebalance", False, 30, "still dealing")
    assert reasons() == []
    assert since == {}
