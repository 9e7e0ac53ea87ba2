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
from collections.abc import Awaitable, Callable
from threading import Event as Flag
from typing import Any, cast

import faust
import structlog
from faust.types import TP

from journey.errors import Retry
from journey.events import TOPIC_BOTS, TOPIC_IMPORT, TOPIC_LIVE
from stream.batch import Batches, Prepared, Stopped
from stream.poll import Place, Poll
from stream.transport import BatchConsumer, batch_schema
from stream.windows import Quiet

log = structlog.get_logger()

TOPICS = (TOPIC_LIVE, TOPIC_IMPORT, TOPIC_BOTS)

Clock = Callable[[], int]
Append = Callable[[Place, bytes, int], Awaitable[None]]

TICK = b'{"type":"tick"}'

#: How often partitions at their end are looked at, and how often rooms that have gone silent are looked for.
QUIET_S, LOOK_S = 1.0, 10.0

#: From so many queued records on, the agent waits: with Faust's own buffer this bounds the worker's memory, and the
#: size of a batch. Larger blocks cost the engine less; beyond this there is little left to gain.
ENOUGH = 30_000


class Writer:
    """Between the agent and `Batches`: what is queued, what was handed out and is not committed yet, what is quiet."""

    def __init__(self, app: faust.App, batches: Batches, clock: Clock, append: Append, stopping: Flag) -> None:
        """`clock`: now, in ms; `append`: appends a record without a key to a partition, with a time in ms."""
        self._app, self._batches, self._stopping = app, batches, stopping
        self._clock, self._append = clock, append
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._queued = 0
        self._space = asyncio.Event()
        self._unacked: defaultdict[Place, deque[Any]] = defaultdict(deque)
        self._generation: int | None = None
        self._looked_at = self._quiet_at = float("-inf")

    @property
    def _consumer(self) -> BatchConsumer:
        return cast(BatchConsumer, self._app.consumer)

    async def put(self, event: Any) -> None:
        """Hand over a poll; waits while too many records are queued."""
        while self._queued >= ENOUGH:
            self._space.clear()
            await self._space.wait()
        self._queued += len(event.value)
        self._queue.put_nowait(event)

    async def run(self) -> None:
        """Write polls until the worker stops. Anything unexpected ends the process: nothing may be acked after it."""
        writing: asyncio.Task[None] | None = None
        try:
            while not self._stopping.is_set():
                taken = await self._take()
                if self._stopping.is_set():
                    return
                events = self._current(taken)
                quiet = self._quiet({(e.message.topic, e.message.partition) for e in events})
                if not events and quiet is None:
                    continue
                prepared = await asyncio.to_thread(self._batches.prepare, self._polls(events), quiet)
                if writing is not None:
                    await writing
                writing = asyncio.create_task(self._write(events, prepared))
        except Stopped as stopped:
            log.info("batch given up", step=str(stopped))
        except Exception as error:
            _end(error)

    async def _take(self) -> list[Any]:
        """All that is queued; nothing, after a second without anything."""
        try:
            events = [await asyncio.wait_for(self._queue.get(), QUIET_S)]
        except TimeoutError:
            return []
        while not self._queue.empty():
            events.append(self._queue.get_nowait())
        self._queued = 0
        self._space.set()
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
        """The log's end, if all up to there is folded."""
        if tp.topic not in (TOPIC_LIVE, TOPIC_IMPORT):
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
        return [event for event in events if event.message.generation_id == generation]

    async def _write(self, events: list[Any], prepared: Prepared) -> None:
        generation = self._generation
        try:
            await asyncio.to_thread(self._batches.write, prepared)
            await self._settle(generation, events, prepared)
        except Stopped:
            raise
        except Exception as error:
            _end(error)

    async def _settle(self, generation: int | None, events: list[Any], prepared: Prepared) -> None:
        """After a batch was written in this generation: ack, commit, move the time of partitions that wait for it."""
        for event in events:
            event.value.clear()  # the records are written; the message waits for its ack without them
        if generation == self._generation == self._app.consumer_generation_id:
            for event in events:
                self._unacked[event.message.topic, event.message.partition].append(event)
            await self._commit(prepared.limits)
            await self._tick(prepared.ticks)

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
            await self._app.consumer.commit()
        except Exception as error:  # what is not committed is read again; Faust's timer tries again
            log.warning("commit failed", error=repr(error))

    async def _tick(self, ticks: dict[Place, int]) -> None:
        for place, at in ticks.items():
            try:
                await self._append(place, TICK, at)
            except Retry as error:  # what is due stays due
                log.warning("no tick", topic=place[0], partition=place[1], error=str(error))


def _end(error: Exception) -> None:
    log.critical("worker ends", error=str(error), kind=type(error).__name__, exc_info=error)
    sys.stderr.flush()
    os._exit(1)


def add_agents(app: faust.App, batches: Batches, clock: Clock, append: Append, stopping: Flag) -> None:
    """Give the app its agent and its writer."""
    writer = Writer(app, batches, clock, append, stopping)

    @app.agent(app.topic(*TOPICS, schema=batch_schema()), name="turns")
    async def turns(stream: Any) -> None:
        async for event in stream.noack().events():
            await writer.put(event)

    @app.task  # type: ignore[untyped-decorator]
    async def write() -> None:
        await writer.run()
