"""ClickHouse's HTTP, as curl and the clients of other makers speak it."""

import gzip
import hashlib
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import cramjam
import httpx
import lz4.frame  # type: ignore[import-untyped]
import pytest
from clickhouse_driver import Client

from sql.embedded.wire import FrameSource, Source, compressed

FOREVER = "SELECT sum(cityHash64(number)) FROM numbers(100000000000)"

Ask = Callable[..., httpx.Response]


@pytest.fixture
def web(http_address: str, database: str) -> Iterator[httpx.Client]:
    """An HTTP client in this test's database, that takes bodies as they come."""
    headers = {"X-ClickHouse-Database": database, "Accept-Encoding": "identity"}
    with httpx.Client(base_url=f"http://{http_address}", headers=headers, timeout=120) as client:
        yield client


@pytest.fixture
def ask(web: httpx.Client) -> Ask:
    """Send a statement as a body, with parameters in the address."""

    def post(body: str | bytes = b"", headers: dict[str, str] | None = None, **params: str) -> httpx.Response:
        return web.post("/", content=body, params=params, headers=headers)

    return post


def test_ping(web: httpx.Client) -> None:
    for path in ("/ping", "/", "/replicas_status"):
        assert (web.get(path).status_code, web.get(path).text) == (200, "Ok.\n")
    assert web.get("/nowhere").status_code == 404
    assert web.head("/ping").status_code == 200


def test_a_query_in_the_address_in_the_body_and_in_both(web: httpx.Client, ask: Ask) -> None:
    assert web.get("/", params={"query": "SELECT 1"}).text == "1\n"
    assert ask("SELECT 2").text == "2\n"
    assert ask(" + 1", query="SELECT 2").text == "3\n"
    assert ask("SELECT 3;\n").text == "3\n"


def test_headers_of_an_answer(ask: Ask) -> None:
    answer = ask("SELECT 1", query_id="of-mine")
    assert answer.headers["X-ClickHouse-Query-Id"] == "of-mine"
    assert answer.headers["X-ClickHouse-Format"] == "TabSeparated"
    assert answer.headers["X-ClickHouse-Timezone"]
    assert answer.headers["Content-Type"] == "text/tab-separated-values; charset=UTF-8"
    assert "read_rows" in answer.headers["X-ClickHouse-Summary"]


@pytest.mark.parametrize(
    "form, expected",
    [
        ("TSV", "0\ta\n1\ta\n"),
        ("CSVWithNames", '"n","s"\n0,"a"\n1,"a"\n'),
        ("TabSeparatedWithNamesAndTypes", "n\ts\nUInt64\tString\n0\ta\n1\ta\n"),
        ("JSONEachRow", '{"n":0,"s":"a"}\n{"n":1,"s":"a"}\n'),
        ("JSONCompactEachRowWithNames", '["n", "s"]\n[0, "a"]\n[1, "a"]\n'),
        ("Values", "(0,'a'),(1,'a')"),
    ],
)
def test_formats(ask: Ask, form: str, expected: str) -> None:
    sql = "SELECT number AS n, 'a' AS s FROM numbers(2)"
    asked = [ask(f"{sql} FORMAT {form}"), ask(sql, default_format=form), ask(sql, {"X-ClickHouse-Format": form})]
    assert [answer.text for answer in asked] == [expected] * 3


def test_documents_are_whole(ask: Ask) -> None:
    """chDB gives them in pieces, each a document of its own."""
    sql = "SELECT number AS n FROM numbers(200000)"
    assert ask(f"{sql} FORMAT JSON").json()["rows"] == 200_000
    for form, head in (("CSVWithNames", '"n"\n'), ("TSVWithNamesAndTypes", "n\nUInt64\n")):
        assert ask(f"{sql} FORMAT {form}").text == head + "".join(f"{n}\n" for n in range(200_000))
    binary = ask(f"{sql} FORMAT RowBinaryWithNamesAndTypes").content
    assert binary == b"\x01\x01n\x06UInt64" + b"".join(n.to_bytes(8, "little") for n in range(200_000))
    assert ask("SELECT 1 AS a WHERE 0 FORMAT CSVWithNames").text == '"a"\n'
    assert ask("SELECT number % 2 AS k, count() FROM numbers(4) GROUP BY k WITH TOTALS").text == "0\t2\n1\t2\n\n0\t4\n"


