"""Logs to seal, and what the tests of the seal ask of the tables."""

import random
from datetime import date
from pathlib import Path

from journey.calendar import Calendar
from seal.run import Sealer
from seal.stage import PREFIX
from settings import Settings
from sql.client import Client
from tests.integration.seal.truth import (
    SEAL_AT,
    Consumer,
    RandomLog,
    Truth,
)

ROOT = Path(__file__).parents[3]
SEOUL = Calendar("Asia/Seoul")
FIRST = date(2026, 3, 6)
CUSTOMERS = [f"customer {n}" for n in range(30)]
FAR = SEOUL.midnight(date(2027, 1, 1))


def sealer(settings: Settings, now: int = FAR) -> Sealer:
    return Sealer(settings, lambda: now, lambda words: None)


def made(
    client: Client, seed: str, rooms: int = 100, calendar: Calendar = SEOUL, late: float = 0
) -> tuple[RandomLog, Consumer]:
    log = RandomLog(random.Random(seed), calendar, FIRST, 4, rooms, late)
    return log, Consumer(client, log)


def same(found: Truth, truth: Truth) -> None:
    assert found.rooms == truth.rooms
    assert found.edges == truth.edges
    assert found.nodes == truth.nodes
    assert found.left_out == truth.left_out


def left_behind(client: Client) -> list[tuple[str, ...]]:
    return client.rows(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND startsWith(name, {prefix:String})",
        {"prefix": PREFIX},
    )


def play(settings: Settings, seed: str, rooms: int = 40) -> tuple[RandomLog, Consumer]:
    """A log, consumed up to the cut-off of its second day."""
    log, consumer = made(Client(settings.clickhouse), seed, rooms)
    consumer.consume(SEOUL.cut_off(log.days[1], SEAL_AT))
    return log, consumer


def rows_of(client: Client) -> list[tuple[object, ...]]:
    return client.rows("SELECT * EXCEPT (sealed_at) FROM daily ORDER BY day, kind, site_id, bot_id, number, room")
