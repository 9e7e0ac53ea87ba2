"""The Faust agent: takes polls, has them written, acks what may be committed, commits.

The agent only queues; one writer takes all that is queued (so that blocks grow with the traffic, and a single event
does not wait), runs it in a thread, and acks in the order of offsets. Automatic acks, `take()` and Faust's tables
are not used: each of them acks what was not written (see shared/FAUST.md).
"""

import asyncio
import os
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable
from threading import Event as Flag
from typing import Any, cast

import faust
import structlog
from faust.types import TP

from journey.events import TOPIC_BOTS, TOPIC_IMPORT, TOPIC_LIVE
from stream import metrics
from stream.batch import Batches
from stream.health import Health
from stream.outages import Stopped
from stream.poll import Place, Poll
from stream.prepared import Prepared
from stream.transport import BatchConsumer, batch_schema
from stream.windows import Quiet

log = structlog.get_logger()

TOPICS = (TOPIC_LIVE, TOPIC_IMPORT, TOPIC_BOTS)

Clock = Callable[[], int]
SendTicks = Callable[[dict[Place, int]], None]

#: How often partitions at their end are looked at, and how often rooms that have gone silent are looked for.
QUIET_S, LOOK_S = 1.0, 10.0

#: Heartbeats and fetches go several times a second: where none was answered for so long, the broker is away.
SILENT_S = 5.0

#: A rebalance takes a second or two, and as long as the slowest worker's batch.
DEALING_S = 30.0

#: From so many queued records on, the agent waits: with Faust's own buffer this bounds the worker's memory, and the
#: size of a batch. Larger blocks cost the engine less; beyond this there is little left to gain.
ENOUGH = 30_000

#: The same in bytes: records may be large.
ENOUGH_BYTES = 32_000_000

#: The next batch is folded just before the one before is counted: taken earlier it would be written no sooner, and what
#: comes after it later. But so much takes longer to fold than to count: it is folded while rows are still written, too.
MUCH = ENOUGH // 2