def test_native_by_the_clients_revision(ask: Ask) -> None:
    sql = "SELECT toDateTime(0, 'Asia/Seoul') AS t FORMAT Native"
    assert ask(sql).content == b"\x01\x01\x01t\x08DateTime" + bytes(4)
    head = b"\x01\x00\x02\xff\xff\xff\xff\x00\x01\x01\x01t\x16DateTime('Asia/Seoul')"
    assert ask(sql, client_protocol_version="54405").content == head + bytes(4)
    assert ask(sql, client_protocol_version="54459").content == head + b"\x00" + bytes(4)
    assert ask("SELECT 1 AS a WHERE 0 FORMAT Native").content == b"\x01\x00\x01a\x05UInt8"


def test_parameters_and_settings(ask: Ask) -> None:
    sql = "SELECT {a:UInt8}, {b:String}, {c:Array(String)}"
    assert ask(sql, param_a="5", param_b="it's\\t한글", param_c="['x','y']").text == "5\tit\\'s\\t한글\t['x','y']\n"
    assert ask("SELECT getSetting('max_block_size')", max_block_size="77").text == "77\n"
    assert ask("SELECT getSetting('max_block_size')").text != "77\n"
    answer = ask(FOREVER, max_execution_time="1")
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (408, "159")


@pytest.mark.parametrize(
    "sql, status, code",
    [
        ("SELECT * FROM nope", 404, "60"),
        ("SELEC 1", 400, "62"),
        ("SELECT 1; SELECT 2", 400, "62"),
        ("SELECT throwIf(1, 'so it says')", 500, "395"),
        ("SELECT {x:UInt8}", 400, "456"),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", 501, "48"),
        ("SELECT 1 FORMAT Nonsense", 400, "73"),
    ],
)
def test_errors(ask: Ask, sql: str, status: int, code: str) -> None:
    answer = ask(sql)
    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (status, code)
    assert answer.text.startswith(f"Code: {code}. DB::Exception: ")


def test_unknown_settings_and_databases(ask: Ask) -> None:
    assert ask("SELECT 1", nonsense="1").headers["X-ClickHouse-Exception-Code"] == "115"
    assert ask("SELECT 1", database="nowhere").headers["X-ClickHouse-Exception-Code"] == "81"


def test_an_error_in_the_middle_ends_the_answer_before_its_end(web: httpx.Client, ask: Ask) -> None:
    """Nobody can take what came for the whole; the clients find the error by the tag."""
    sql = "SELECT throwIf(number = 900000, 'later') FROM numbers(1000000)"
    got = b""
    with web.stream("POST", "/", content=sql) as answer, suppress(httpx.RemoteProtocolError):
        tag = answer.headers["X-ClickHouse-Exception-Tag"]
        for piece in answer.iter_raw():
            got += piece
        pytest.fail("it came to an end as if it were whole")
    block = got[got.index(b"__exception__") :].decode()
    assert block.startswith(f"__exception__\r\n{tag}\r\nCode: 395. DB::Exception: later")
    whole = ask(sql, wait_end_of_query="1")
    assert (whole.status_code, whole.headers["X-ClickHouse-Exception-Code"]) == (500, "395")


def test_get_only_reads(web: httpx.Client, ask: Ask) -> None:
    ask("CREATE TABLE t (a UInt8) ENGINE = Memory")
    for sql in ("DROP TABLE t", "INSERT INTO t VALUES (1)", "CREATE TABLE u (a UInt8) ENGINE = Memory"):
        assert web.get("/", params={"query": sql}).headers["X-ClickHouse-Exception-Code"] == "164"
    assert web.get("/", params={"query": "SHOW TABLES"}).text == "t\n"


