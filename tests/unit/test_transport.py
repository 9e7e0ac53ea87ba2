"""Each guard of the batch transport, its state forced; the races themselves are tests/faults' business."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.exceptions import ConsumerNotStarted
from faust.transport.consumer import Consumer as StockConsumer
from faust.transport.consumer import ThreadDelegateConsumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream.transport import FETCH_WAIT_MS, BatchConsumer, BatchSchema, batch_schema, use_batches

A, B, PLAIN = TP("batched", 0), TP("batched", 1), TP("plain", 0)


class Monitor:
    def track_tp_end_offset(self, tp: TP, offset: int) -> None:
        pass


@pytest.fixture
def consumer(tmp_path: Any) -> Any:
    app = faust.App("t", broker="kafka://127.0.0.1:1", datadir=str(tmp_path), store="memory://", web_enabled=False)
    use_batches(app, frozenset({"batched"}))
    setattr(app, "monitor", Monitor())  # noqa: B010  (Faust's own type is wider)
    app.consumer_generation_id = 7
    made = app.consumer
    assert isinstance(made, BatchConsumer)
    made.flow_active = True
    made._active_partitions = {A, B, PLAIN}
    setattr(made, "highwater", lambda tp: 100)  # noqa: B010
    return made


def records(tp: TP, *offsets: int) -> list[Any]:
    return [
        SimpleNamespace(
            topic=tp.topic, partition=tp.partition, offset=offset, timestamp=1000 + offset, timestamp_type=1,
            headers=(), key=b"k", value=b"v%d" % offset, checksum=None, serialized_key_size=1, serialized_value_size=2,
        )
        for offset in offsets
    ]  # fmt: skip


def poll(consumer: Any, polled: Mapping[TP, list[Any]] | None) -> None:
    """The next poll will answer this."""

    async def next_records(_: float) -> Any:
        return polled, {A, B, PLAIN}

    consumer._wait_next_records = next_records


async def drain(consumer: Any) -> list[tuple[TP, Any]]:
    return [item async for item in consumer.getmany(1.0)]


def handed_out(consumer: Any, *offsets: int) -> list[Any]:
    messages = [SimpleNamespace(offset=offset, acked=False, tracked=True) for offset in offsets]
    consumer._open[A].extend(messages)
    return messages


async def test_a_partitions_poll_is_one_message_with_the_last_offset(consumer: Any) -> None:
    poll(consumer, {A: records(A, 3, 4, 9), B: records(B, 1)})
    got = await drain(consumer)
    assert [(tp, m.offset, [r.offset for r in m.value]) for tp, m in got] == [(A, 9, [3, 4, 9]), (B, 1, [1])]
    assert got[0][1].generation_id == 7


async def test_other_topics_stay_as_they_were(consumer: Any) -> None:
    poll(consumer, {PLAIN: records(PLAIN, 3, 4)})
    assert [(m.offset, m.value) for _, m in await drain(consumer)] == [(3, b"v3"), (4, b"v4")]
    assert not consumer._open[PLAIN]


async def test_a_poll_that_a_rebalance_overtook_is_dropped_and_sought_again(consumer: Any) -> None:
    sought = []

    async def seek() -> None:
        sought.append(True)

    consumer.perform_seek = seek
    consumer.flow_active = False
    poll(consumer, {A: records(A, 3)})
    assert await drain(consumer) == []
    assert sought
    assert not consumer._open[A]


async def test_seeking_without_partitions_just_now_is_no_failure(consumer: Any) -> None:
    async def seek() -> None:
        raise RuntimeError("no partitions")

    consumer.perform_seek = seek
    consumer.flow_active = False
    poll(consumer, {A: records(A, 3)})
    assert await drain(consumer) == []


async def test_nothing_more_is_handed_out_when_the_generation_changes_midway(consumer: Any) -> None:
    poll(consumer, {A: records(A, 3), B: records(B, 1)})
    got = []
    async for tp, _ in consumer.getmany(1.0):
        got.append(tp)
        consumer.app.consumer_generation_id = 8
    assert got == [A]


async def test_partitions_that_are_not_ours_are_left_out(consumer: Any) -> None:
    async def next_records(_: float) -> Any:
        return {A: records(A, 3), B: records(B, 1)}, {B}

    consumer._wait_next_records = next_records
    assert [tp for tp, _ in await drain(consumer)] == [B]


def test_only_the_longest_acked_run_is_committed(consumer: Any) -> None:
    first, second, third = handed_out(consumer, 9, 19, 29)
    second.acked = True
    assert consumer._new_offset(A) is None
    first.acked = True
    assert consumer._new_offset(A) == 20
    third.acked = True
    assert consumer._new_offset(A) == 30


def test_an_offset_whose_commit_failed_is_offered_again(consumer: Any) -> None:
    (only,) = handed_out(consumer, 9)
    only.acked = True
    assert consumer._new_offset(A) == 10
    assert consumer._new_offset(A) == 10


@pytest.mark.parametrize("accepted", [True, False])
async def test_what_the_broker_refused_is_not_taken_for_committed(consumer: Any, accepted: bool) -> None:
    """Faust notes it all the same; a quiet partition would then never be committed."""
    sent: list[Mapping[TP, int]] = []

    async def commit(offsets: Mapping[TP, int]) -> bool:
        sent.append(offsets)
        return accepted

    consumer._commit, consumer.assignment = commit, lambda: {A}
    consumer._committed_offset[A] = 4
    (only,) = handed_out(consumer, 9)
    only.acked = True
    consumer._acked[A].append(9)
    assert await consumer.force_commit() is accepted
    assert consumer.committed_offset(A) == (10 if accepted else 4)
    consumer._acked[A].append(9)  # as Faust's timer finds it
    await consumer.force_commit()
    assert sent == [{A: 10}] * (1 if accepted else 2)


async def test_a_partition_that_went_to_another_worker_is_not_committed(consumer: Any) -> None:
    async def commit(offsets: Mapping[TP, int]) -> bool:
        raise AssertionError(offsets)

    consumer._commit, consumer.assignment = commit, lambda: {B}
    assert await consumer._commit_offsets({A: 10}) is False
    assert consumer.committed_offset(A) is None


async def test_a_partition_without_a_position_yet_does_not_end_the_worker(
    consumer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen in a soak: Faust's look for livelocks came between a rebalance and the first position."""

    class NoPosition:
        def verify_event_path(self, now: float, tp: TP) -> None:
            raise AssertionError  # as aiokafka's `position`

    consumer._thread = NoPosition()
    monkeypatch.setattr(consumer, "assignment", lambda: {A})
    await consumer.verify_all_partitions_active()


