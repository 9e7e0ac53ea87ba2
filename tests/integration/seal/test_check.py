"""What is wrong with a stage is found before it is published."""

import pytest

from journey.errors import SealFailed
from journey.events import TOPIC_LIVE
from seal import build
from seal.day import Day
from seal.reseal import Resealer
from seal.stage import Stage
from settings import Settings
from sql.client import Client
from tests.integration.seal.scene import FAR, left_behind, play, sealer

_TWICE = "INSERT INTO rooms SELECT * REPLACE (day - 1 AS day) FROM rooms FINAL WHERE phase = 'closed'"


def test_rows_lost_between_the_two_passes_are_noticed(consumed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build._rooms
    monkeypatch.setattr(
        build, "_rooms", lambda stage: whole(stage).replace("(match) GROUP", "(match) WHERE seq <> 2 GROUP")
    )
    _fails(consumed, r"are not those of the moves they came from \(s/x: \d+ moves, \d+ in edges, \d+ in rooms")


def test_two_edges_of_one_hash_are_noticed(consumed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_MATCH", "cityHash64(site_id, step)")
    _fails(consumed, "two edges of the day have the same hash")


def test_two_channels_of_one_hash_are_noticed(consumed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    rightly = build._hashed
    monkeypatch.setattr(build, "_hashed", lambda each, columns: "1" if each == "cityHash64" else rightly(each, columns))
    _fails(consumed, r"are not those of the moves they came from \(s/x: \d+ moves, \d+ in edges, \d+ in rooms")


@pytest.mark.parametrize("lost", ["standing", "early"])
def test_rooms_lost_by_a_stage_are_noticed(consumed: Settings, lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if ClickHouse had been started again, and the connection with it."""
    whole = build.leave_bots_out

    def loses(client: Client, stage: Stage, day: Day) -> list[str]:
        client.run(f"TRUNCATE TABLE {getattr(stage, lost)}")
        return whole(client, stage, day)

    monkeypatch.setattr("seal.run.leave_bots_out", loses)
    _fails(consumed, r"\d+ of the rooms of 2026-03-07 were lost while it was built")


def test_a_room_with_two_rows_is_noticed(consumed: Settings) -> None:
    """As a worker would leave it that takes no row away from under a former day of opening."""
    _fails(consumed, r"more than one row of a room \(r[\w-]+", _TWICE)


def test_a_room_with_two_rows_is_not_resealed(consumed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reseal holds all rows aside, so that none are in a set."""
    monkeypatch.setattr("seal.reseal.await_consumed", lambda *_: [(TOPIC_LIVE, 0, 0)])
    log, _ = play(consumed, "check", rooms=20)
    sealer(consumed).seal(log.days[1])
    with Client(consumed.clickhouse) as client:
        client.run(_TWICE)
        with pytest.raises(SealFailed, match=r"more than one row of a room \(r[\w-]+"):
            Resealer(consumed, lambda: FAR, lambda words: None).reseal(log.days[1], "twice")


def _fails(settings: Settings, words: str, before: str = "SELECT 1") -> None:
    """A seal fails with these words and leaves nothing; `before`: a statement that spoils the tables."""
    log, _ = play(settings, "check", rooms=20)
    with Client(settings.clickhouse) as client:
        client.run(before)
        with pytest.raises(SealFailed, match=words):
            sealer(settings).seal(log.days[1])
        assert not client.rows("SELECT kind FROM daily")
        assert not left_behind(client)
