"""Files of events: how their lines are read, what replay makes of them, what check says of them."""

import asyncio
import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from broker.topics import MAX_RECORD_BYTES
from cli.check import command as check_command
from feed.check import Check, Checked, Finding
from feed.lines import Line, ablocks, blocks
from feed.replay import Sent, doubts, head, tick_time
from journey.decode import DAY, YEAR_2149, decode
from journey.errors import BadUsage

NOW = 1_795_402_800_000
HOUR = 3_600_000
ROOT = Path(__file__).parents[2]


def lines_of(path: Path | str) -> list[Line]:
    return [line for block in blocks(str(path)) for line in block]


def event(seq: int = 1, room: str = "r", **fields: Any) -> bytes:
    made = {
        "type": "turn",
        "site_id": "s",
        "bot_id": "b",
        "room_id": room,
        "customer_id": "c",
        "seq": seq,
        "occurred_at": "2026-11-23T10:00:00.500+09:00",
        "input_kind": "text",
        "input": "x",
        "dialog": "홈",
    }
    return orjson.dumps(made | fields)


def checked(*lines: bytes, remembered: int = 1000) -> tuple[list[Finding], Checked]:
    check = Check(NOW, remembered)
    return list(check.findings(enumerate(lines, 1))), check.end()


# lines
@pytest.mark.parametrize(
    "content, lines",
    [
        (b"", []),
        (b"a\nb\n", [(1, b"a"), (2, b"b")]),
        (b"a\n\n  \nb", [(1, b"a"), (4, b"b")]),
        (b"a\r\nb\r\n", [(1, b"a"), (2, b"b")]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", [(1, b"a"), (2, b"\xef\xbb\xbfb")]),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_lines(content: bytes, lines: list[Line], pack: Any, tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(pack(content))
    assert lines_of(file) == lines


def test_lines_longer_than_a_block(tmp_path: Path) -> None:
    wanted = [bytes([97 + n]) * (n * 50_000 + 1) for n in range(8)]
    file = tmp_path / "events"
    file.write_bytes(b"\n".join(wanted))
    assert [line for _, line in lines_of(file)] == wanted


def test_a_line_without_end_is_not_held_whole(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(b"x" * (5 * MAX_RECORD_BYTES) + b"\nb\n")
    (_, long), after = lines_of(file)
    assert MAX_RECORD_BYTES < len(long) < 1.2 * MAX_RECORD_BYTES
    assert after == (2, b"b")


def test_a_gzip_file_that_breaks_off(tmp_path: Path) -> None:
    file = tmp_path / "events.gz"
    file.write_bytes(gzip.compress(os.urandom(100_000))[:50_000])
    with pytest.raises(BadUsage, match="no whole gzip file"):
        lines_of(file)


@pytest.mark.parametrize("path, said", [("nowhere.jsonl", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read(path: str, said: str) -> None:
    with pytest.raises(BadUsage, match=said):
        lines_of(path)


async def test_read_ahead_gives_the_same_lines(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(b"".join(b"%d\n" % n for n in range(300_000)))
    assert [line async for block in ablocks(str(file)) for line in block] == lines_of(file)


async def test_read_ahead_raises_what_reading_raised() -> None:
    with pytest.raises(BadUsage, match="nowhere"):
        async for _ in ablocks("nowhere.jsonl"):
            pass


def test_a_pipe_is_read_as_it_comes_and_left_at_will() -> None:
    """Each line is there before the next is written; and the program ends while the pipe is still open."""
    program = (
        "import asyncio, sys\n"
        "from feed.lines import ablocks\n"
        "async def main():\n"
        "    async for block in ablocks('-'):\n"
        "        for number, line in block:\n"
        "            print(number, line.decode(), flush=True)\n"
        "            if line == b'end': return\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number, word in enumerate(("a", "b", "end"), 1):
            process.stdin.write(word + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{number} {word}\n"
        assert process.wait(10) == 0


async def test_read_ahead_can_be_left_early(tmp_path: Path) -> None:
    file = tmp_path / "events"
    file.write_bytes(b"x\n" * 2_000_000)
    reading = ablocks(str(file))
    await anext(reading)
    await reading.aclose()  # type: ignore[attr-defined]
    await asyncio.sleep(0)


# replay
@pytest.mark.parametrize(
    "line, key, at",
    [
        (b'{"room_id":"r1","occurred_at":"2026-11-23T12:00:00+09:00"}', b"r1", NOW),
        ('{"room_id":"방","occurred_at":"2026-11-23T03:00:00Z"}'.encode(), "방".encode(), NOW),
        (b'{"room_id":5,"occurred_at":"2026-11-23T12:00:00"}', None, None),
        (b'{"room_id":"","occurred_at":1795402800}', None, None),
        (b'{"room_id":"r","occurred_at":"1999-01-01T00:00:00Z"}', b"r", None),
        (b'{"room_id":"r","occurred_at":[1]}', b"r", None),
        (b'{"room_id":"r"', None, None),
        (b"[1]", None, None),
        (b"\xff\xfe", None, None),
        (b"[" * 100_000, None, None),
    ],
    ids=str,
)
def test_head(line: bytes, key: bytes | None, at: int | None) -> None:
    assert head(line) == (key, at)


@pytest.mark.parametrize(
    "time", ["2026-11-23T10:00:00.9999Z", "2026-11-23T10:00:00.0005+09:00", "2000-01-01T00:00:00Z"]
)
def test_head_has_the_time_that_decode_has(time: str) -> None:
    line = event(occurred_at=time)
    found = decode(line, b"r", YEAR_2149 - 1)
    assert isinstance(found, tuple)
    assert head(line) == (b"r", found[1].occurred_at)


def test_tick_time() -> None:
    waits = {"idle_ms": 24 * HOUR, "wait_ms": 30_000}
    # long past: every idle room is closed
    assert tick_time(NOW - 72 * HOUR, NOW, **waits) == NOW - 48 * HOUR
    # an hour ago: rooms may still go on, so time is not ahead of the clock
    assert tick_time(NOW - HOUR, NOW, **waits) == NOW
    # just now, or in the future: at least nothing waits any longer
    assert tick_time(NOW, NOW, **waits) == NOW + 30_000
    assert tick_time(NOW + HOUR, NOW, **waits) == NOW + HOUR + 30_000


def test_doubts() -> None:
    def said(sent: Sent, history: bool) -> str:
        return " ".join(doubts(sent, history=history, now=NOW))

    assert said(Sent(lines=9, latest=NOW), history=False) == ""
    assert "2 lines" in said(Sent(lines=9, latest=NOW, without_room=2), history=True)
    assert "1 line," not in said(Sent(lines=9, latest=NOW, too_large=1), history=True)
    assert "--history" in said(Sent(lines=9, latest=NOW - 2 * DAY), history=False)
    assert said(Sent(lines=9, latest=NOW - 2 * DAY), history=True) == ""
    assert "future" in said(Sent(lines=9, latest=NOW + 2 * DAY), history=True)


# check
def test_check_names_line_reason_and_detail() -> None:
    found, summary = checked(event(), b"{", event(2, dialog=2), event(3, occurred_at="2027-01-01T00:00:00Z"))
    assert [(f.line, f.reason) for f in found] == [(2, "not_json"), (3, "wrong_type"), (4, "bad_value")]
    assert (summary.lines, summary.invalid) == (4, 3)


def test_check_as_history_lets_an_event_lie_in_the_future() -> None:
    assert not list(Check(None).findings([(1, event(occurred_at="2027-01-01T00:00:00Z"))]))


def test_check_tells_copies_from_conflicts() -> None:
    other_text, other_dialog = event(2, input="y"), event(2, dialog="끝")
    found, summary = checked(event(1), event(2), event(2), other_text, other_dialog, event(2, room="other"))
    assert [(f.line, f.reason) for f in found] == [(5, "conflict")]
    assert "line 2" in found[0].detail
    assert (summary.duplicates, summary.conflicts, summary.invalid) == (2, 1, 0)


def test_check_tells_gaps() -> None:
    _, summary = checked(event(2), event(5), event(1, "whole"), event(2, "whole"), event(3, "late"), event(1, "late"))
    assert summary.rooms_with_gaps == 2
    assert summary.gaps == ["room 'r' of site 's' lacks seq 1 and 2 more", "room 'late' of site 's' lacks seq 2"]


def test_check_holds_no_more_than_it_may() -> None:
    rooms = [event(1, f"r{n}") for n in range(10)]
    _, summary = checked(*rooms, *rooms, remembered=5)
    assert summary.let_go == 15
    assert summary.duplicates == 0
    _, summary = checked(*rooms, *rooms, remembered=10)
    assert (summary.let_go, summary.duplicates) == (0, 10)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_bytes(event() + b"\n{\n" + event(2) + b"\n")
    return path


def test_check_command(file: Path) -> None:
    result = CliRunner().invoke(check_command, [str(file)])
    assert result.exit_code == 1
    assert result.stdout.startswith("line 2: not_json: ")
    assert result.stdout.count("\n") == 1
    assert "3 events: 1 invalid" in result.stderr


def test_check_command_as_json(file: Path) -> None:
    result = CliRunner().invoke(check_command, [str(file), "--format", "json"])
    (found,) = orjson.loads(result.stdout)
    assert (found["line"], found["reason"]) == (2, "not_json")


def test_check_command_where_all_is_valid(file: Path) -> None:
    file.write_bytes(event() + b"\n")
    result = CliRunner().invoke(check_command, [str(file), "--format", "csv"])
    assert (result.exit_code, result.stdout) == (0, "line,reason,detail\n")