def test_how_long_the_broker_has_been_silent(consumer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    polled = {A: 99_000}

    def last_poll(tp: TP) -> int | None:
        assert tp in polled
        return polled[tp]

    monkeypatch.setattr("stream.transport.time.time", lambda: 107.0)
    assert consumer.silent_s(A) == float("inf")  # not started
    consumer._thread._consumer = SimpleNamespace(last_poll_timestamp=last_poll)
    assert consumer.silent_s(A) == 8.0
    assert consumer.silent_s(B) == float("inf")  # not ours


def test_a_coordinator_that_is_lost_is_noticed(consumer: Any) -> None:
    assert consumer.knows_coordinator()  # before the start nothing is lost
    coordinator = GroupCoordinator.__new__(GroupCoordinator)
    consumer._thread._consumer = SimpleNamespace(_coordinator=coordinator)
    coordinator.coordinator_id = 1
    assert consumer.knows_coordinator()
    coordinator.coordinator_id = None
    assert not consumer.knows_coordinator()


def test_what_faust_acks_because_it_skipped_it_is_not_committed(consumer: Any) -> None:
    (only,) = handed_out(consumer, 9)
    only.acked, only.tracked = True, False
    assert consumer._new_offset(A) is None


def test_single_acked_offsets_of_a_batched_topic_commit_nothing(consumer: Any) -> None:
    consumer._acked[A].append(5)
    consumer._acked_index[A].add(5)
    assert consumer._new_offset(A) is None
    assert not consumer._acked[A]


def test_a_plain_topics_offsets_are_fausts(consumer: Any) -> None:
    consumer._acked[PLAIN].extend([0, 1, 2])
    assert consumer._new_offset(PLAIN) == 3


async def test_between_polls_there_are_no_gaps(consumer: Any) -> None:
    await consumer._add_gap(A, 1, 5)
    await consumer._add_gap(PLAIN, 1, 5)
    assert not consumer._gap[A]
    assert consumer._gap[PLAIN]


async def test_revocation_commits_first_and_then_forgets(consumer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[Any] = []
    (only,) = handed_out(consumer, 9)
    only.acked = True

    async def commit(*_: Any) -> bool:
        order.append(consumer._new_offset(A))
        return True

    async def revoked(self: Any, tps: set[TP]) -> None:
        order.append("faust forgets")

    consumer.commit = commit
    monkeypatch.setattr(StockConsumer, "on_partitions_revoked", revoked)
    await consumer.on_partitions_revoked({A})
    assert order == [10, "faust forgets"]
    assert not consumer._open
    assert consumer._new_offset(A) is None  # whoever has the partition next decides


async def test_fresh_partitions_are_read_from_their_beginning(consumer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sought: list[TP] = []

    async def committed(self: Any) -> Mapping[TP, Any]:
        return {A: None, B: 12, PLAIN: -1}

    async def beginning(*tps: TP) -> None:
        sought.extend(tps)

    monkeypatch.setattr(ThreadDelegateConsumer, "seek_to_committed", committed)
    consumer._thread = SimpleNamespace(seek_to_beginning=beginning)
    assert await consumer.seek_to_committed() == {A: None, B: 12, PLAIN: -1}
    assert sought == [A, PLAIN]


def test_a_full_buffer_pauses_no_partition(consumer: Any) -> None:
    consumer.on_buffer_full(A)
    assert A in consumer._active_partitions


def test_keys_and_values_stay_bytes() -> None:
    schema = batch_schema()
    message = SimpleNamespace(key=b"k", value=[1, 2])
    assert isinstance(schema, BatchSchema)
    assert schema.loads_key(None, message) == b"k"
    assert schema.loads_value(None, message) == [1, 2]


async def test_a_fetch_does_not_wait_long_for_quiet_partitions(consumer: Any) -> None:
    """Else an event of another partition waits with it: up to Faust's 1.5 s."""
    thread = consumer._new_consumer_thread()
    made = thread._create_worker_consumer(consumer.transport)
    assert made._fetch_max_wait_ms == FETCH_WAIT_MS < 100
    stock = driver.AIOKafkaConsumerThread._create_worker_consumer(thread, consumer.transport)
    assert stock._fetch_max_wait_ms == 1500  # the name is aiokafka's, and is still the one to set


def test_the_private_names_it_leans_on_are_there(consumer: Any) -> None:
    for name in ("_wait_next_records", "_to_message", "_new_offset", "_add_gap", "_filter_tps_with_pending_acks"):
        assert callable(getattr(driver.Consumer, name)), name
    for name in ("_acked", "_acked_index", "_buffered_partitions", "_thread", "flow_active", "_active_partitions"):
        assert hasattr(consumer, name), name
    assert hasattr(driver.AIOKafkaConsumerThread, "seek_to_beginning")
    assert callable(AIOKafkaConsumer.last_poll_timestamp)
    assert callable(driver.Consumer._commit_offsets)


@pytest.mark.parametrize("error", [AssertionError("Partition is not assigned"), ConsumerNotStarted("not yet")])
def test_the_end_of_a_partition_just_lost_is_not_known(consumer: Any, error: Exception) -> None:
    def highwater(tp: TP) -> int:
        raise error

    assert consumer.log_end(A) == 100
    consumer.highwater = highwater
    assert consumer.log_end(A) is None
