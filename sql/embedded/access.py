"""Who may log in: for now `default` without a password, from this machine."""

import ipaddress

from sql.embedded.errors import WRONG_LOGIN, Refused


def check(user: str, password: str, host: str) -> None:
    """Refused (516) unless this user may log in with this password from that address."""
    if (user or "default", password) != ("default", "") or not _is_here(host):
        raise Refused(
            WRONG_LOGIN,
            f"{user}: Authentication failed: password is incorrect, or there is no user with such name: use "
            "`default` without a password, from this machine. (AUTHENTICATION_FAILED)",
        )


def _is_here(host: str) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
