"""The seal against the real engine and Redis: every row of `daily` beside a count in plain Python."""

import subprocess
import sys
import threading
from datetime import date, timedelta

import pytest

from journey.errors import Busy, SealFailed
from seal.lock import lock
from seal.run import Sealer
from seal.stage import PREFIX
from settings import Settings
from sql.client import Client
from tests.integration.seal.scene import CUSTOMERS, FAR, ROOT, SEOUL, left_behind, play, rows_of, same, sealer
from tests.integration.seal.truth import (
    SEAL_AT,
    count,
    published,
)
from tests.waiting import until


def test_a_sealed_day_stays_as_it_is(quiet: Settings) -> None:
    log, consumer = play(quiet, "stays")
    with Client(quiet.clickhouse) as client:
        seal = sealer(quiet).seal(log.days[1])
        before = rows_of(client)
        consumer.consume(FAR)
        again = sealer(quiet).seal(log.days[1])
        assert (seal.is_new, again.is_new) == (True, False)
        assert (again.rooms, again.moves, again.checksum) == (seal.rooms, seal.moves, seal.checksum)
        assert rows_of(client) == before


def test_a_day_without_rooms_is_sealed_too(quiet: Settings) -> None:
    day = date(2026, 2, 1)
    seal = sealer(quiet).seal(day)
    with Client(quiet.clickhouse) as client:
        assert client.rows("SELECT day, kind, revision, rooms, moves, timezone FROM daily") == [
            (day, "seal", 1, 0, 0, "Asia/Seoul")
        ]
    assert seal.checksum == "0" * 32


def test_all_due_days_in_order_the_imported_ones_too(quiet: Settings) -> None:
    log, consumer = play(quiet, "due", rooms=8)
    consumer.consume(FAR)
    now = SEOUL.cut_off(log.days[3], SEAL_AT)
    with Client(quiet.clickhouse) as client:
        first = client.rows("SELECT topic, min(day) FROM turns GROUP BY topic ORDER BY topic")
        live, every = first[0][1], min(day for _, day in first)
        by_the_clock = sealer(quiet, now).due(live_only=True)
        by_hand = [seal.day for seal in sealer(quiet, now).seal_due(live_only=False)]
        assert by_the_clock == [live + timedelta(days=n) for n in range((log.days[3] - live).days + 1)]
        assert by_hand[0] in (every, every - timedelta(days=1))
        assert by_hand == [by_hand[0] + timedelta(days=n) for n in range(len(by_hand))]
        assert by_hand[-1] == log.days[3]
        assert sealer(quiet, now).due(live_only=False) == []


def test_what_is_not_in_balance_is_not_published(quiet: Settings) -> None:
    log, _ = play(quiet, "balance")
    day = log.days[1]
    with Client(quiet.clickhouse) as client:
        client.run(
            "INSERT INTO moves SELECT * REPLACE ('lost' AS dialog, version + 1 AS version) FROM moves FINAL "
            "WHERE move <> 'start' AND room IN (SELECT room FROM rooms FINAL WHERE toDate(ended_at, 'Asia/Seoul') = "
            "{day:Date} AND rooms.closed_by = 'customer') AND received_at < {end:DateTime64(3, 'UTC')}",
            {"day": day, "end": "2026-03-07 15:00:00"},
        )
        with pytest.raises(SealFailed, match=r"balance of 2026-03-07 is broken \(.*step \d+ lost: entered 0"):
            sealer(quiet).seal(day)
        assert not client.rows("SELECT kind FROM daily")
        assert not left_behind(client)


def test_something_late_while_it_is_built_is_seen(consumed: Settings) -> None:
    """What comes in after the rooms were looked at changes `moves` under the seal; it is built again without that."""
    log, consumer = play(consumed, "late", rooms=80)
    day = log.days[1]
    truth = count(log, day, set(), set())
    said: list[str] = []

    def meanwhile(words: str) -> None:
        said.append(words)
        if words.endswith("building") and len(said) < 6:
            consumer.consume(FAR)

    with Client(consumed.clickhouse) as client:
        Sealer(consumed, lambda: FAR, meanwhile).seal(day)
        assert any("once more" in words for words in said)
        same(published(client, day, CUSTOMERS), truth)


KILLED = """
import os, sys
from datetime import date
from seal.run import Sealer
from settings import load

def said(words):
    if words.endswith(sys.argv[1]):
        os.kill(os.getpid(), 9)

Sealer(load(), lambda: int(sys.argv[2]), said).seal(date.fromisoformat(sys.argv[3]))
"""


@pytest.mark.long
def test_killed_anywhere_it_publishes_the_same_when_it_runs_again(quiet: Settings, redis_url: str) -> None:
    log, _ = play(quiet, "killed")
    day = log.days[1]
    without_redis = quiet.model_copy(update={"redis": "redis://127.0.0.1:1/0"})
    names = ("kafka", "clickhouse", "redis")
    environment = {f"TURNPATH_{name.upper()}": getattr(without_redis, name) for name in names}
    with Client(quiet.clickhouse) as client:
        for step in ("building", "publishing"):
            command = [sys.executable, "-c", KILLED, step, str(FAR), str(day)]
            assert subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode == -9
            assert not client.rows("SELECT kind FROM daily")
        assert left_behind(client)
        seal = sealer(quiet).seal(day)
        whole = rows_of(client)
        client.run("ALTER TABLE daily DROP PARTITION '2026-03-07'")
        assert sealer(quiet).seal(day).checksum == seal.checksum
        assert rows_of(client) == whole


def test_the_stage_of_a_killed_seal_is_dropped_by_a_later_one(quiet: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(quiet.clickhouse) as client:
        client.run(f"CREATE TABLE {PREFIX}20260101_left AS daily")
        sealer(quiet).seal(date(2026, 2, 1))
        assert left_behind(client), "it may be somebody's who is sealing just now"
        monkeypatch.setattr("seal.stage._STALE_HOURS", 0)
        until(lambda: client.rows("SELECT now() > max(metadata_modification_time) FROM system.tables")[0][0] == 1)
        sealer(quiet).seal(date(2026, 2, 2))
        assert not left_behind(client)


@pytest.mark.long
def test_two_at_once_without_the_lock_publish_one_revision(consumed: Settings) -> None:
    log, _ = play(consumed, "two")
    without_redis = consumed.model_copy(update={"redis": "redis://127.0.0.1:1/0"})
    both = threading.Barrier(2)
    seals = []

    def meet(words: str) -> None:
        if words.endswith("publishing"):
            both.wait(60)

    def run() -> None:
        seals.append(Sealer(without_redis, lambda: FAR, meet).seal(log.days[1]))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({seal.checksum for seal in seals}) == 1
    with Client(consumed.clickhouse) as client:
        assert client.rows("SELECT revision, checksum FROM daily WHERE kind = 'seal'") == [(1, seals[0].checksum)]
        same(published(client, log.days[1], CUSTOMERS), count(log, log.days[1], set(), set()))


def test_who_comes_second_is_told_who_is_sealing(quiet: Settings) -> None:
    now = 1_772_900_000_000
    with (
        lock(quiet, lambda: now, print),
        pytest.raises(Busy, match=r"by .* process \d+ since 2026-03-07 16:13:20"),
        lock(quiet, lambda: now, print),
    ):
        pass
    with lock(quiet, lambda: now, print):  # given back, although the first one ended by an error
        pass
