"""What a worker sees to before it reads anything."""

import http.client
from datetime import timedelta

import pytest

from broker.topics import make_topics
from settings import Settings
from stack.parts import worker_part
from stack.ports import split
from tests.faults.proxy import Proxy
from tests.waiting import until


def health(settings: Settings) -> str:
    connection = http.client.HTTPConnection(*split(settings.worker_http), timeout=30)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().read().decode()
    except OSError:
        return ""  # not up yet
    finally:
        connection.close()


def test_another_time_zone_than_the_tables_is_refused_as_soon_as_clickhouse_answers(fresh_settings: Settings) -> None:
    """A room's rows lie under the tables' days; tombstones under the days of another zone would not meet them."""
    make_topics(fresh_settings)
    where, _, database = fresh_settings.clickhouse.removeprefix("clickhouse://").partition("/")
    with Proxy(where) as clickhouse:
        clickhouse.refuse()
        other = {"clickhouse": f"clickhouse://{clickhouse.address}/{database}", "timezone": "America/New_York"}
        moved = fresh_settings.model_copy(update=other)
        worker = worker_part(moved, 1).start(fresh_settings.data)
        try:
            until(lambda: "settings: for" in health(moved))
            assert f"ClickHouse at {clickhouse.address} does not answer" in health(moved)
            assert worker.code is None
            clickhouse.heal()
            until(lambda: worker.code is not None)
            assert worker.code == 3
            said = worker.last_words()
            assert "TURNPATH_TIMEZONE is America/New_York, but the days in this database" in said
            assert "set it back to Asia/Seoul, or name another database" in said
            assert "Traceback" not in said
        finally:
            worker.stop(5)


@pytest.mark.parametrize("name, value", [("room_idle", timedelta(hours=12)), ("reorder_wait", timedelta(minutes=5))])
def test_other_times_than_those_that_the_tables_were_filled_with_are_refused(
    fresh_settings: Settings, name: str, value: timedelta
) -> None:
    """With a shorter idle time a room had two ends; with a longer wait a row was counted twice."""
    make_topics(fresh_settings)
    moved = fresh_settings.model_copy(update={name: value})
    worker = worker_part(moved, 1).start(fresh_settings.data)
    try:
        until(lambda: worker.code is not None)
        assert worker.code == 3
        assert f"TURNPATH_{name.upper()} is " in worker.last_words()
        assert "set it back to " in worker.last_words()
    finally:
        worker.stop(5)
