"""What is wrong with a stage is found before it is published."""

import pytest

from journey.errors import SealFailed
from seal import build
from settings import Settings
from sql.client import Client
from sql.migrate import migrate
from tests.integration.seal.scene import left_behind, play, sealer


def test_rows_lost_between_the_two_passes_are_noticed(consumed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build._rooms
    monkeypatch.setattr(
        build, "_rooms", lambda stage: whole(stage).replace("(key) GROUP", "(key) WHERE seq <> 2 GROUP")
    )
    _fails(consumed, r"are not those of the moves they came from \(s/x: \d+ moves, \d+ in edges, \d+ in rooms")


def test_two_edges_of_one_hash_are_noticed(consumed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_KEY", "cityHash64(site_id, step)")
    _fails(consumed, "two edges of the day have the same hash")


def _fails(settings: Settings, words: str) -> None:
    migrate(settings)
    log, _ = play(settings, "check", rooms=20)
    with Client(settings.clickhouse) as client:
        with pytest.raises(SealFailed, match=words):
            sealer(settings).seal(log.days[1])
        assert not client.rows("SELECT kind FROM daily")
        assert not left_behind(client)
