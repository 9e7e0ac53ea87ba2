"""The views of the last minutes and of what was refused, and the status board, against counts in plain Python."""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from journey.balance import WAYS_OUT
from journey.errors import BadUsage
from sql import read
from sql.client import Client, Table
from sql.sink import ROOMS
from tests.integration.made_rooms import SEOUL, SITE, database, insert_rows, made_rooms, room_row

HOUR = 3_600_000
MINUTES = 60
LETTERS = ("topic", "partition", "offset", "reason", "received_at", "value")
MOVE_COLUMNS = ("site_id", "bot_id", "room_id", "seq", "part", "version", "is_deleted", "move", "message")
TIMES = ("occurred_at", "entered_at")


@pytest.fixture(scope="module")
def emptied(clickhouse_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with database(clickhouse_address, tmp_path_factory.mktemp("monitors")) as client:
        yield client


@pytest.fixture
def client(emptied: Client) -> Client:
    for table in ("moves", "rooms", "dead_letters"):
        emptied.run(f"TRUNCATE TABLE {table}")
    return emptied


def now_ms() -> int:
    return round(datetime.now(UTC).timestamp() * 1000)


def steady(expected: Callable[[int], Any], asked: Callable[[], Any]) -> tuple[Any, Any]:
    """What is expected and what was answered, asked again until no minute, day or second ended in between."""
    for _ in range(100):
        before = expected(now_ms())
        got = asked()
        if before == expected(now_ms()):
            return before, got
    raise AssertionError("the clock never stood still long enough")


class Move:
    """A row of `moves` that counts, of the last 100 minutes before `now` (ms); others beside it do not count."""

    def __init__(self, rng: random.Random, number: int, now: int) -> None:
        self.site = rng.choice([SITE] * 5 + ["other"])
        self.bot = rng.choice(["x", "y", "z"])
        self.move = rng.choice([*WAYS_OUT, "start", "agent_served", "agent_served", "error", "agent_connect"])
        self.part = 9 if self.move == "bot_end" and rng.random() < 0.5 else rng.choice([0, 1])
        self.at = now - rng.randrange(100) * 60_000 - rng.randrange(60_000)
        self.entered = self.at - rng.choice([0, 300, 999, 1500, 61_000, 7 * HOUR, -5000])
        self.number = number

    @property
    def wait_s(self) -> float:
        """Clocks may disagree: a wait is never below 0."""
        return max(0, self.at - self.entered) / 1000

    def rows(self, rng: random.Random) -> list[tuple[Any, ...]]:
        """It, and now and then an older version that said otherwise, and a row that was taken back."""
        known = (self.site, self.bot, f"room {self.number}", self.number, self.part)
        found = [(*known, 6, 0, self.move, "", self.at, self.entered)]
        if rng.random() < 0.3:
            found.append((*known, 4, 0, "error", "", self.at, self.at))
        if rng.random() < 0.2:
            gone = (self.site, self.bot, f"room {self.number}", self.number + 1000, self.part)
            found += [(*gone, v, v > 4, "agent_served", "", self.at, self.at - HOUR) for v in (4, 6)]
        return found


@pytest.fixture
def moves(client: Client) -> list[Move]:
    rng = random.Random(31)
    now = now_ms()
    found = [Move(rng, number, now) for number in range(600)]
    rows = [row for move in found for row in move.rows(rng)]
    rng.shuffle(rows)
    for some in (rows[::2], rows[1::2]):
        insert_rows(client, "moves", (*MOVE_COLUMNS, *TIMES), some)
    return found


def recent(moves: list[Move], now: int) -> list[Move]:
    """Of this site, in the running minute and the 59 before it, made by an event (silence is none)."""
    first = now // 60_000 - MINUTES + 1
    return [move for move in moves if move.site == SITE and move.part < 9 and move.at // 60_000 >= first]


def share(ordered: Sequence[float], part: float) -> float:
    return ordered[math.floor(part * len(ordered))]


def test_waits_for_an_agent(client: Client, moves: list[Move]) -> None:
    def expected(now: int) -> list[tuple[Any, ...]]:
        found = []
        for bot in ("x", "y", "z"):
            its = [move for move in recent(moves, now) if move.bot == bot]
            waits = sorted(move.wait_s for move in its if move.move == "agent_served")
            asked = sum(1 for move in its if move.move == "agent_connect")
            found.append(
                (bot, asked, len(waits), *(round(w) for w in (share(waits, 0.5), share(waits, 0.9), waits[-1])))
            )
        return found

    before, got = steady(expected, lambda: read.handoff_waits(client, SITE, MINUTES).rows)
    assert got == before
    assert min(row[1] for row in got) > 5
    assert len({row[3] for row in got} | {row[4] for row in got}) > 2


def test_no_wait_where_nobody_was_served_or_clocks_disagree(client: Client) -> None:
    at = now_ms()
    asked = (SITE, "x", "room", 1, 0, 2, 0, "agent_connect", "agent", at, at - 1000)
    came_before = (SITE, "y", "room", 2, 0, 2, 0, "agent_served", "agent", at, at + 5000)
    insert_rows(client, "moves", (*MOVE_COLUMNS, *TIMES), [asked, came_before])
    assert read.handoff_waits(client, SITE, MINUTES).rows == [("x", 1, 0, 0, 0, 0), ("y", 0, 1, 0, 0, 0)]
    assert read.handoff_waits(client, "other", MINUTES).rows == []


def test_share_of_errors(client: Client, moves: list[Move]) -> None:
    def expected(now: int) -> list[tuple[Any, ...]]:
        its = [move for move in recent(moves, now) if move.move in WAYS_OUT]
        out, errors = Counter(m.bot for m in its), Counter(m.bot for m in its if m.move == "error")
        return [(bot, out[bot], errors[bot], errors[bot] / out[bot]) for bot in sorted(out)]

    before, got = steady(expected, lambda: read.error_rate(client, SITE, MINUTES).rows)
    assert got == before
    assert [row[0] for row in got] == ["x", "y", "z"]
    assert all(0 < row[3] < 1 for row in got)


@pytest.mark.parametrize("minutes", [0, 525_601, 29_000_000, 2**32 - 1])
def test_minutes_that_reach_beyond_the_times_of_the_engine_are_refused(client: Client, minutes: int) -> None:
    """They wrapped around, and nothing was answered though there was a move."""
    served = (SITE, "x", "room", 1, 0, 2, 0, "agent_served", "", now_ms(), now_ms() - 1000)
    failed = (SITE, "x", "room", 2, 0, 2, 0, "error", "", now_ms(), now_ms())
    insert_rows(client, "moves", (*MOVE_COLUMNS, *TIMES), [served, failed])
    views: list[Callable[[int], Table]] = [
        lambda asked: read.moves_per_minute(client, SITE, "x", asked),
        lambda asked: read.handoff_waits(client, SITE, asked),
        lambda asked: read.error_rate(client, SITE, asked),
    ]
    for view in views:
        assert view(525_600).rows
        with pytest.raises(BadUsage, match="minutes must be 1 to 525600"):
            view(minutes)


def test_dead_letters_by_topic_and_reason(client: Client) -> None:
    rng = random.Random(5)
    letters = [
        (
            rng.choice("ab"),
            rng.randrange(4),
            offset,
            rng.choice(["not_json", "conflict", "too_large"]),
            1000 + offset,
            "?",
        )
        for offset in range(200)
    ]
    for half in (letters[::2], letters[1::2], letters[40:80]):  # the last comes again: a redelivery
        insert_rows(client, "dead_letters", LETTERS, half)
    counts = Counter((topic, reason) for topic, _, _, reason, _, _ in letters)
    newest: dict[tuple[str, str], int] = {}
    for topic, _, _, reason, at, _ in letters:
        newest[topic, reason] = max(at, newest.get((topic, reason), 0))
    rows = read.dead_letters_by_reason(client).dicts()
    assert [(row["topic"], row["reason"]) for row in rows] == sorted(counts)
    for row in rows:
        key = row["topic"], row["reason"]
        assert (row["letters"], round(row["newest_at"].timestamp() * 1000)) == (counts[key], newest[key])


def board(client: Client) -> dict[tuple[str, str], tuple[int, int, int]]:
    rows = read.rooms_now(client, SITE).dicts()
    return {(row["bot_id"], row["status"]): (row["rooms"], row["longest_s"], row["median_s"]) for row in rows}


def changed(**values: Any) -> tuple[Any, ...]:
    """A row of `rooms`: some room, but for these values; times as ms before now."""
    (room,) = made_rooms(random.Random(1), datetime.now(UTC).date(), 1, 1).rooms
    known = dict(zip(ROOMS, room_row(room, 4), strict=True)) | {"bot_id": "x", "gaps": 0} | values
    now = now_ms()
    times = {name: now - known[name] for name in values if name.endswith(("_at", "_since")) and known[name] is not None}
    return tuple((known | times)[name] for name in ROOMS)


def room(name: str, phase: str, since: int, **values: Any) -> tuple[Any, ...]:
    usual = {"opened_at": since + 1000, "last_at": since, "ended_at": None, "ended_from": "", "closed_by": ""}
    return changed(**{**usual, "room_id": name, "phase": phase, "phase_since": since, **values})


def test_the_longest_and_the_median_wait_go_on_while_nothing_comes(client: Client) -> None:
    waits = {"waiting": [5000, 60_000, 600_000, 7 * HOUR], "assigned": [90_000, 91_000, 92_000]}
    rows = [room(f"{phase} {n}", phase, ago) for phase, times in waits.items() for n, ago in enumerate(times)]
    insert_rows(client, "rooms", ROOMS, rows)
    first = board(client)
    assert {key: found[0] for key, found in first.items()} == {("x", "waiting"): 4, ("x", "assigned"): 3}
    for (_, phase), (_, longest, median) in first.items():
        assert 0 <= longest - max(waits[phase]) // 1000 < 60
        assert 0 <= median - sorted(waits[phase])[len(waits[phase]) // 2] // 1000 < 60
    since = datetime.now(UTC)
    while (later := board(client)) == first:
        assert datetime.now(UTC) - since < timedelta(seconds=60)
    for key, (rooms, longest, median) in first.items():
        assert (later[key][0], later[key][1] >= longest, later[key][2] >= median) == (rooms, True, True)


def test_silence_closes_a_room_on_the_board_at_once(client: Client) -> None:
    """24 h after its last event, whether or not a worker has looked; a day later it is gone."""
    today = now_ms() - SEOUL.midnight(SEOUL.day(now_ms()))  # ms since midnight
    just, lately = 24 * HOUR + 1000, 24 * HOUR + today // 2
    before_midnight = 24 * HOUR + today + 60_000
    rows = [
        room("silent in the bot", "bot", just),
        room("silent while it waits", "waiting", lately),
        room("silent since the day before", "bot", before_midnight),
        room("not silent yet", "bot", 24 * HOUR - 60_000),
    ]
    insert_rows(client, "rooms", ROOMS, rows)
    found = board(client)
    if SEOUL.day(now_ms() - 60_000) != SEOUL.day(now_ms()):
        pytest.skip("midnight has just been")
    assert {key: rooms for key, (rooms, *_) in found.items()} == {
        ("x", "bot"): 1,
        ("x", "bot_ended"): 1,
        ("x", "agent_ended"): 1,
    }
    assert 0 <= found["x", "bot_ended"][1] - 1 < 60
    assert 0 <= found["x", "agent_ended"][1] - today // 2000 < 60


def test_closed_today_is_by_the_local_day(client: Client) -> None:
    today = now_ms() - SEOUL.midnight(SEOUL.day(now_ms()))
    ended = {"closed_by": "customer"}
    rows = [
        room("today", "closed", today // 3, ended_at=today // 3, ended_from="bot", **ended),
        room("today, by an agent", "closed", today // 2, ended_at=today // 2, ended_from="agent", **ended),
        room("today, asked for one", "closed", today // 2, ended_at=today // 2, ended_from="waiting", **ended),
        room("yesterday", "closed", today + 1000, ended_at=today + 1000, ended_from="bot", **ended),
    ]
    insert_rows(client, "rooms", ROOMS, rows)
    found = board(client)
    assert {key: rooms for key, (rooms, *_) in found.items()} == {("x", "bot_ended"): 1, ("x", "agent_ended"): 2}
