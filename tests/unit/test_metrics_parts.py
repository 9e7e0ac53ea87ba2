"""The metrics of the scheduler, the seal, the exporter and the server beside a part, each caused and read."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from exporter import metrics as exporter_metrics
from exporter.destination import Folder
from exporter.due import Past
from exporter.made import Made
from exporter.post import Post
from journey.errors import Busy, OutputFailed, Retry, SealFailed
from journey.events import REASONS, TOPIC_LIVE
from metrics.serve import Server
from scheduler.exports import ExportLoop, JobFile
from scheduler.watch import Watch
from seal import metrics as seal_metrics
from settings import Settings
from stack.ports import free_port
from stream import metrics as worker_metrics
from tests.counted import Since, value
from tests.monitoring import ROOT
from tests.unit.test_export_loop import RIGHT, Turns
from tests.unit.test_scheduler import DAY, FIRST, Days, Hand, cut_off, run


def failed_in(step: str) -> SealFailed:
    """A failure as it comes out of that step."""
    with pytest.raises(SealFailed) as caught, seal_metrics.step(step):
        raise SealFailed("it failed")
    return caught.value


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (failed_in("check"), "failed", "check"),
        (failed_in("wait"), "failed", "wait"),
        (SealFailed("never still"), "failed", "changed"),
        (Retry("away"), "failed", "unreachable"),
        (Busy("another"), "busy", ""),
    ],
)
def test_a_turn_of_the_seal_counts_by_how_it_ended(error: Exception, outcome: str, reason: str) -> None:
    turns = {name: Since("turnpath_scheduler_turns_total", loop="seal", outcome=name) for name in ("done", outcome)}
    failures, days = (
        Since("turnpath_seal_failures_total", reason=reason),
        Since("turnpath_seal_days_total", outcome="failed"),
    )
    sealed = Since("turnpath_seal_days_total", outcome="sealed")
    clock = Hand(cut_off(FIRST))
    run(clock, Days(clock, trouble=[(0, error)]), clock.at + 3_600_000)
    assert turns[outcome].grown == turns["done"].grown == 1
    assert failures.grown == days.grown == (outcome == "failed")
    assert sealed.grown == 1
    assert clock.at / 1000 - 60 <= value("turnpath_scheduler_last_loop_timestamp_seconds", loop="seal") <= clock.at


def test_a_step_of_the_seal_is_timed_and_the_innermost_has_failed() -> None:
    steps = {name: Since("turnpath_seal_step_seconds_count", step=name) for name in ("build", "check")}
    with pytest.raises(SealFailed) as caught, seal_metrics.step("build"), seal_metrics.step("check"):
        raise SealFailed("unbalanced")
    assert caught.value.step == "check"
    assert [since.grown for since in steps.values()] == [1, 1]


def test_days_due_are_counted_when_asked_also_while_nobody_looks() -> None:
    clock = Hand(cut_off(FIRST) - 1)
    watch = Watch(Settings(), clock.now)
    assert value("turnpath_seal_days_due") == 0
    watch._first = FIRST
    assert value("turnpath_seal_days_due") == 0
    clock.at = cut_off(FIRST + DAY)
    assert value("turnpath_seal_days_due") == 2
    watch._sealed = {FIRST}
    assert value("turnpath_seal_days_due") == 1


def test_a_watch_that_finds_nobody_goes_on() -> None:
    watch = Watch(Settings(clickhouse=f"clickhouse://127.0.0.1:{free_port()}/turnpath"), lambda: 0)
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) > 4

    watch.run(wait)
    assert len(waits) > 4


def test_the_loop_of_the_exports_counts_its_turns(tmp_path: Path) -> None:
    path = tmp_path / "exports.toml"
    path.write_text(RIGHT.format("counted"))
    turns = {name: Since("turnpath_scheduler_turns_total", loop="exports", outcome=name) for name in ("done", "failed")}
    loop = ExportLoop(JobFile(path), Turns(None, Retry("away")), lambda _: False)
    begun = time.time()
    loop.turn()
    loop.turn()
    assert [since.grown for since in turns.values()] == [1, 1]
    assert value("turnpath_scheduler_last_loop_timestamp_seconds", loop="exports") >= begun
    assert value("turnpath_export_jobs") == value("turnpath_export_jobs_file_ok") == 1


def test_what_has_not_happened_yet_is_0_and_not_absent(tmp_path: Path) -> None:
    """increase() sees no first time in a counter that appears with it."""
    path = tmp_path / "exports.toml"
    path.write_text(RIGHT.format("expected"))
    JobFile(path)
    sample = REGISTRY.get_sample_value
    for outcome in exporter_metrics.OUTCOMES:
        assert sample("turnpath_export_runs_total", {"export_job": "expected", "outcome": outcome}) == 0
    assert sample("turnpath_seal_failures_total", {"reason": "leave_out"}) is not None
    for reason in REASONS:
        labels = {"topic": TOPIC_LIVE, "reason": reason}
        assert sample(f"{worker_metrics.DEAD_LETTERS._name}_total", labels) is not None
    assert sample("turnpath_export_deliveries_total", {"kind": "url", "outcome": "failed"}) is not None


@pytest.mark.parametrize("is_there", [True, False])
def test_a_delivery_counts_by_kind_and_by_how_it_ended(tmp_path: Path, is_there: bool) -> None:
    outcomes = {
        name: Since("turnpath_export_deliveries_total", kind="folder", outcome=name) for name in ("delivered", "failed")
    }
    file = tmp_path / "a.xlsx"
    file.write_text("a workbook")
    folder = tmp_path / ("there" if is_there else "missing")
    if is_there:
        folder.mkdir()
    the_run: Any = type("Run", (), {"job": type("Job", (), {"destination": Folder(folder)})})
    post = Post(Settings(), lambda: 0)
    try:
        post.deliver(the_run, Made((file,), 1, 10, 1, ()), Past("", 0, 0, ""))
    except OutputFailed:
        assert not is_there
    assert [since.grown for since in outcomes.values()] == [int(is_there), int(not is_there)]


def test_what_health_complains_of_is_a_metric() -> None:
    reasons = ["ClickHouse is away", "Kafka is away"]
    server = Server(f"127.0.0.1:{free_port()}", lambda: reasons, part="counted", setting="TURNPATH_X")
    try:
        assert value("turnpath_health_reasons", part="counted") == 2
        reasons.clear()
        assert value("turnpath_health_reasons", part="counted") == 0
    finally:
        server.close()


def test_every_step_of_the_seal_is_timed() -> None:
    timed = [
        name
        for path in (ROOT / "seal").glob("*.py")
        for name in re.findall(r'^@step\("(\w+)"\)', path.read_text(), re.M)
    ]
    assert sorted(timed) == sorted(seal_metrics.STEPS)
