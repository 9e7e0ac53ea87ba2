"""Bad input through the worker's real batches into the real tables, and what `turnpath dead-letters` makes of it."""

import asyncio
import base64
import csv
import io
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Flag
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from broker.produce import Producer
from broker.topics import make_topics
from cli.dead_letters import command
from cli.main import turnpath
from journey.calendar import Calendar
from journey.errors import TurnpathError
from journey.events import TOPIC_BOTS, TOPIC_IMPORT, TOPIC_LIVE
from settings import Settings
from sql.client import Client
from sql.migrate import migrate
from sql.readback import Readback
from sql.sink import Sink
from stack.parts import environment, worker_part
from stream.batch import Batches
from stream.poll import Poll
from tests.conftest import somewhere
from tests.integration.bad_input import CLOSE, NOW, records, turn
from tests.unit.histories import Record
from tests.waiting import until

ALL = records()


def value(name: str) -> bytes | None:
    return next(raw for found, _, raw in ALL if found == name)


def neighbour(seq: int) -> bytes:
    """The next event of a room that must not notice what lies around it."""
    return turn(room_id="n", dialog=f"d{seq}").replace(b"@", b"%d" % seq)


def log() -> list[Record]:
    """Every case, and after each one the next event of the neighbour."""
    made: list[Record] = []
    for number, (_, case, raw) in enumerate(ALL, 1):
        made.append(Record(len(made), NOW, None, case.key, raw))
        made.append(Record(len(made), NOW, None, b"n", neighbour(number)))
    return made


def consume(client: Client, readback: Client, rng: random.Random) -> None:
    """The log in batches of random size, as a worker does that begins with nothing in memory."""
    batches = Batches(
        Readback(readback), Sink(client), Calendar("Asia/Seoul"),
        wait=30_000, idle=86_400_000, rooms_in_memory=1000, stopping=Flag(),
    )  # fmt: skip
    whole, at = log(), 0
    while at < len(whole):
        some = whole[at : at + rng.choice((1, 7, 60))]
        batches.run([Poll(TOPIC_LIVE, 3, some, len(whole))])
        at += len(some)


