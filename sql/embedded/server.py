"""The endpoint: clients in, each in a thread of its own, until it is told to stop."""

import contextlib
import fcntl
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import Protocol

import structlog

from journey.errors import Crash
from sql.embedded.access import READER, Doorkeeper, is_here
from sql.embedded.conversation import Conversation
from sql.embedded.endpoint import Endpoint
from sql.embedded.engine import Engine
from sql.embedded.http import HttpConversation
from sql.embedded.named import NamedSessions
from sql.embedded.reader import Limits, Readers
from sql.embedded.watch import Watch

_log = structlog.get_logger()
_POLL_S = 0.2
_STOP_S = 5.0
#: A client's statement is Python between the engine's calls: at each it waited up to 5 ms for another's.
_SWITCH_S = 0.0005


def serve(
    data: Path,
    host: str = "127.0.0.1",
    port: int = 9000,
    *,
    http: tuple[str, int] | None = None,
    reader_password: str | None = None,
    limits: Limits | None = None,
    on_ready: Callable[..., None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve the ClickHouse in `data` at host:port (0: any free one) until SIGTERM, SIGINT or `stop`.

    The user `reader` logs in with its password, if there is one; without, `reader` will do where nobody but this
    machine can come, and elsewhere it cannot log in. `on_ready` is told the port once clients can come. The signals
    are heard where this runs in the main thread. Crash: the folder is held by another process, or the address
    cannot be had.
    """
    stop = stop or threading.Event()
    sys.setswitchinterval(_SWITCH_S)
    with ExitStack() as held:
        held.enter_context(_folder(data))
        listeners = [held.enter_context(_listener(host, port, "TURNPATH_CLICKHOUSE"))]
        if http:
            listeners.append(held.enter_context(_listener(*http, "TURNPATH_CLICKHOUSE_HTTP")))
        engine = Engine(data / "engine")
        doorkeeper = Doorkeeper(reader_password or _password_at(listeners))
        endpoint = Endpoint(engine, Watch(engine), doorkeeper, Readers(limits or Limits()))
        held.enter_context(_stopped_by_signals(stop))
        for listener in listeners:
            listener.listen(128)
        if on_ready:
            on_ready(*(listener.getsockname()[1] for listener in listeners))
        _accept(listeners, endpoint, stop)


def _password_at(listeners: list[socket.socket]) -> str | None:
    """The reader's password where none was given."""
    hosts = [listener.getsockname()[0] for listener in listeners]
    if all(map(is_here, hosts)):
        return READER
    _log.warning(
        "reader_locked_out", addresses=hosts, reason="set TURNPATH_READER_PASSWORD so that the user reader can log in"
    )
    return None


class _Client(Protocol):
    """A client's conversation."""

    mark: str

    def hold(self) -> None: ...

    def end(self) -> None: ...


def _accept(listeners: list[socket.socket], endpoint: Endpoint, stop: threading.Event) -> None:
    """Hold a conversation with whoever comes: of the native protocol at the first listener, of HTTP at the other."""
    sessions = NamedSessions(endpoint)
    clients: dict[threading.Thread, _Client] = {}
    number = 0
    with DefaultSelector() as selector:
        for listener in listeners:
            selector.register(listener, EVENT_READ)
        while not stop.is_set():
            for key, _ in selector.select(_POLL_S):
                number += 1
                client = _next_client(listeners, listeners.index(key.fileobj), endpoint, sessions, number)  # type: ignore[arg-type]
                if client:
                    thread = threading.Thread(target=_hold, args=[client], name=client.mark, daemon=True)
                    clients = {each: its for each, its in clients.items() if each.is_alive()} | {thread: client}
                    thread.start()
    _end(clients, endpoint, sessions)


def _next_client(
    listeners: list[socket.socket], which: int, endpoint: Endpoint, sessions: NamedSessions, number: int
) -> _Client | None:
    try:
        connection, address = listeners[which].accept()
    except TimeoutError:
        return None
    except OSError as error:  # such as: too many open files
        _log.warning("connection_refused", error=str(error))
        time.sleep(_POLL_S)
        return None
    if which:
        return HttpConversation(connection, address[0], endpoint, sessions, f"http-{number}")
    return Conversation(connection, address[0], endpoint, f"client-{number}")


def _hold(conversation: _Client) -> None:
    try:
        conversation.hold()
    except Exception:
        _log.exception("client_failed", client=conversation.mark)


def _end(clients: dict[threading.Thread, _Client], endpoint: Endpoint, sessions: NamedSessions) -> None:
    deadline = time.monotonic() + _STOP_S
    for conversation in clients.values():
        conversation.end()
    for thread in clients:
        thread.join(max(0.0, deadline - time.monotonic()))
    left = [thread.name for thread in clients if thread.is_alive()]
    if left:
        # The engine cannot be closed under them; its files stand this, as they stand a kill.
        _log.warning("clients_left", clients=left)
        return
    sessions.close()
    endpoint.watch.close()
    endpoint.engine.close()


@contextmanager
def _folder(data: Path) -> Iterator[None]:
    """Hold the data folder: one process only may have the engine's files open."""
    try:
        data.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(data / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise Crash(
            f"the folder {data} cannot be used ({error.strerror}): set TURNPATH_DATA to one that can"
        ) from error
    with open(descriptor, "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = lock.read().strip() or "another one"
            raise Crash(
                f"the ClickHouse files in {data} are in use by process {holder}: stop that one, or set "
                "TURNPATH_DATA to another folder"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


@contextmanager
def _listener(host: str, port: int, setting: str) -> Iterator[socket.socket]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise Crash(f"there is no address {host}: set {setting} to one of this machine") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise Crash(
                f"ClickHouse cannot have {host}:{port} ({error.strerror}): stop what is there, or set "
                f"{setting} to another port"
            ) from error
        listener.settimeout(_POLL_S)
        yield listener


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGTERM, signal.SIGINT)
    before = {each: signal.signal(each, lambda *_: stop.set()) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            with contextlib.suppress(TypeError):  # None: it was not Python's
                signal.signal(each, handler)
