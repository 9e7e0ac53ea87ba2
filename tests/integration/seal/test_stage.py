"""Memory: a statement of the seal stays within the settings, and what is larger goes to ClickHouse's disk."""

import pytest

from journey.errors import Retry
from seal.stage import connection
from settings import Settings
from sql.client import Client

LEAST = 256 * 1024 * 1024
# a row a group: some 450 MB in memory
LARGE = "SELECT sum(length(a)) FROM (SELECT number, groupArray(number) AS a FROM numbers(3000000) GROUP BY number)"


def test_what_does_not_fit_into_the_memory_goes_to_the_disk(database_url: str) -> None:
    small = Settings(clickhouse=database_url, seal_memory=LEAST)
    with connection(small) as client:
        assert client.rows(LARGE) == [(3_000_000,)]
    in_memory = ("max_bytes_before_external_group_by", "max_bytes_ratio_before_external_group_by")
    limits = {"max_memory_usage": LEAST, **dict.fromkeys(in_memory, 0)}
    with Client(small.clickhouse, limits=limits) as client, pytest.raises(Retry, match="memory"):
        client.rows(LARGE)
