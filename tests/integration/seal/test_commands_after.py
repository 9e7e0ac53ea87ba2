"""`turnpath seal` of days that are sealed: --status, --show, --verify, --reseal; and the words of `turnpath table`."""

import csv
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from io import StringIO

import pytest
from click.testing import CliRunner, Result

import cli.seal
import cli.table
from journey.errors import BadSetting, BadUsage, NotSealed, SealFailed
from scheduler.loop import Scheduler
from seal.reseal import Resealer
from seal.run import Sealer
from seal.status import why_waiting
from seal.verify import verify
from settings import Settings
from sql.client import Client
from tests.integration.seal.late import WHY, Scene, played
from tests.integration.seal.scene import FAR, SEOUL
from tests.integration.seal.truth import SEAL_AT


@pytest.fixture
def scene(consumed: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    for name in ("kafka", "redis", "clickhouse"):
        monkeypatch.setenv(f"TURNPATH_{name.upper()}", getattr(consumed, name))
    monkeypatch.setenv("TURNPATH_KEEP_EVENTS", "18000d")
    monkeypatch.setattr("scheduler.clock.SystemClock.now", lambda clock: SEOUL.cut_off(date(2026, 3, 10), SEAL_AT))
    with Client(consumed.clickhouse) as client:
        yield played(consumed, client, "49", monkeypatch)


def run(*given: str, command: object = cli.seal.command) -> Result:
    return CliRunner().invoke(command, given)  # type: ignore[arg-type]


def rows(result: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(result.stdout)))


def test_what_is_said_of_sealed_days(scene: Scene) -> None:
    second = scene.days[1]
    fails = run("--verify", str(date(2026, 3, 20)))
    assert isinstance(fails.exception, NotSealed)
    equal = run("--verify", str(second), "--format", "csv")
    assert equal.exit_code == 0, equal.output
    assert "revision 1, is what its events say" in equal.stderr
    assert equal.stdout == "what,site_id,bot_id,name,published,recomputed\n"

    result = run("--status", "--format", "csv")
    assert result.exit_code == 0, result.output
    assert [(row["day"], row["state"]) for row in rows(result) if row["day"] >= "2026-03-06"] == [
        *((str(day), "sealed") for day in scene.days), ("2026-03-09", "due"), ("2026-03-10", "due"),
    ]  # fmt: skip
    late = [day for day, _, _ in scene.late()]
    assert {row["day"]: int(row["late_rooms"]) for row in rows(result) if row["state"] == "sealed"} == {
        str(day): late.count(day) for day in scene.days
    }
    assert "are late for" in result.stderr
    assert "2026-03-09 to 2026-03-10; `turnpath seal` seals them" in result.stderr
    assert "127.0.0.1:1" in result.stderr, "why they wait: the broker does not answer"

    done = run("--reseal", str(second), "--reason", WHY, "--format", "csv")
    assert done.exit_code == 0, done.output
    assert {(row["day"], row["revision"]) for row in rows(done)} >= {(str(second), "2")}
    again = run("--reseal", str(second), "--reason", WHY)
    assert "nothing came late that changes 2026-03-07: no new revision" in again.stderr
    states = [(row["state"], row["revision"], row["reason"]) for row in rows(run("--status", "--format", "csv"))
              if row["day"] == str(second)]  # fmt: skip
    assert states == [("earlier", "1", ""), ("sealed", "2", WHY)]

    first = run("--show", str(second), "--revision", "1", "--format", "csv")
    assert "revision 1, as of 2026-03-07 15:40:00 UTC. " in first.stderr
    edges = [row for row in rows(first) if row["kind"] == "edge"]
    assert sum(int(row["moves"]) for row in edges) == sum(edge[-2] for edge in scene.sealed[second].edges)
    assert f"because: {WHY}" in run("--show", str(second)).stderr

    site, bot = edges[0]["site_id"], edges[0]["bot_id"]
    table = run("--site", site, "--bot", bot, "--from", "2026-03-01", "--to", str(second), command=cli.table.command)
    assert "not sealed, and so not in it: 2026-03-01 to 2026-03-05" in table.stderr
    assert "2026-03-07 (revision 2)" in table.stderr

    scene.client.run(f"ALTER TABLE daily DELETE WHERE day = '{second}' AND kind = 'edge' SETTINGS mutations_sync = 2")
    differs = run("--verify", str(second), "--format", "csv")
    assert isinstance(differs.exception, SealFailed)
    assert {row["what"] for row in rows(differs)} == {"edge", "room", "checksum"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--status", "--verify", "2026-03-07"), "one of --day, --reseal"),
        (("--reseal", "2026-03-07"), "say why"),
        (("--reseal", "2026-03-07", "--reason", " "), "say why"),
        (("--reason", "because"), "--reason goes with --reseal"),
        (("--revision", "1"), "--revision goes with --show"),
    ],
)
def test_what_does_not_go_together(given: tuple[str, ...], said: str) -> None:
    result = run(*given)
    assert isinstance(result.exception, BadUsage)
    assert said in str(result.exception)


def test_another_time_zone_seals_nothing(consumed: Settings) -> None:
    """The days in the tables are Seoul's: every way to a seal ends with what to set back, also the scheduler's loop."""
    day = date(2026, 3, 6)
    assert Sealer(consumed, lambda: FAR, lambda words: None).seal(day).is_new
    moved = consumed.model_copy(update={"timezone": "America/New_York"})
    sealer = Sealer(moved, lambda: FAR, lambda words: None)

    class Standing:
        def now(self) -> int:
            return FAR

        def sleep(self, seconds: float) -> None:
            raise AssertionError("it must not wait: no pause mends a setting")

    ways: list[Callable[[], object]] = [
        lambda: sealer.seal(day + timedelta(days=3)),
        lambda: list(sealer.seal_due(live_only=False)),
        lambda: sealer.due(live_only=True),
        lambda: Resealer(moved, lambda: FAR, lambda words: None).reseal(day, WHY),
        lambda: verify(moved, day, FAR, lambda words: None),
        lambda: Scheduler(moved, Standing()).run(),
    ]
    for way in ways:
        with pytest.raises(BadSetting, match=r"TURNPATH_TIMEZONE is America/New_York.*those of Asia/Seoul"):
            way()
    with Client(consumed.clickhouse) as client:
        assert client.rows("SELECT day, revision FROM daily WHERE kind = 'seal'") == [(day, 1)]
    assert "127.0.0.1:1" in why_waiting(moved, FAR)[0]
