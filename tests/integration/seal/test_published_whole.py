"""Readers see a day's old revision or its new one, never a mix of the two, while it is published over and over."""

import itertools
import os
import threading
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from journey.calendar import Calendar
from seal.day import day_to_seal
from seal.publish import Seal, publish
from seal.stage import stage
from settings import Settings
from sql.client import Client, Value
from tests.integration.made_rooms import insert_daily

#: Reads over all threads; TURNPATH_TEST_READS for more.
READS = int(os.environ.get("TURNPATH_TEST_READS", "120"))
READERS = 3
YESTERDAY = date.today() - timedelta(days=2)
OF: dict[str, Value] = {"site": "s", "bot": "x", "from": YESTERDAY, "to": YESTERDAY}
PARAMETERS = "site={site:String}, bot={bot:String}, from={from:Date}, to={to:Date}"


def figures(revision: int, rooms: int) -> Iterator[dict[str, Any]]:
    """A day of so many rooms, each of which goes the same way: every count of every view is that number."""
    head = {"day": YESTERDAY, "revision": revision, "site_id": "s", "bot_id": "x"}
    for number, (step, dialog) in enumerate(((1, "A"), (2, "B")), 1):
        count = {"number": number, "moves": rooms, "rooms": rooms}
        yield {**head, "kind": "node", "step": step, "dialog": dialog, **count}
    ways = (
        (0, "", "start", "", 1, "A"),
        (1, "A", "next_step", "on", 2, "B"),
        (2, "B", "bot_end", "customer", 0, ""),
    )
    for number, way in enumerate(ways, 1):
        named = dict(zip(("step", "dialog", "move", "message", "next_step", "next_dialog"), way, strict=True))
        yield {**head, "kind": "edge", "number": number, **named, "moves": rooms, "rooms": rooms}
    for room in range(1, rooms + 1):
        came = {"edges": [1, 2, 3], "nodes": [1, 2], "moves": 3}
        yield {**head, "kind": "room", "room": room, "room_id": f"r{room}", "customer": room, **came}


class Publisher(threading.Thread):
    """Publishes revision after revision, of 5 to 15 rooms in turn, until it is told to end."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings, self.done = settings, threading.Event()

    def run(self) -> None:
        settings = self.settings
        meant = day_to_seal(YESTERDAY, Calendar(settings.timezone), settings.seal_at, settings.room_idle)
        with Client(settings.clickhouse) as client:
            for revision in itertools.count(1):
                rooms = 5 + revision % 11
                with stage(client, YESTERDAY) as aside:
                    insert_daily(client, figures(revision, rooms), aside.daily)
                    seal = Seal(YESTERDAY, revision, rooms, 3 * rooms, f"{revision}", meant.cut_off, is_new=True)
                    publish(client, aside, meant, seal, [], [], meant.cut_off + 1)
                if self.done.is_set():
                    return


def read(settings: Settings, reads: int, seen: list[int], failures: list[object]) -> None:
    """Ask the two views in turn; `seen`: of how many rooms each answer was; `failures`: a mix, or an error."""
    with Client(settings.clickhouse) as client:
        for view in itertools.islice(itertools.cycle(("journey_table", "journey_totals")), reads):
            try:
                answer = client.table(f"SELECT * FROM {view}({PARAMETERS})", OF).dicts()
                found = set(counts(answer))
                if len(found) != 1 or len(answer) != (2 if view == "journey_table" else 1):
                    failures.append(answer)
                seen += found
            except Exception as failure:
                failures.append(failure)


def counts(answer: list[dict[str, Any]]) -> Iterator[int]:
    """Every count of an answer that is not 0 whatever the revision; a room has two visits."""
    for row in answer:
        for name, value in row.items():
            if name == "visits":
                yield value // 2 if value % 2 == 0 else -1
            elif isinstance(value, int) and name not in ("step", "next_step") and value:
                yield value
        if "visits" in row:
            yield row["next_step"]


def test_no_answer_is_of_two_revisions(consumed: Settings) -> None:
    publisher = Publisher(consumed)
    publisher.start()
    with Client(consumed.clickhouse) as client:
        while not client.rows("SELECT kind FROM daily LIMIT 1"):
            assert publisher.is_alive()
    seen, failures = list[int](), list[object]()
    readers = [threading.Thread(target=read, args=(consumed, READS // READERS, seen, failures)) for _ in range(READERS)]
    try:
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    finally:
        publisher.done.set()
        publisher.join()
    assert not failures
    assert len(seen) == READS // READERS * READERS
    assert len(set(seen)) > 5, "revision after revision was published meanwhile"