ROWS = {
    "JSONEachRow": b'{"a":1,"s":"x"}\n{"a":2}\n',
    "CSV": b'1,"x"\n2,"none"\n',
    "TabSeparated": b"1\tx\n2\tnone\n",
    "Values": b"(1, 'x'), (2, 'none')",
    "RowBinary": b"\x01\x00\x00\x00\x01x\x02\x00\x00\x00\x04none",
    "Native": b"\x02\x02\x01a\x06UInt32\x01\x00\x00\x00\x02\x00\x00\x00\x01s\x06String\x01x\x04none",
}


@pytest.mark.parametrize("form", ROWS)
@pytest.mark.parametrize("where", ["address", "body"])
def test_inserts_in_any_format(ask: Ask, form: str, where: str) -> None:
    ask("CREATE TABLE t (a UInt32, s String DEFAULT 'none') ENGINE = MergeTree ORDER BY a")
    sql = "INSERT INTO t (a, s) VALUES" if form == "Values" else f"INSERT INTO t (a, s) FORMAT {form}"
    answer = ask(ROWS[form], query=sql) if where == "address" else ask(sql.encode() + b"\n" + ROWS[form])
    assert (answer.status_code, answer.text) == (200, "")
    assert ask("SELECT * FROM t ORDER BY a").text == "1\tx\n2\tnone\n"


def test_other_inserts(ask: Ask) -> None:
    ask("CREATE TABLE t (a UInt32, CONSTRAINT small CHECK a < 100) ENGINE = MergeTree ORDER BY a")
    assert ask("INSERT INTO t SELECT number FROM numbers(3)").status_code == 200
    assert ask("5\n6\n", query="INSERT INTO t SETTINGS max_insert_block_size = 10 FORMAT CSV").status_code == 200
    assert ask("INSERT INTO t FORMAT CSV\n1000").headers["X-ClickHouse-Exception-Code"] == "469"
    assert ask("INSERT INTO t FORMAT CSV\nno number").headers["X-ClickHouse-Exception-Code"] in ("27", "117")
    assert ask("", query="INSERT INTO nope FORMAT CSV").headers["X-ClickHouse-Exception-Code"] == "60"
    assert ask("", query="INSERT INTO t FORMAT CSV").status_code == 200
    assert ask("SELECT count(), sum(a) FROM t").text == "5\t14\n"


def test_a_body_in_pieces(web: httpx.Client, ask: Ask) -> None:
    ask("CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")
    pieces = (b"".join(b"%d\n" % (start + n) for n in range(1000)) for start in range(0, 300_000, 1000))
    assert web.post("/", params={"query": "INSERT INTO t FORMAT CSV"}, content=pieces).status_code == 200
    assert ask("SELECT count(), max(a) FROM t").text == "300000\t299999\n"


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "lz4": lz4.frame.compress,
    "zstd": lambda data: bytes(cramjam.zstd.compress(data)),
}
UNPACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "lz4": lz4.frame.decompress,
    "zstd": lambda data: bytes(cramjam.zstd.decompress(data)),
}


@pytest.mark.parametrize("coding", PACKED)
def test_packed_bodies_both_ways(ask: Ask, web: httpx.Client, coding: str) -> None:
    ask("CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")
    rows = b"".join(b"%d\n" % n for n in range(100_000))
    ask(PACKED[coding](rows), {"Content-Encoding": coding}, query="INSERT INTO t FORMAT CSV")
    with web.stream("POST", "/", content="SELECT a FROM t ORDER BY a", headers={"Accept-Encoding": coding}) as answer:
        assert answer.headers["Content-Encoding"] == coding
        assert UNPACKED[coding](b"".join(answer.iter_raw())) == rows
    cut = PACKED[coding](rows)[:-20]
    assert ask(cut, {"Content-Encoding": coding}, query="INSERT INTO t FORMAT CSV").status_code == 400
    assert ask("SELECT count() FROM t").text == "100000\n"


