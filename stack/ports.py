"""Addresses, host:port: taken apart, looked at, chosen."""

import errno
import random
import socket
from collections import deque

from journey.errors import BadSetting

# Below the range from which the kernel takes the local ports of outgoing connections (32768 and up):
# a port chosen here is not taken by a client before its server starts.
_FROM, _TO = 20_000, 32_000
_random = random.SystemRandom()

#: Of the ports given last; a server that takes longer to start than the next 200 of its process is not known.
_tokens: deque[socket.socket] = deque(maxlen=200)


def split(address: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as (host, port)."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def is_free(address: str) -> bool:
    """Whether a server could listen there; BadSetting if the address is not one of this machine's."""
    host, port = split(address)
    try:
        family, kind, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise BadSetting(
                f"{address} is not an address of this machine, and nothing answers there: "
                "start that part on its own machine, or set an address such as 127.0.0.1:" + str(port)
            ) from None
        if error.errno == errno.EACCES:
            raise BadSetting(f"port {port} is only root's: choose one above 1023") from None
        return False
    return True


def free_port() -> int:
    """A port of 127.0.0.1 where nobody listens now, and that no process of this machine was given lately."""
    while True:
        port = _random.randrange(_FROM, _TO)
        if is_free(f"127.0.0.1:{port}") and _taken(port):
            return port


def _taken(port: int) -> bool:
    """Take the port until its server listens: seconds pass, in which another process may look for one.

    The token is a name that only one socket of the machine can have; the kernel drops it with the process.
    """
    token = socket.socket(socket.AF_UNIX)
    try:
        token.bind(f"\0turnpath-port-{port}")
    except OSError:
        token.close()
        return False
    if len(_tokens) == _tokens.maxlen:
        _tokens[0].close()
    _tokens.append(token)
    return True