@pytest.fixture(scope="module")
def where(clickhouse_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The log consumed twice, as after a crash before the first commit. One database for all tests: they only read."""
    name = f"letters_{uuid.uuid4().hex[:12]}"
    url = f"clickhouse://{clickhouse_address}/{name}"
    settings = somewhere(tmp_path_factory.mktemp("letters"), clickhouse=url)
    with Client(f"clickhouse://{clickhouse_address}") as admin:
        admin.run(f"CREATE DATABASE {name}")
        migrate(settings)
        with Client(url) as client, Client(url) as readback:
            for seed in (1, 2):
                consume(client, readback, random.Random(seed))
        yield settings
        admin.run(f"DROP DATABASE {name}")


@pytest.fixture
def consumed(where: Settings) -> Iterator[Client]:
    with Client(where.clickhouse) as client:
        yield client


def test_bad_input_is_counted_exactly_kept_whole_and_in_nobodys_way(consumed: Client) -> None:
    found = {
        offset: (reason, key, raw)
        for offset, reason, key, raw in consumed.rows(
            "SELECT offset, reason, if(key IS NULL, '-', concat('+', hex(key))), "
            "if(value IS NULL, '-', concat('+', hex(value))) FROM dead_letters FINAL"
        )
    }
    expected = {
        2 * number: (case.expected, *("-" if x is None else "+" + x.hex().upper() for x in (case.key, raw)))
        for number, (_, case, raw) in enumerate(ALL)
        if case.expected
    }
    assert found == expected
    events = {2 * number for number, (_, case, _) in enumerate(ALL) if not case.expected}
    neighbours = {2 * number + 1 for number in range(len(ALL))}
    assert {offset for (offset,) in consumed.rows("SELECT offset FROM turns FINAL")} == events | neighbours
    moves = consumed.rows("SELECT step, dialog, next_dialog FROM moves FINAL WHERE room_id = 'n' ORDER BY seq")
    dialogs = ["", *(f"d{seq}" for seq in range(1, len(ALL) + 1))]
    assert moves == [(step, *dialogs[step : step + 2]) for step in range(len(ALL))]


# -- the command -------------------------------------------------------------------------------------------------------
def asked(where: Settings, *arguments: str) -> Result:
    """The command, as a terminal would show it: what it writes to standard output, and its exit code."""
    return CliRunner().invoke(command, arguments, env=environment(where))


def answer(where: Settings, *arguments: str) -> Any:
    result = asked(where, *arguments, "--format", "json")
    assert result.exception is None, result.output
    return orjson.loads(result.stdout)


def letters() -> int:
    return sum(bool(case.expected) for _, case, _ in ALL)


def test_count_by_reason(where: Settings) -> None:
    expected: dict[str, int] = {}
    for _, case, _ in ALL:
        if case.expected:
            expected[case.expected] = expected.get(case.expected, 0) + 1
    rows = answer(where, "--count")
    assert {row["reason"]: row["letters"] for row in rows} == expected
    assert {row["topic"] for row in rows} == {TOPIC_LIVE}
    assert [row["letters"] for row in rows] == sorted(expected.values(), reverse=True)
    assert [r["letters"] for r in answer(where, "--count", "--reason", "not_object")] == [expected["not_object"]]


def test_the_list_has_every_byte(where: Settings) -> None:
    rows = answer(where, "--limit", "1000")
    assert len(rows) == letters()
    for row in rows:
        _, case, raw = ALL[row["offset"] // 2]
        for name, expected in (("key", case.key), ("value", raw)):
            given, encoding = row[name], row[f"{name}_encoding"]
            decoded = base64.b64decode(given) if encoding == "base64" else (given or "").encode()
            assert (decoded if given is not None else None) == expected
    assert {row["value_encoding"] for row in rows} == {"text", "base64", None}


def test_the_newest_come_first_and_some_may_be_asked_for(where: Settings) -> None:
    offsets = [row["offset"] for row in answer(where, "--limit", "5")]
    assert offsets == sorted(offsets, reverse=True)
    assert len(offsets) == 5
    assert offsets[0] == max(2 * number for number, (_, case, _) in enumerate(ALL) if case.expected)
    some = answer(where, "--reason", "too_large", "--reason", "not_object", "--topic", TOPIC_LIVE, "--since", "1h")
    assert {row["reason"] for row in some} == {"too_large", "not_object"}


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_nothing_in_a_letter_acts_on_a_terminal(where: Settings, form: str) -> None:
    result = asked(where, "--limit", "1000", "--format", form)
    assert result.exception is None
    acting = {c for c in result.stdout if (ord(c) < 0x20 and c not in "\t\n\r") or 0x7F <= ord(c) < 0xA0}
    assert not acting
    if form == "table":
        assert "\\x1b]0;mine\\x07" in result.stdout
        assert "\u202e" not in result.stdout
        assert max(map(len, result.stdout.splitlines())) < 300
    if form == "csv":
        csv.field_size_limit(2_000_000)
        assert len(list(csv.DictReader(io.StringIO(result.stdout, newline="")))) == letters()


def place(name: str) -> str:
    return f"{TOPIC_LIVE}:3:{2 * next(n for n, (found, _, _) in enumerate(ALL) if found == name)}"


@pytest.mark.parametrize("name", ["only binary", "tombstone", "100,000 brackets", "an escape for a terminal"])
def test_one_whole_and_raw(where: Settings, name: str) -> None:
    result = asked(where, "--show", place(name), "--raw")
    assert (result.exception, result.stdout_bytes) == (None, value(name) or b"")
    shown = asked(where, "--show", place(name)).stdout
    assert place(name) in shown
    assert "\x1b" not in shown


def test_one_whole_for_a_person(where: Settings) -> None:
    shown = asked(where, "--show", place("the customer for a key"), "--lang", "en").stdout
    raw = value("the customer for a key")
    assert raw is not None
    assert raw.decode() in shown
    assert "Key: c\n" in shown
    assert "key_mismatch" in shown


@pytest.mark.parametrize(
    "arguments, code",
    [
        (("--show", f"{TOPIC_LIVE}:3:1"), 5),
        (("--show", "nonsense"), 2),
        (("--show", f"{TOPIC_LIVE}:99999:1"), 2),
        (("--reason", "conflict"), 5),
        (("--topic", "another"), 5),
        (("--since", "yesterday"), 2),
        (("--since", "2026-11-23T99"), 2),
        (("--since", "2090-01-01"), 5),
        (("--count", "--replay"), 2),
        (("--raw",), 2),
        (("--dry-run",), 2),
        (("--count", "--limit", "3"), 2),
    ],
)
def test_what_cannot_be_answered(where: Settings, arguments: tuple[str, ...], code: int) -> None:
    error = asked(where, *arguments).exception
    assert isinstance(error, TurnpathError)
    assert error.exit_code == code
    assert "--" in str(error) or "there are" in str(error) or "dead-letters" in str(error)


def test_raw_bytes_do_not_go_to_a_terminal(where: Settings) -> None:
    """Under a real terminal (script makes one) it is refused."""
    line = f"{sys.executable} -m cli.main dead-letters --raw --show {place('an escape for a terminal')}"
    done = subprocess.run(
        ["script", "-qec", line, "/dev/null"], env={**environment(where), "PATH": "/usr/bin:/bin"},
        cwd=Path(__file__).parents[2], capture_output=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout
    assert b"\x1b]0;mine" not in done.stdout


def test_none_at_all(migrated_url: str, tmp_path: Path) -> None:
    error = asked(somewhere(tmp_path, clickhouse=migrated_url)).exception
    assert isinstance(error, TurnpathError)
    assert (error.exit_code, "no dead letters" in str(error)) == (5, True)


def test_it_is_in_the_help() -> None:
    assert "dead-letters" in CliRunner().invoke(turnpath, ["--help"]).output


# -- replay ------------------------------------------------------------------------------------------------------------
@contextmanager
def worker(settings: Settings) -> Iterator[None]:
    part = worker_part(settings, 1)
    process = part.start(settings.data)
    try:
        yield
    finally:
        process.stop(part.stop_limit)


def closed(room: str, at: datetime, **fields: Any) -> bytes:
    return orjson.dumps({**CLOSE, "room_id": room, "seq": 1, "occurred_at": at.isoformat(), **fields})


BOT = {"site_id": "s", "bot_id": "b", "name": "배송", "in_use": False, "occurred_at": "2026-11-01T00:00:00Z"}
OLD = datetime(2026, 11, 2, 3, 4, 5, tzinfo=UTC)
AHEAD_S = 86_400 + 6


async def send_bad(kafka: str, now: datetime) -> None:
    """Records that are wrong in ways that can be mended, in ways that cannot, and some that are right."""
    early = datetime.fromtimestamp(now.timestamp() + AHEAD_S, UTC)
    records: dict[str, list[tuple[bytes, bytes | None, int | None]]] = {
        TOPIC_LIVE: [
            (closed("wrong key", now), b"c-1", None),
            (closed("no key", now), None, None),
            (closed("twice", now), b"c-2", None),
            (closed("twice", now, closed_by="agent"), b"c-2", None),
            (closed("early", early), b"early", None),
            (b'{"cut off', b"x", None),
            (closed("first stands", now), b"first stands", None),
            (closed("first stands", now, closed_by="agent"), b"first stands", None),
        ],
        TOPIC_IMPORT: [(closed("old", OLD), b"c-3", round(OLD.timestamp() * 1000))],
        TOPIC_BOTS: [(orjson.dumps(BOT), b"the wrong one", None)],
    }
    for topic, some in records.items():
        async with Producer(kafka, topic) as producer:
            for record in some:
                await producer.send(*record)


def rooms(client: Client) -> set[str]:
    return {room for (room,) in client.rows("SELECT room_id FROM turns FINAL")}


def outcomes(rows: list[dict[str, Any]]) -> dict[tuple[str, str, str, str], int]:
    return {(r["topic"], r["reason"], r["outcome"], r["refused_for"]): r["letters"] for r in rows}


def test_what_is_mended_is_counted_once_and_what_is_not_is_not_sent(fresh_settings: Settings) -> None:
    settings = fresh_settings
    make_topics(settings)
    now = datetime.now(UTC)
    with worker(settings), Client(settings.clickhouse) as client:
        asyncio.run(send_bad(settings.kafka, now))
        until(lambda: client.rows("SELECT count() FROM dead_letters FINAL") == [(9,)])
        time.sleep(max(0.0, now.timestamp() + AHEAD_S - 86_400 + 1 - time.time()))  # until it lies a day ahead
        sent = {
            (TOPIC_LIVE, "key_mismatch", "send", ""): 3,
            (TOPIC_LIVE, "key_mismatch", "refused", "conflict"): 1,
            (TOPIC_LIVE, "bad_value", "send", ""): 1,
            (TOPIC_LIVE, "not_json", "refused", "not_json"): 1,
            (TOPIC_LIVE, "conflict", "refused", "conflict"): 1,
            (TOPIC_IMPORT, "key_mismatch", "send", ""): 1,
            (TOPIC_BOTS, "key_mismatch", "send", ""): 1,
        }
        assert outcomes(answer(settings, "--replay", "--dry-run")) == sent
        assert rooms(client) == {"first stands"}
        assert outcomes(answer(settings, "--replay")) == sent
        whole = {"first stands", "wrong key", "no key", "twice", "early", "old"}
        until(lambda: rooms(client) == whole and client.rows("SELECT count() FROM bots") == [(1,)])
        again = answer(settings, "--replay")
        assert {row["outcome"] for row in again} == {"counted", "refused"}
        assert sum(row["letters"] for row in again if row["outcome"] == "counted") == 6
        check_replayed(client)


def check_replayed(client: Client) -> None:
    """Each where it belongs, once, the import's with its own time; the letters stay until they expire."""
    assert client.rows("SELECT count() FROM turns") == [(6,)]
    assert (
        client.rows("SELECT closed_by FROM turns FINAL WHERE room_id IN ('twice', 'first stands')") == [("auto",)] * 2
    )
    found = client.rows("SELECT topic, toUnixTimestamp64Milli(received_at) FROM turns FINAL WHERE room_id = 'old'")
    assert found == [(TOPIC_IMPORT, round(OLD.timestamp() * 1000))]
    assert client.rows("SELECT site_id, bot_id, name, in_use FROM bots") == [("s", "b", "배송", False)]
    assert client.rows("SELECT count() FROM dead_letters FINAL") == [(9,)]