def test_clickhouses_own_frames_both_ways(ask: Ask) -> None:
    ask("CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")
    rows = b"".join(b"%d\n" % n for n in range(300_000))
    assert ask(compressed(rows), query="INSERT INTO t FORMAT CSV", decompress="1").status_code == 200
    packed = ask(compressed(b"SELECT a FROM t ORDER BY a"), decompress="1", compress="1").content
    assert len(packed) < len(rows)
    assert FrameSource(Source(packed)).take(len(rows)) == rows
    broken = bytearray(compressed(b"SELECT 1"))
    broken[20] ^= 1
    assert ask(bytes(broken), decompress="1").status_code == 400


def test_sessions(ask: Ask) -> None:
    name = uuid.uuid4().hex
    assert ask("SELECT 1", session_id=name, session_check="1").headers["X-ClickHouse-Exception-Code"] == "372"
    ask("CREATE TEMPORARY TABLE mine (a UInt8)", session_id=name)
    ask("SET max_block_size = 99", session_id=name)
    ask("INSERT INTO mine VALUES (7)", session_id=name)
    sql = "SELECT a, getSetting('max_block_size') FROM mine"
    assert ask(sql, session_id=name, session_check="1").text == "7\t99\n"
    assert ask(sql).status_code == ask(sql, session_id=name + "x").status_code == 404
    assert ask(sql, session_id=name, close_session="1").text == "7\t99\n"
    assert ask(sql, session_id=name).status_code == 404


def test_a_session_is_for_one_request_at_a_time_and_not_for_ever(web: httpx.Client, ask: Ask) -> None:
    name = uuid.uuid4().hex
    with web.stream("POST", "/", content="SELECT number FROM system.numbers", params={"session_id": name}) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        assert ask("SELECT 1", session_id=name).headers["X-ClickHouse-Exception-Code"] == "373"
    short = uuid.uuid4().hex
    ask("SELECT 1", session_id=short, session_timeout="0")
    time.sleep(0.01)
    assert ask("SELECT 1", session_id=short, session_check="1").headers["X-ClickHouse-Exception-Code"] == "372"


def logins(user: str, password: str) -> list[httpx.Request]:
    by_headers = {"X-ClickHouse-User": user, "X-ClickHouse-Key": password}
    basic = httpx.BasicAuth(user, password)
    request = httpx.Request("POST", "http://x/", content="SELECT 1")
    return [
        httpx.Request("POST", "http://x/", content="SELECT 1", headers=by_headers),
        next(basic.auth_flow(request)),
        httpx.Request("POST", "http://x/", params={"user": user, "password": password}, content="SELECT 1"),
    ]


@pytest.mark.parametrize("way", range(3), ids=["headers", "basic", "address"])
@pytest.mark.parametrize(
    "user, password, status",
    [("default", "", 200), ("reader", "reader", 200), ("reader", "wrong", 403), ("nobody", "", 403)],
)
def test_logins(web: httpx.Client, way: int, user: str, password: str, status: int) -> None:
    given = logins(user, password)[way]
    sent = {k: v for k, v in given.headers.items() if k.startswith(("x-", "auth"))}
    answer = web.post("/", params=given.url.params, headers=sent, content="SELECT 1")
    assert answer.status_code == status
    if status == 403:
        assert answer.headers["X-ClickHouse-Exception-Code"] == "516"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example:8123"}],
)
def test_no_page_in_a_browser_gets_at_the_user_without_a_password(ask: Ask, headers: dict[str, str]) -> None:
    assert ask("SELECT 1", headers).headers["X-ClickHouse-Exception-Code"] == "516"
    login = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": "reader"}
    assert ask("SELECT 1", {**headers, **login}, database="default").text == "1\n"


