"""Who may log in to the embedded ClickHouse."""

import threading

import pytest

from sql.embedded import access
from sql.embedded.access import Doorkeeper
from sql.embedded.errors import Refused


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may(host: str) -> None:
    waits: list[float] = []
    doorkeeper = Doorkeeper("secret", waits.append)
    assert doorkeeper.enter("default", "", host) == "default"
    assert doorkeeper.enter("", "", host) == "default"
    assert doorkeeper.enter("reader", "secret", host) == "reader"
    assert not waits


@pytest.mark.parametrize(
    "user, password, host",
    [
        ("default", "x", "127.0.0.1"),
        ("root", "", "::1"),
        ("default", "", "10.0.0.7"),
        ("default", "", "fe80::1%eth0"),
        ("reader", "", "127.0.0.1"),
        ("reader", "Secret", "127.0.0.1"),
        ("Reader", "secret", "127.0.0.1"),
    ],
)
def test_nobody_else_and_slowly(user: str, password: str, host: str) -> None:
    waits: list[float] = []
    with pytest.raises(Refused) as error:
        Doorkeeper("secret", waits.append).enter(user, password, host)
    assert error.value.code == 516
    assert waits == [0.5]


@pytest.mark.parametrize("password", ["", "reader", "None"])
def test_a_reader_without_a_password_cannot_log_in(password: str) -> None:
    with pytest.raises(Refused):
        Doorkeeper(None, lambda _: None).enter("reader", password, "127.0.0.1")


def test_whoever_guessed_wrong_is_heard_one_by_one() -> None:
    """Many guesses at once take as long as one after the other; other addresses do not notice."""
    at_once, most = 0, 0
    lock = threading.Lock()
    nap = threading.Event()

    def sleep(_: float) -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        nap.wait(0.01)
        with lock:
            at_once -= 1

    doorkeeper = Doorkeeper("secret", sleep)

    def guess() -> None:
        with pytest.raises(Refused):
            doorkeeper.enter("reader", "wrong", "10.0.0.7")

    guess()
    most = 0
    threads = [threading.Thread(target=guess) for _ in range(30)]
    for thread in threads:
        thread.start()
    assert doorkeeper.enter("reader", "secret", "10.0.0.8") == "reader"
    assert doorkeeper.enter("default", "", "127.0.0.1") == "default"
    for thread in threads:
        thread.join()
    assert most == 1
    assert doorkeeper.enter("reader", "secret", "10.0.0.7") == "reader"


def test_a_line_that_is_too_long_is_not_heard_at_all() -> None:
    """Not even with the right password: else a crowd could guess as fast as it comes."""
    asleep, go_on = threading.Semaphore(0), threading.Event()

    def sleep(_: float) -> None:
        asleep.release()
        go_on.wait(30)

    doorkeeper = Doorkeeper("secret", sleep)

    def guess() -> None:
        with pytest.raises(Refused):
            doorkeeper.enter("reader", "wrong", "10.0.0.7")

    threads = [threading.Thread(target=guess) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert asleep.acquire(timeout=30)
    while _enters(doorkeeper):  # until all eight stand in line
        pass
    go_on.set()
    for thread in threads:
        thread.join()


def _enters(doorkeeper: Doorkeeper) -> bool:
    try:
        return bool(doorkeeper.enter("reader", "secret", "10.0.0.7"))
    except Refused:
        return False


def test_addresses_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_ADDRESSES", 3)
    times = iter(range(0, 10_000, 50))
    doorkeeper = Doorkeeper("secret", lambda _: None, lambda: 1000.0 + next(times))
    for n in range(10):
        with pytest.raises(Refused):
            doorkeeper.enter("reader", "wrong", f"10.0.0.{n}")
    assert len(doorkeeper._lines) <= 3
