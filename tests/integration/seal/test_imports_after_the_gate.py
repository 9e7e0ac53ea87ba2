"""Imports consumed between the wait for the workers and the publication: the seal does not know them, nor does verify.

They carry the times of the day, so it is by their offsets that they came after it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pytest

from journey.events import TOPIC_IMPORT, Event, RoomKey
from seal.run import Sealer
from seal.verify import verify
from settings import Settings
from sql import read
from sql.client import Client
from tests.integration.seal.scene import CUSTOMERS, FAR, SEOUL, made, same
from tests.integration.seal.truth import SEAL_AT, Consumer, RandomLog, Truth, count, published, record
from tests.unit.histories import HOUR

PLACE = (TOPIC_IMPORT, 7)


@dataclass
class Import:
    """A log consumed up to the cut-off of its second day, where the gate has let the seal through."""

    settings: Settings
    client: Client
    log: RandomLog
    consumer: Consumer
    truth: Truth

    @property
    def day(self) -> date:
        return self.log.days[1]

    def add(self, room_id: str, *events: Event) -> None:
        records = self.log.records[PLACE]
        for event in events:
            records.append(record(len(records), event.occurred_at, RoomKey("s", room_id), event))
        self.consumer._poll(PLACE, len(records))


@pytest.fixture
def imports(consumed: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Import]:
    with Client(consumed.clickhouse) as client:
        log, consumer = made(client, "imports", rooms=20)
        scene = Import(consumed, client, log, consumer, Truth())
        scene.add("standing", *turns(scene.day)[:2], closed(scene.day, 4))
        consumer.consume(SEOUL.cut_off(scene.day, SEAL_AT))
        reached = [(*place, offset) for place, offset in consumer.position.items()]
        monkeypatch.setattr("seal.run.await_consumed", lambda *_: reached)
        scene.truth = count(log, scene.day, set(), set())
        yield scene


def turns(day: date) -> list[Event]:
    at = SEOUL.midnight(day) + HOUR
    return [
        Event("turn", seq, at + seq, "w", "customer 1", dialog="ABC"[seq - 1], input_kind="button", input="on")
        for seq in (1, 2, 3)
    ]


def closed(day: date, seq: int) -> Event:
    return Event("room_closed", seq, SEOUL.midnight(day) + HOUR + 3000, "w", "customer 1", closed_by="customer")


def test_a_room_imported_after_the_gate_is_late(imports: Import) -> None:
    imports.add("late", *turns(imports.day), closed(imports.day, 4))
    Sealer(imports.settings, lambda: FAR, lambda words: None).seal(imports.day)
    same(published(imports.client, imports.day, CUSTOMERS), imports.truth)
    found = read.late_rooms(imports.client).dicts()
    assert [(row["reason"], row["day"]) for row in found if row["room_id"] == "late"] == [
        ("imported_late", imports.day)
    ]
    assert not verify(imports.settings, imports.day, FAR, lambda words: None).differences


def test_an_import_that_changes_a_room_while_it_is_built_is_seen(imports: Import) -> None:
    """What was missing of a room comes in, when it has been looked at: its rows in `moves` are others then."""
    said = list[str]()

    def meanwhile(words: str) -> None:
        said.append(words)
        if words.endswith("building") and said.count(words) == 1:
            imports.add("standing", turns(imports.day)[2])

    Sealer(imports.settings, lambda: FAR, meanwhile).seal(imports.day)
    assert any("once more" in words for words in said)
    same(published(imports.client, imports.day, CUSTOMERS), imports.truth)
    assert not verify(imports.settings, imports.day, FAR, lambda words: None).differences