def test_a_reader_is_held_to_the_same_on_http(ask: Ask, database: str) -> None:
    ask("CREATE TABLE turns (a UInt8) ENGINE = Memory")
    login = {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": "reader"}

    def code(body: str, **params: str) -> str:
        return ask(body, login, **params).headers["X-ClickHouse-Exception-Code"]

    assert code("SELECT * FROM turns") == "497"
    assert code(f"SELECT * FROM {database}.turns", database="default") == "497"
    assert code("INSERT INTO turns VALUES (1)") == "164"
    assert code("1", query="INSERT INTO turns FORMAT CSV") == "164"
    assert code("SELECT 1", max_threads="64") == "164"
    assert code("SELECT 1", max_execution_time="100000") == "452"
    assert code("SELECT * FROM {t:Identifier}", param_t="turns") == "497"
    assert code("SET max_execution_time = DEFAULT", session_id="reader-session") == "164"
    assert code("SELECT 1 INTO OUTFILE '/tmp/x'") == "48"
    assert ask("SELECT count() FROM turns").text == "0\n"


def until(holds: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("more", [b"", b"GET /ping HTTP/1.1\r\n"], ids=["", "and another request"])
@pytest.mark.parametrize("sql", [FOREVER, "SELECT number FROM system.numbers"])
def test_a_query_ends_when_its_client_goes(
    http_address: str, client: Client, database: str, sql: str, more: bytes
) -> None:
    host, port = http_address.split(":")

    def runs() -> bool:
        counted = (
            f"SELECT count() FROM system.processes WHERE query LIKE '%{database}%' AND query NOT LIKE '%processes%'"
        )
        return bool(client.execute(counted)[0][0])

    body = f"{sql} -- {database}".encode()
    with socket.create_connection((host, int(port)), 20) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        assert until(runs)
        connection.sendall(more)
    assert until(lambda: not runs())


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01garbage\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /?query=SELECT%ff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /" + b"a" * 3_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic ####\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_no_request_ends_its_connection_only(http_address: str, ask: Ask, sent: bytes) -> None:
    host, port = http_address.split(":")
    with socket.create_connection((host, int(port)), 20) as connection, suppress(OSError):
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass
    assert ask("SELECT 1").text == "1\n"


def test_a_connection_serves_many_requests(http_address: str) -> None:
    host, port = http_address.split(":")
    request = b"GET /?query=SELECT+%d HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection((host, int(port)), 20) as connection:
        connection.sendall(b"".join(request % n for n in range(5)))  # at once: one is answered after the other
        got = b""
        while got.count(b"\r\n0\r\n\r\n") < 5:
            got += connection.recv(65_536)
    assert [got.index(b"\r\n\r\n2\r\n%d\n" % n) > 0 for n in range(5)] == [True] * 5


def test_a_wide_result_is_not_held(web: httpx.Client) -> None:
    """30 MB pass through, in pieces that put together are the whole."""
    digest, size = hashlib.sha256(), 0
    sql = "SELECT repeat('x', 999) FROM numbers(30000) FORMAT TSV"
    with web.stream("POST", "/", content=sql) as answer:
        for piece in answer.iter_raw():
            digest.update(piece)
            size += len(piece)
    assert size == 30_000_000
    assert digest.hexdigest() == hashlib.sha256((b"x" * 999 + b"\n") * 30_000).hexdigest()


def test_fifty_clients_at_once(http_address: str, database: str, ask: Ask) -> None:
    ask("CREATE TABLE t (who UInt16, n UInt32) ENGINE = MergeTree ORDER BY (who, n)")
    headers = {"X-ClickHouse-Database": database}

    def work(who: int) -> str:
        with httpx.Client(base_url=f"http://{http_address}", headers=headers, timeout=120) as client:
            rows = "".join(f"{who},{n}\n" for n in range(100))
            client.post("/", params={"query": "INSERT INTO t FORMAT CSV"}, content=rows).raise_for_status()
            return client.post("/", content=f"SELECT count(), uniqExact(n) FROM t WHERE who = {who}").text

    with ThreadPoolExecutor(50) as pool:
        assert list(pool.map(work, range(50))) == ["100\t100\n"] * 50
