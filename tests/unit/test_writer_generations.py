"""After a rebalance nothing of the assignment before is acked: its polls are read again, here or by another worker."""

from threading import Event as Flag
from types import SimpleNamespace
from typing import Any

import pytest

from journey.calendar import Calendar
from journey.events import TOPIC_LIVE
from stream.agents import Writer
from stream.poll import Place
from stream.prepared import Output, Prepared
from tests.unit.memory_tables import MemoryTables
from tests.unit.test_delivery import worker

HERE: Place = (TOPIC_LIVE, 0)


class Polled:
    """A poll handed to the agent."""

    def __init__(self, last: int, generation: int) -> None:
        self.message = SimpleNamespace(topic=HERE[0], partition=HERE[1], offset=last, generation_id=generation)
        self.value: list[Any] = []
        self.acked = False

    def ack(self) -> None:
        self.acked = True


class App:
    """As far as the writer asks it."""

    def __init__(self) -> None:
        self.consumer_generation_id = 1
        self.consumer = self
        self.flow_control = SimpleNamespace(is_active=lambda: True)

    def assignment(self) -> set[Any]:
        return set()

    async def commit(self) -> None:
        """What was acked."""


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def ticked() -> list[Any]:
    return []


@pytest.fixture
def writer(app: App, ticked: list[Any]) -> Writer:
    batches = worker(MemoryTables(Calendar("UTC")), 100)
    made: Any = app
    writer = Writer(made, batches, lambda: 0, ticked.append, Flag())
    writer._current([])
    return writer


def written(limit: int) -> Prepared:
    return Prepared(Output(), {HERE: limit}, set(), {}, Flag())


async def test_what_is_written_is_acked_up_to_what_may_be_committed(writer: Writer) -> None:
    done, waits = Polled(4, 1), Polled(9, 1)
    await writer._settle(1, [done, waits], written(5))
    assert (done.acked, waits.acked) == (True, False)
    await writer._settle(1, [], written(10))
    assert waits.acked


async def test_a_batch_of_the_assignment_before_is_not_acked(writer: Writer, app: App, ticked: list[Any]) -> None:
    late = Polled(4, 1)
    app.consumer_generation_id = 2
    await writer._settle(1, [late], written(5))
    assert not late.acked
    assert not ticked


async def test_a_poll_that_waited_for_its_ack_is_forgotten(writer: Writer, app: App) -> None:
    waits, again = Polled(9, 1), Polled(9, 2)
    await writer._settle(1, [waits], written(5))
    app.consumer_generation_id = 2
    assert writer._current([again]) == [again]
    await writer._settle(2, [again], written(10))
    assert (waits.acked, again.acked) == (False, True)


def test_a_poll_of_the_assignment_before_is_not_taken(writer: Writer, app: App) -> None:
    app.consumer_generation_id = 2
    assert writer._current([Polled(4, 1)]) == []
