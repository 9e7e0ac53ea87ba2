"""Faust on Kafka, a partition's whole poll handed to the agent as one event; and nothing else.

Stock Faust hands over record by record (64 µs each). Here event.value is the poll's list of aiokafka records
(.offset .key .value .timestamp), and event.message.offset the last one's offset. What is committed is the end
of the longest run of finished polls, so a poll that was never acked is always read again. It leans on private
names of faust-streaming 0.15.3 and aiokafka 0.14; tests/unit/test_transport.py holds them, and each guard.
"""

import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from math import inf
from typing import Any

import faust
from aiokafka.consumer.group_coordinator import GroupCoordinator
from faust.exceptions import ConsumerNotStarted
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream import metrics

#: How long a fetch waits at the broker where its partitions have nothing. While one waits, partitions that ran empty
#: meanwhile are not asked for: with Faust's 1,500 ms an event came up to that much later.
FETCH_WAIT_MS = 50


class QuickThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, its fetches short."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer


class BatchConsumer(driver.Consumer):
    """Needs consumer_auto_offset_reset="earliest" and stream_recovery_delay=0."""

    #: Names of the topics read poll by poll; any other topic would get lists where it expects events.
    batched: frozenset[str] = frozenset()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open: defaultdict[TP, deque[Any]] = defaultdict(deque)  # handed out, not yet finished, oldest first
        self._finished: dict[TP, int] = {}  # the offset after the longest run of finished polls

    def _new_consumer_thread(self) -> QuickThread:
        return QuickThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:  # noqa: ASYNC109
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        if not self.flow_active:
            await self._go_back()
            return
        for tp, polled in records.items():
            if not (active is None or tp in active or tp in self._buffered_partitions):
                continue
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            for message in self._messages(tp, polled):
                if not self.flow_active or self.app.consumer_generation_id != generation:
                    return  # what is left is read again from the committed offset
                if tp.topic in self.batched:
                    self._open[tp].append(message)
                yield tp, message

    def _messages(self, tp: TP, polled: list[Any]) -> list[Any]:
        if tp.topic not in self.batched:
            return [self._to_message(tp, record) for record in polled]
        message = self._to_message(tp, polled[-1])
        message.value = polled  # type: ignore[assignment]
        return [message]

    async def _go_back(self) -> None:
        """A rebalance began during the poll: its records are dropped, so read on from the committed offsets."""
        try:
            await self.perform_seek()
        except Exception as error:  # no partitions just now: the end of the rebalance seeks again
            self.log.warning("seek during a rebalance: %r", error)

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self.batched:
            offset: int | None = super()._new_offset(tp)
            return offset
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        polls = self._open[tp]
        # tracked: the agent had it. Faust also acks what it skips after a rebalance: read, and not seen.
        while polls and polls[0].acked and polls[0].tracked:
            self._finished[tp] = polls.popleft().offset + 1
        return self._finished.get(tp)

    async def _add_gap(self, tp: TP, first: int, last: int) -> None:
        if tp.topic not in self.batched:  # between the last offsets of two polls there is no gap
            await super()._add_gap(tp, first, last)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        await self.commit()  # Faust forgets the acks before it commits: work done would be done again
        await super().on_partitions_revoked(revoked)
        self._open.clear()  # every poll still open is read again, here or elsewhere
        self._finished.clear()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        offsets: Mapping[TP, int] = await super().seek_to_committed()
        fresh = [tp for tp, offset in offsets.items() if not offset or offset < 0]
        if fresh:  # aiokafka leaves these where they are: behind what a dropped poll took
            await self._thread.seek_to_beginning(*fresh)
        return offsets

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: Faust's look for a stream that stands still ends the worker where a partition, right after a
        rebalance, has no position yet. What stands still is said by stream.outages."""

    def committed_offset(self, tp: TP) -> int | None:
        """The next offset to be read by what is committed; None where nothing is."""
        offset: int | None = self._committed_offset[tp]
        return offset

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        """As Faust's, which takes offsets for committed though the broker has refused them."""
        ours = {tp: offset for tp, offset in offsets.items() if tp in self.assignment()}
        if not ours:
            return False
        if not await self._commit(ours):
            metrics.COMMIT_FAILURES.inc()
            return False
        self._committed_offset.update(ours)
        return True

    def knows_coordinator(self) -> bool:
        """Does the group's broker answer? Before the start, too."""
        consumer = self._thread._consumer
        coordinator = None if consumer is None else consumer._coordinator
        return not isinstance(coordinator, GroupCoordinator) or coordinator.coordinator_id is not None

    def silent_s(self, tp: TP) -> float:
        """Seconds since the broker last answered a fetch of this partition; endless where it never did."""
        try:
            at = self._thread._ensure_consumer().last_poll_timestamp(tp)
        except (AssertionError, AttributeError, ConsumerNotStarted):
            return inf
        return inf if at is None else max(0.0, time.time() - at / 1000)

    def log_end(self, tp: TP) -> int | None:
        """The offset after the log's last, as of the latest poll; None where none came yet, or it is not ours."""
        try:
            end: int | None = self.highwater(tp)
        except (AssertionError, ConsumerNotStarted):  # a rebalance, or the end, has just taken it from us
            return None
        return end

    def on_buffer_full(self, tp: TP) -> None:
        """Do not pause: else some partitions wait for as long as the others keep the buffer full."""


class BatchSchema(faust.Schema[Any, Any]):
    """Leaves key and value as they are."""

    def loads_key(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Any, *, loads: Any = None, serializer: Any = None) -> Any:
        return message.value


def use_batches(app: faust.App, topics: frozenset[str]) -> None:
    """Read these topics poll by poll. Call before the app starts; their topics need schema=batch_schema()."""
    consumer = type("TurnpathConsumer", (BatchConsumer,), {"batched": topics})
    transport = type("TurnpathTransport", (driver.Transport,), {"Consumer": consumer})
    app.transport = transport(app.conf.broker_consumer, app)


def batch_schema() -> BatchSchema:
    """The schema of a topic that is read poll by poll."""
    return BatchSchema(key_type=bytes, value_type=bytes)
