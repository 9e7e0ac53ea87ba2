"""The wait for the cut-off: in each partition, also where nothing comes any more, and not for ever."""

import asyncio
import subprocess
from datetime import date, timedelta

import orjson

from broker.produce import Producer
from broker.topics import make_topics
from journey.events import TOPIC_IMPORT
from scheduler.loop import Scheduler
from seal.publish import Seal
from settings import Settings
from sql.client import Client
from stack.parts import environment, turnpath, worker_part
from stack.process import Process
from tests.integration.seal.scene import SEOUL, left_behind
from tests.integration.seal.test_thirty_days import EveryDay
from tests.integration.seal.truth import SEAL_AT
from tests.unit.histories import DAY

SEALED_LAST = date.today() - timedelta(days=3)


async def imported(kafka: str) -> None:
    """A closed room of each of three days, one or two in a partition, and no tick after them."""
    async with Producer(kafka, TOPIC_IMPORT) as producer:
        for number in range(3):
            at = SEOUL.midnight(SEALED_LAST) - (2 - number) * DAY + DAY // 2
            head = {"site_id": "s", "bot_id": "x", "room_id": f"r{number}", "customer_id": "c"}
            turn = {"type": "turn", **head, "seq": 1, "dialog": "A", "input_kind": "none"}
            close = {"type": "room_closed", **head, "seq": 2, "closed_by": "customer"}
            for event in (turn, close):
                when = f"{SEALED_LAST - timedelta(days=2 - number)}T12:00:00+09:00"
                await producer.send(orjson.dumps({**event, "occurred_at": when}), f"r{number}".encode(), at)


class Clock:
    """Each sleep is one of the scheduler's; after the second one there is a worker."""

    def __init__(self, settings: Settings, at: int) -> None:
        self.settings, self.at, self.sleeps = settings, at, list[float]()
        self.worker: Process | None = None

    def now(self) -> int:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.at += round(1000 * seconds)
        if len(self.sleeps) == 2:
            self.worker = worker_part(self.settings, 1).start(self.settings.data)


def test_past_the_limit_nothing_is_published_and_the_scheduler_tries_again(fresh_settings: Settings) -> None:
    make_topics(fresh_settings)
    asyncio.run(imported(fresh_settings.kafka))
    settings = fresh_settings.model_copy(update={"seal_wait": timedelta(seconds=1)})
    command = subprocess.run(
        turnpath("seal", "--day", str(SEALED_LAST)),
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert command.returncode == 7
    assert "the workers have not reached the cut-off within 1 s: chatbot.turns.import[" in command.stderr
    with Client(settings.clickhouse) as client:
        assert not client.rows("SELECT kind FROM daily")
        assert not left_behind(client)
        clock, seals = Clock(settings, SEOUL.cut_off(SEALED_LAST, SEAL_AT)), list[Seal]()
        Scheduler(settings, clock, EveryDay(settings, clock.now, seals)).run(lambda: len(seals) < 3)
        assert [(seal.day, seal.rooms) for seal in seals] == [(SEALED_LAST - timedelta(days=n), 1) for n in (2, 1, 0)]
    assert clock.sleeps[:3] == [15.0, 30.0, 60.0]
    assert clock.worker is not None
    clock.worker.stop(9)
