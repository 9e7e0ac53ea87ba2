"""Who may log in to the embedded ClickHouse."""

import pytest

from sql.embedded.access import check
from sql.embedded.errors import Refused


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may(host: str) -> None:
    check("default", "", host)
    check("", "", host)


@pytest.mark.parametrize(
    "user, password, host",
    [("default", "x", "127.0.0.1"), ("root", "", "::1"), ("default", "", "10.0.0.7"), ("default", "", "fe80::1%eth0")],
)
def test_nobody_else(user: str, password: str, host: str) -> None:
    with pytest.raises(Refused) as error:
        check(user, password, host)
    assert error.value.code == 516
