"""Readers of the embedded ClickHouse: how many at once, and what they may set."""

from contextlib import ExitStack

import pytest

from sql.embedded import reader
from sql.embedded.errors import Refused
from sql.embedded.reader import Limits, Readers


def test_so_many_run_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_WAIT_S", 0.01)
    readers = Readers(Limits(at_once=2))
    with ExitStack() as running:
        running.enter_context(readers.running())
        running.enter_context(readers.running())
        with pytest.raises(Refused, match="TOO_MANY_SIMULTANEOUS_QUERIES") as error:
            running.enter_context(readers.running())
        assert error.value.code == 202
    with readers.running():
        pass


def test_limits_are_settings_that_readonly_holds() -> None:
    settings = Limits(seconds=2.5, memory=1000, rows=10).settings()
    assert settings["max_execution_time"] == "2.5"
    assert (settings["max_memory_usage"], settings["max_result_rows"], settings["readonly"]) == ("1000", "10", "1")
    assert "system.tables" in settings["additional_table_filters"]
