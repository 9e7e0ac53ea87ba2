"""The endpoint: clients in, each in a thread of its own, until it is told to stop."""

import contextlib
import fcntl
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import structlog

from journey.errors import Crash
from sql.embedded.conversation import Conversation
from sql.embedded.engine import Engine
from sql.embedded.watch import Watch

_log = structlog.get_logger()
_POLL_S = 0.2
_STOP_S = 5.0


def serve(
    data: Path,
    host: str = "127.0.0.1",
    port: int = 9000,
    *,
    on_ready: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve the ClickHouse in `data` at host:port (0: any free one) until SIGTERM, SIGINT or `stop`.

    `on_ready` is told the port once clients can come. The signals are heard where this runs in the main
    thread. Crash: the folder is held by another process, or the address cannot be had.
    """
    stop = stop or threading.Event()
    with ExitStack() as held:
        held.enter_context(_folder(data))
        listener = held.enter_context(_listener(host, port))
        engine = Engine(data / "engine")
        held.enter_context(_stopped_by_signals(stop))
        listener.listen(128)
        if on_ready:
            on_ready(listener.getsockname()[1])
        _accept(listener, engine, stop)


def _accept(listener: socket.socket, engine: Engine, stop: threading.Event) -> None:
    watch = Watch(engine)
    clients: dict[threading.Thread, Conversation] = {}
    number = 0
    while not stop.is_set():
        try:
            connection, address = listener.accept()
        except TimeoutError:
            continue
        except OSError as error:  # such as: too many open files
            _log.warning("connection_refused", error=str(error))
            time.sleep(_POLL_S)
            continue
        number += 1
        conversation = Conversation(connection, address[0], engine, watch, f"client-{number}")
        thread = threading.Thread(target=_hold, args=[conversation], name=conversation.mark, daemon=True)
        clients = {each: its for each, its in clients.items() if each.is_alive()} | {thread: conversation}
        thread.start()
    _end(clients, watch, engine)


def _hold(conversation: Conversation) -> None:
    try:
        conversation.hold()
    except Exception:
        _log.exception("client_failed", client=conversation.mark)


def _end(clients: dict[threading.Thread, Conversation], watch: Watch, engine: Engine) -> None:
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
    watch.close()
    engine.close()


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
def _listener(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise Crash(f"there is no address {host}: set TURNPATH_CLICKHOUSE to one of this machine") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise Crash(
                f"ClickHouse cannot have {host}:{port} ({error.strerror}): stop what is there, or set "
                "TURNPATH_CLICKHOUSE to another port"
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
