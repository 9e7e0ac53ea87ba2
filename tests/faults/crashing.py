"""Crash at each point, then a plain run: worker after worker, seal after seal, each killed at a place of its own."""

import time
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

import redis

from seal.run import Sealer
from settings import Settings
from sql.client import Client
from tests.faults.forked import context, with_its_parent
from tests.faults.parts import Parts, Worker
from tests.faults.points import Plan, arm_seal
from tests.waiting import until

#: The tables as readers see them, without what says when a row was written.
_TABLES = {
    "turns": "* EXCEPT (written_on) FROM turns FINAL",
    "moves": "* EXCEPT (written_on) FROM moves FINAL",
    "rooms": "* EXCEPT (written_on) FROM rooms FINAL",
    "edge_counts": "* EXCEPT (written_on, upto) FROM edge_counts FINAL",
    "edge_totals": "* EXCEPT (written_on, version) FROM edge_totals FINAL",
    "timeouts": "* EXCEPT (written_on) FROM timeouts FINAL WHERE is_deleted = 0",
    "bots": "* FROM bots FINAL",
    "dead_letters": "* EXCEPT (written_at) FROM dead_letters FINAL",
    "daily": "* EXCEPT (sealed_at, offsets) FROM daily",
}
_LIMIT_S = 300


def crash_workers(parts: Parts, points: Iterable[tuple[str, int]], meanwhile: Callable[[str], None]) -> None:
    """One worker after the other; each finds what the one before left, and dies at its point, at that passing.

    `meanwhile`: called with the point again and again until then.
    """
    for point, passing in points:
        worker = parts.start_worker(Plan(crash=point, passing=passing, session_s=1.5))
        worker.meant_to_end = True
        until(lambda dying=worker, at=point: _is_dead(dying, at, meanwhile), _LIMIT_S)  # type: ignore[misc]
        assert worker.process.code == -9, f"{point}: {worker.process.last_words()}"
        parts.workers.remove(worker)


def _is_dead(worker: Worker, point: str, meanwhile: Callable[[str], None]) -> bool:
    meanwhile(point)
    return worker.process.code is not None


# -- the seal ----------------------------------------------------------------------------------------------------------
def statements(settings: Settings, day: date) -> list[str]:
    """Seal the day in a process of its own; the statements that this took, in their order."""
    queue = context().Queue()
    process = context().Process(target=_seal, args=(settings, day, Plan(), queue))
    process.start()
    heard: list[str] = queue.get(timeout=_LIMIT_S)
    process.join(_LIMIT_S)
    return heard


def crash_seal(settings: Settings, day: date, point: str) -> int | None:
    """Begin to seal the day in a process of its own, which dies at the point; its exit code."""
    process = context().Process(target=_seal, args=(settings, day, Plan(crash=point), None))
    process.start()
    process.join(_LIMIT_S)
    release(settings)
    code: int | None = process.exitcode
    return code


def crash_each_seal(settings: Settings, points: Callable[[list[str]], Iterable[str]]) -> list[str]:
    """Of the sealed day with the most rooms: crash at each point, seal plainly, compare `daily`; what differs.

    `points` chooses among the points of the seal's statements, which it is given.
    """
    with Client(settings.clickhouse) as client:
        day: date = client.rows("SELECT argMax(day, rooms) FROM daily WHERE kind = 'seal'")[0][0]
        before, differences = rows(client, "daily"), []
        unseal(settings, day)
        heard = statements(settings, day)
        for point in points(heard):
            unseal(settings, day)
            code = crash_seal(settings, day, point)
            _sealer(settings).seal(day)
            if code != -9 or rows(client, "daily") != before:
                number = int(point.split()[1])
                differences.append(f"seal, crash at {point} ({heard[number - 1][:100]}), code {code}: daily differs")
    return differences


def every_point(heard: list[str]) -> list[str]:
    """Before and after every statement of a seal."""
    return [f"statement {number} {when}" for number in range(1, len(heard) + 1) for when in ("before", "after")]


def unseal(settings: Settings, day: date) -> None:
    """As if the day had never been sealed."""
    with Client(settings.clickhouse) as client:
        client.run(f"ALTER TABLE daily DROP PARTITION '{day.isoformat()}'")


def release(settings: Settings) -> None:
    """The lock outlives whoever was killed by half a minute; the operator would wait, or delete it."""
    with redis.Redis.from_url(settings.redis) as server:
        for key in server.scan_iter("turnpath:seal:*"):
            server.delete(key)


def _sealer(settings: Settings) -> Sealer:
    return Sealer(settings, lambda: time.time_ns() // 1_000_000, lambda _: None)


def _seal(settings: Settings, day: date, plan: Plan, queue: Any) -> None:
    with_its_parent()
    heard: list[str] = []
    arm_seal(plan, heard)
    _sealer(settings).seal(day)
    if queue is not None:
        queue.put(heard)


# -- what stands -------------------------------------------------------------------------------------------------------
def rows(client: Client, table: str) -> list[str]:
    """All rows of a table, as text, sorted."""
    return sorted(map(repr, client.rows(f"SELECT {_TABLES[table]}")))


def run_plainly(parts: Parts) -> list[str]:
    """The same logs once more: an empty database, a group that has read nothing, one worker, no fault; what differs."""
    with parts.client() as client:
        expected = {table: rows(client, table) for table in _TABLES}
    parts.begin_again()
    parts.start_worker(Plan())
    until(parts.is_at_rest, 300)
    parts.run("seal")
    with parts.client() as client:
        return [f"{table}: a plain run makes other rows" for table in _TABLES if rows(client, table) != expected[table]]
