"""What a setting refuses, and in which words."""

from datetime import timedelta

import pytest

from journey.errors import BadSetting
from settings import load


@pytest.mark.parametrize("name", ["TURNPATH_KEEP_EVENTS", "TURNPATH_KEEP_DEAD_LETTERS"])
def test_nothing_is_kept_beyond_the_times_of_clickhouse(name: str) -> None:
    """Rows to be kept for 100 years would expire at once, `progress` among them: the partitions' times are lost."""
    with pytest.raises(BadSetting, match=f"{name} is '36500d': keep at most 50 years: write 18250d or less"):
        load({name: "36500d"})
    assert load({name: "18250d"}).model_dump()[name.removeprefix("TURNPATH_").lower()] == timedelta(days=18_250)


def test_no_password_stands_in_what_is_said_of_a_wrong_setting() -> None:
    with pytest.raises(BadSetting) as wrong:
        load({"TURNPATH_REDIS": "http://me:se:cr@et@127.0.0.1:6379/0", "TURNPATH_SMTP_URL": "ftp://me:secret@mail:25"})
    said = str(wrong.value)
    assert "secret" not in said
    assert "cr@et" not in said
    assert "me:***@" in said
