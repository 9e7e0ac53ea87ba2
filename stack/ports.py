"""Addresses, host:port: taken apart, looked at, chosen."""

import errno
import random
import socket

from journey.errors import BadSetting

# Below the range from which the kernel takes the local ports of outgoing connections (32768 and up):
# a port chosen here is not taken by a client before its server starts.
_FROM, _TO = 20_000, 32_000
_random = random.SystemRandom()


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
    """A port of 127.0.0.1 where nobody listens now."""
    while True:
        port = _random.randrange(_FROM, _TO)
        if is_free(f"127.0.0.1:{port}"):
            return port
