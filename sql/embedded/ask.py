"""What a request on ClickHouse's HTTP asks for: the address's parameters and the headers, sorted out."""

import base64
import binascii
import ipaddress
import uuid
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import h11

from sql.embedded.errors import BAD_ARGUMENTS, WRONG_LOGIN, Refused

#: Parameters of the address that are no settings. What a server knows of them and this one does not need, it takes.
_TAKEN = {
    *("query", "user", "password", "database", "default_format", "query_id", "session_id", "session_check"),
    *("session_timeout", "close_session", "compress", "decompress", "wait_end_of_query", "buffer_size"),
    *("client_protocol_version", "enable_http_compression", "quota_key", "role", "stacktrace"),
    *("http_zlib_compression_level", "send_progress_in_http_headers", "http_headers_progress_interval_ms"),
    *("cancel_http_readonly_queries_on_client_close", "http_write_exception_in_output_format"),
}
_PARAM = "param_"
#: Parameters of an address.
_MOST = 4096


@dataclass(frozen=True, slots=True)
class Ask:
    """A request: who asks, for what, and how the answer shall look.

    `given` holds the address's parameters, `params` the query's, `settings` ClickHouse's.
    """

    method: str
    path: str
    user: str
    password: str
    query_id: str
    headers: dict[str, str] = field(repr=False)
    given: dict[str, str] = field(repr=False)
    params: dict[str, str] = field(repr=False)
    settings: dict[str, str]

    def flag(self, name: str, default: str = "0") -> bool:
        """A parameter that is on or off."""
        return self.given.get(name, default).lower() not in ("0", "", "false")

    def number(self, name: str, default: int) -> int:
        """A parameter that is a number. Refused (36) if it is none."""
        text = self.given.get(name) or str(default)
        if not text.isdecimal() or len(text) > 18:
            raise Refused(BAD_ARGUMENTS, f"{name} should be a number, not '{text[:50]}'. (BAD_ARGUMENTS)")
        return int(text)

    @property
    def query(self) -> str:
        """The address's part of the statement; the body may hold the rest."""
        return self.given.get("query", "")

    @property
    def database(self) -> str:
        return self.given.get("database") or self.headers.get("x-clickhouse-database", "")

    @property
    def form(self) -> str:
        """The format for results of a statement that names none."""
        return self.headers.get("x-clickhouse-format") or self.given.get("default_format") or "TabSeparated"

    @property
    def from_a_page(self) -> bool:
        """Does a page in somebody's browser ask, perhaps one from anywhere (under a name that leads here)?"""
        if "origin" in self.headers or self.headers.get("sec-fetch-site", "none") != "none":
            return True
        host = urlsplit("//" + self.headers.get("host", "")).hostname or "localhost"
        return host != "localhost" and not _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def read(request: h11.Request) -> Ask:
    """The request, sorted out. Refused where it contradicts itself."""
    headers = {name.decode("latin-1"): value.decode("utf-8", "replace") for name, value in request.headers}
    target = urlsplit(request.target.decode("latin-1"))
    try:
        given = dict(parse_qsl(target.query, keep_blank_values=True, errors="strict", max_num_fields=_MOST))
    except ValueError as error:  # too many, or not UTF-8
        raise Refused(BAD_ARGUMENTS, f"The address cannot be read: {error}. (BAD_ARGUMENTS)") from error
    user, password = _login(headers, given)
    return Ask(
        method=request.method.decode(),
        path=target.path,
        user=user,
        password=password,
        query_id=given.get("query_id") or str(uuid.uuid4()),
        headers=headers,
        given=given,
        params={name.removeprefix(_PARAM): value for name, value in given.items() if name.startswith(_PARAM)},
        settings={name: value for name, value in given.items() if name not in _TAKEN and not name.startswith(_PARAM)},
    )


def _login(headers: dict[str, str], given: dict[str, str]) -> tuple[str, str]:
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return headers.get("x-clickhouse-user", ""), headers.get("x-clickhouse-key", "")
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if not scheme:
        return given.get("user", ""), given.get("password", "")
    try:
        decoded = base64.b64decode(credentials.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    if ":" not in decoded:
        raise Refused(WRONG_LOGIN, "Authorization should be Basic, user and password. (AUTHENTICATION_FAILED)")
    user, _, password = decoded.partition(":")
    return user, password
