"""What sql/client.py does without a server: parameters, and errors named by their reaction."""

import socket
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import pytest
from clickhouse_driver.errors import ServerException, SocketTimeoutError

from journey.errors import BadSetting, BadUsage, Crash, Retry, TurnpathError, Unreachable
from sql.client import Client, ServerError, _rendered, errors_named


def test_values_that_are_taken() -> None:
    seoul = timezone(timedelta(hours=9))
    at = datetime(2024, 1, 2, 3, 4, 5, 678_900, tzinfo=seoul)
    assert _rendered({"t": "가'\\", "n": 7, "b": True, "f": 0.5, "d": date(2024, 1, 2), "at": at, "l": ["a", "b"]}) == {
        "t": "가'\\",
        "n": 7,
        "b": 1,
        "f": 0.5,
        "d": "2024-01-02",
        "at": "2024-01-01 18:04:05.678",
        "l": ["a", "b"],
    }


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1},
        {1},
        None,
        b"x",
        Colour.RED,
        object(),
        float("nan"),
        float("inf"),
        [["a"]],
        [None],
        datetime(2024, 1, 1),
    ],
)
def test_what_the_driver_would_pass_unescaped_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="parameter x"):
        _rendered({"x": value})


def test_text_that_is_not_utf8_is_the_users_mistake() -> None:
    with pytest.raises(BadUsage, match="site is not valid UTF-8"):
        _rendered({"site": b"\xff".decode(errors="surrogateescape")})


def named(error: BaseException) -> TurnpathError:
    with pytest.raises(TurnpathError) as caught, errors_named("ch:9000"):
        raise error
    return caught.value


@pytest.mark.parametrize(
    "code,text,reaction",
    [
        (241, "DB::Exception: Memory limit (total) exceeded", Retry),
        (252, "DB::Exception: Too many parts (300)", Retry),
        (243, "DB::Exception: Cannot reserve 1.00 MiB, not enough space", Retry),
        (75, "DB::Exception: Cannot write to file, errno: 28, strerror: No space left on device", Retry),
        (1001, "std::filesystem::filesystem_error: in create_directories: No space left on device", Retry),
        (1001, "std::exception. Code: 1001, type: std::out_of_range, e.what() = map::at", ServerError),
        (242, "DB::Exception: Table is in readonly mode", Retry),
        (164, "DB::Exception: Cannot execute query in readonly mode", ServerError),
        (252, "DB::Exception: Too many partitions for single INSERT block (more than 100)", ServerError),
        (62, "DB::Exception: Syntax error", ServerError),
        (395, "DB::Exception: Value passed to 'throwIf' function is non-zero", ServerError),
        (516, "DB::Exception: reader: Authentication failed", BadSetting),
        (60, "DB::Exception: Unknown table expression identifier 'x'", ServerError),
    ],
)
def test_codes_ask_for_a_reaction(code: int, text: str, reaction: type[TurnpathError]) -> None:
    error = named(ServerException(text, code))
    assert type(error) is reaction
    if isinstance(error, ServerError):
        assert isinstance(error, Crash)
        assert error.code == code
        assert text.removeprefix("DB::Exception: ") in str(error)


def test_a_guard_of_a_view_says_its_sentence_and_no_more() -> None:
    said = "turnpath: `from` is after `to`; turn them: while executing 'FUNCTION throwIf(...)'. Stack trace:\n0"
    text = f"DB::Exception: {said}"
    error = named(ServerException(text, 395))
    assert type(error) is BadUsage
    assert str(error) == "`from` is after `to`; turn them"


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), EOFError("Unexpected EOF"), SocketTimeoutError("t")])
def test_network_trouble_is_unreachable(error: Exception) -> None:
    assert "ch:9000" in str(named(error))
    assert isinstance(named(error), Unreachable)


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            Client(f"clickhouse://{address}/x") as client,
            pytest.raises(Unreachable, match=f"{address}.*TURNPATH_CLICKHOUSE"),
        ):
            client.rows("SELECT 1")


def test_columns_of_one_insert_have_one_length() -> None:
    with pytest.raises(ValueError, match=r"\[1, 2\]"):
        Client("clickhouse://127.0.0.1:1/x").insert("t", {"a": [1], "b": [1, 2]})


def test_no_rows_are_not_sent() -> None:
    Client("clickhouse://127.0.0.1:1/x").insert("t", {"a": [], "b": []})


def test_user_and_password_stand_above_those_of_the_address() -> None:
    client = Client("clickhouse://one:secret@127.0.0.1:1/x", user="two", password="other")
    assert (client._driver.connection.user, client._driver.connection.password) == ("two", "other")
    assert client.database == "x"


def test_time_zone_is_utc() -> None:
    assert _rendered({"at": datetime(2024, 1, 1, tzinfo=UTC)}) == {"at": "2024-01-01 00:00:00.000"}
