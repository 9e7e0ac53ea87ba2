"""Some publish a day in the same instant: ClickHouse by itself would now and then keep the rows of two of them."""

import threading
from datetime import date

import pytest

from journey.errors import Retry
from seal.replace import replace_day, statement_id
from settings import Settings
from sql.client import Client

#: Without the guard the day is there twice within the first three times.
TIMES = 6
_STAGES = [f"daily_stage_{n}" for n in range(6)]

_SLEEPS = "SELECT sleep(0.8) AS sleeps_for_a_while"
_SLEEPING = "SELECT 1 FROM system.processes WHERE query LIKE '%sleeps_for_a_while' AND query NOT LIKE '%processes%'"
_DAY = date(2026, 3, 7)


def test_the_day_is_there_once(consumed: Settings) -> None:
    """However close the REPLACE PARTITION of a day are, one of them is what is read."""
    with Client(consumed.clickhouse) as client:
        for name in _STAGES:
            client.run(f"CREATE TABLE {name} AS daily")
            client.insert(name, {"day": [_DAY], "kind": ["seal"], "checksum": [name]})
        for _ in range(TIMES):
            at_once(consumed, _STAGES)
            assert client.rows("SELECT count() FROM daily") == [(1,)]
        assert client.rows("SELECT DISTINCT kind FROM daily") == [("seal",)]


def test_who_waits_too_long_says_so(consumed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement of the same id that goes on and on: nothing is published, and nothing of the other's is touched."""
    monkeypatch.setattr("seal.replace._WAIT_S", 0.2)
    with Client(consumed.clickhouse) as client, Client(consumed.clickhouse) as other:
        client.run(f"CREATE TABLE {_STAGES[0]} AS daily")
        client.insert(_STAGES[0], {"day": [_DAY], "kind": ["seal"]})
        same = {"query_id": statement_id(client, "daily", _DAY)}
        held = threading.Thread(target=other.run, args=(_SLEEPS,), kwargs=same)
        held.start()
        while not client.rows(_SLEEPING):
            pass
        with pytest.raises(Retry, match=r"somebody else has been publishing 2026-03-07 for .* try again"):
            replace_day(client, "daily", _DAY, _STAGES[0])
        assert client.rows("SELECT count() FROM daily") == [(0,)]
        held.join()
        replace_day(client, "daily", _DAY, _STAGES[0])
        assert client.rows("SELECT count() FROM daily") == [(1,)]


def at_once(settings: Settings, names: list[str]) -> None:
    """Publish the day from each of the tables, in threads of their own."""
    together = threading.Barrier(len(names))

    def run(name: str) -> None:
        with Client(settings.clickhouse) as client:
            client.rows("SELECT 1")
            together.wait(60)
            replace_day(client, "daily", _DAY, name)

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