class Writer:
    """Between the agent and `Batches`: what is queued, what was handed out and is not committed yet, what is quiet."""

    def __init__(
        self,
        app: faust.App,
        batches: Batches,
        clock: Clock,
        send_ticks: SendTicks,
        stopping: Flag,
        health: Health | None = None,
    ) -> None:
        """`clock`: now, in ms; `send_ticks`: begins to append ticks to these partitions, with times in ms."""
        self._app, self._batches, self._stopping = app, batches, stopping
        self._clock, self._send_ticks = clock, send_ticks
        self._health = health or Health()
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._queued = self._queued_bytes = 0
        self._space, self._much_queued = asyncio.Event(), asyncio.Event()
        self._unacked: defaultdict[Place, deque[Any]] = defaultdict(deque)
        self._generation: int | None = None
        self._looked_at = self._quiet_at = float("-inf")
        self._folding_s = self._counting_s = 0.0  # of the batch before
        metrics.QUEUED.set_function(lambda: self._queued)

    @property
    def _consumer(self) -> BatchConsumer:
        return cast(BatchConsumer, self._app.consumer)

    async def put(self, event: Any) -> None:
        """Hand over a poll; waits while too much is queued."""
        while self._queued >= ENOUGH or self._queued_bytes >= ENOUGH_BYTES:
            self._space.clear()
            await self._space.wait()
        self._queued += len(event.value)
        self._queued_bytes += sum(len(record.value or b"") for record in event.value)
        self._queue.put_nowait(event)
        if self._queued >= MUCH:
            self._much_queued.set()

    async def run(self) -> None:
        """Write polls until the worker stops. Anything unexpected ends the process: nothing may be acked after it."""
        rows: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        rows.set_result(None)
        written = rows
        try:
            while not self._stopping.is_set():
                await self._until_worth_folding(rows, written)
                taken = await self._take()
                self._health.turned()
                if self._stopping.is_set():
                    break
                events = self._current(taken)
                quiet = self._quiet({(e.message.topic, e.message.partition) for e in events})
                if not events and quiet is None:
                    continue
                begun = time.monotonic()
                prepared = await asyncio.to_thread(self._batches.prepare, self._polls(events), quiet)
                self._folding_s = time.monotonic() - begun
                await written
                rows = asyncio.create_task(asyncio.to_thread(self._batches.write_rows, prepared))
                written = asyncio.create_task(self._write(rows, events, prepared))
            if rows.done():
                await written  # to hear whether it was given up
        except Stopped as stopped:
            log.info("batch given up", step=str(stopped))
        except Exception as error:
            end(error)

    async def watch(self, kafka: str) -> None:
        """Each second: does the broker answer, and has the group dealt its partitions?

        aiokafka tries for ever, and says nothing of it to us.
        """
        silent = f"Kafka at {kafka} does not answer: start it; the worker goes on by itself then"
        dealing = "the group is still dealing its partitions anew: is another worker stopped, or very slow?"
        since: dict[str, float] = {}
        while not self._stopping.is_set():
            await asyncio.sleep(QUIET_S)
            self._note(since, "kafka", self._is_kafka_silent(), SILENT_S, silent)
            self._note(since, "rebalance", self._app.rebalancing, DEALING_S, dealing)

    def _note(self, since: dict[str, float], step: str, holds: bool, patience_s: float, said: str) -> None:
        now = time.monotonic()
        if not holds:
            since.pop(step, None)
            self._batches.outages.over(step)
        elif now - since.setdefault(step, now) >= patience_s:
            self._batches.outages.failed(step, said)

    def _is_kafka_silent(self) -> bool:
        if not self._consumer.knows_coordinator():
            return True
        if not self._app.flow_control.is_active() or self._health.silent_s > 2 * QUIET_S:
            # the stream stands still, so nothing is fetched: for ClickHouse, or for a commit that is not answered
            return self._batches.outages.lasts("commit") > QUIET_S
        silences = [self._consumer.silent_s(tp) for tp in self._app.consumer.assignment()]
        return bool(silences) and min(silences) > SILENT_S

    async def _until_worth_folding(self, rows: asyncio.Future[None], written: asyncio.Future[None]) -> None:
        """Until a batch that is folded from now on is ready when the one before is counted; or much is queued."""
        much = asyncio.create_task(self._much_queued.wait())
        await asyncio.wait((rows, much), return_when=asyncio.FIRST_COMPLETED)
        spare_s = max(0.0, self._counting_s - self._folding_s)
        await asyncio.wait((written, much), timeout=spare_s, return_when=asyncio.FIRST_COMPLETED)
        much.cancel()

    async def _take(self) -> list[Any]:
        """All that is queued; nothing, after a second without anything."""
        try:
            events = [await asyncio.wait_for(self._queue.get(), QUIET_S)]
        except TimeoutError:
            return []
        while not self._queue.empty():
            events.append(self._queue.get_nowait())
        self._queued = self._queued_bytes = 0
        self._space.set()
        self._much_queued.clear()
        return events

    def _quiet(self, spoke: set[Place]) -> Quiet | None:
        """Once a second: the partitions at whose end this worker stands."""
        seconds = time.monotonic()
        if seconds < self._quiet_at + QUIET_S or not self._app.flow_control.is_active():
            return None
        self._quiet_at = seconds
        if look := seconds >= self._looked_at + LOOK_S:
            self._looked_at = seconds
        ends = {(tp.topic, tp.partition): self._end_of(tp) for tp in self._app.consumer.assignment()}
        ours = {place: end for place, end in ends.items() if end is not None and place not in spoke}
        return Quiet(self._clock(), ours, look)

    def _end_of(self, tp: TP) -> int | None:
        """The log's end, if all up to there is folded, and the broker still says that it is the end."""
        if tp.topic not in (TOPIC_LIVE, TOPIC_IMPORT) or self._consumer.silent_s(tp) > SILENT_S:
            return None
        end = self._consumer.log_end(tp)
        rooms = self._batches.partitions.get((tp.topic, tp.partition))
        done = self._consumer.committed_offset(tp) if rooms is None else rooms.offset
        return end if end and done is not None and done >= end else None

    def _current(self, events: list[Any]) -> list[Any]:
        """The polls of this assignment: after a rebalance every partition is read from its committed offset again."""
        generation = self._app.consumer_generation_id
        if generation != self._generation:
            self._batches.forget()
            self._unacked.clear()
            self._generation = generation
            self._health.assigned()
            metrics.REBALANCES.inc()
            metrics.PARTITIONS.set(len(self._app.consumer.assignment()))
        return [event for event in events if event.message.generation_id == generation]

    async def _write(self, rows: asyncio.Future[None], events: list[Any], prepared: Prepared) -> None:
        generation = self._generation
        try:
            await rows
            begun = time.monotonic()
            await asyncio.to_thread(self._batches.write_counts, prepared)
            self._counting_s = time.monotonic() - begun
            await self._settle(generation, events, prepared)
        except Stopped:
            raise
        except Exception as error:
            end(error)

    async def _settle(self, generation: int | None, events: list[Any], prepared: Prepared) -> None:
        """After a batch was written in this generation: ack, commit, move the time of partitions that wait for it."""
        for event in events:
            event.value.clear()  # the records are written; the message waits for its ack without them
        if generation == self._generation == self._app.consumer_generation_id:
            for event in events:
                self._unacked[event.message.topic, event.message.partition].append(event)
            await self._commit(prepared.limits)
            self._send_ticks(prepared.ticks)

    def _polls(self, events: list[Any]) -> list[Poll]:
        """One poll a partition: what came in several is one block now."""
        records: defaultdict[Place, list[Any]] = defaultdict(list)
        for event in events:
            records[event.message.topic, event.message.partition] += event.value
        return [Poll(*place, some, self._log_end(*place, some[-1].offset + 1)) for place, some in records.items()]

    def _log_end(self, topic: str, partition: int, at_least: int) -> int:
        return max(self._consumer.log_end(TP(topic, partition)) or 0, at_least)

    async def _commit(self, limits: dict[Place, int]) -> None:
        for place, limit in limits.items():
            unacked = self._unacked[place]
            while unacked and unacked[0].message.offset < limit:
                unacked.popleft().ack()
        try:
            with self._batches.outages.under_way("commit"):
                await self._app.consumer.commit()
        except Exception as error:  # what is not committed is read again; Faust's timer tries again
            metrics.COMMIT_FAILURES.inc()
            if not self._stopping.is_set():
                log.warning("commit failed", error=repr(error))


def end(error: Exception) -> None:
    """End the process: a retry cannot mend this, and nothing may be acked after it."""
    log.critical("worker ends", error=str(error), kind=type(error).__name__, exc_info=error)
    sys.stderr.flush()
    os._exit(1)


def add_agents(app: faust.App, writer: Writer, kafka: str) -> None:
    """Give the app its agent, its writer, and who watches the broker."""

    @app.agent(app.topic(*TOPICS, schema=batch_schema()), name="turns")
    async def turns(stream: Any) -> None:
        async for event in stream.noack().events():
            await writer.put(event)

    @app.task  # type: ignore[untyped-decorator]
    async def write() -> None:
        await writer.run()

    @app.task  # type: ignore[untyped-decorator]
    async def watch() -> None:
        await writer.watch(kafka)
