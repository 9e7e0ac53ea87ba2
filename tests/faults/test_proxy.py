"""The proxy does what it says, between a plain client and a plain server."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from stack.ports import split
from tests.faults.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[str]:
    """The address of a server that answers with what it is sent."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=_serve, args=(server,), daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def _serve(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection:
        try:
            while piece := connection.recv(65536):
                connection.sendall(piece)
        except OSError:
            return


@contextmanager
def connected(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection(split(proxy.address), 10) as connection:
        connection.settimeout(10)
        yield connection


def said(connection: socket.socket, what: bytes) -> bytes:
    connection.sendall(what)
    heard = b""
    while len(heard) < len(what):
        piece = connection.recv(65536)
        if not piece:
            break
        heard += piece
    return heard


def drained(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def test_it_passes_on_and_cuts(echo: str) -> None:
    with Proxy(echo) as proxy, connected(proxy) as connection:
        assert said(connection, b"x" * 300_000) == b"x" * 300_000
        proxy.cut()
        with pytest.raises(ConnectionError):
            said(connection, b"again")
        with connected(proxy) as other:
            assert said(other, b"again") == b"again"


def test_it_refuses_until_it_is_healed(echo: str) -> None:
    with Proxy(echo) as proxy:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError), connected(proxy):
            pass
        proxy.heal()
        with connected(proxy) as connection:
            assert said(connection, b"well") == b"well"


def test_it_swallows_and_what_was_swallowed_is_lost(echo: str) -> None:
    with Proxy(echo) as proxy, connected(proxy) as connection:
        assert said(connection, b"before") == b"before"
        proxy.swallow()
        connection.sendall(b"lost")
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        proxy.heal()
        connection.settimeout(10)
        with pytest.raises(ConnectionError):
            connection.recv(1)


def test_it_cuts_an_insert_after_so_many_bytes(echo: str) -> None:
    with Proxy(echo) as proxy, connected(proxy) as connection:
        proxy.cut_next_insert(20)
        assert said(connection, b"SELECT 1") == b"SELECT 1"
        connection.sendall(b"INSERT INTO turns VALUES")
        with pytest.raises(ConnectionError):
            drained(connection)
        assert proxy.cuts == 1


def test_it_cuts_an_insert_before_its_answer(echo: str) -> None:
    with Proxy(echo) as proxy, connected(proxy) as connection:
        proxy.cut_next_insert(-1)
        assert said(connection, b"INSERT INTO turns VALUES") == b"INSERT INTO turns VALUES", "the head is answered"
        with pytest.raises(ConnectionError):
            said(connection, b"the block")
        assert proxy.cuts == 1
