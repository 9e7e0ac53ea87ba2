"""Export jobs from a sealed day to the folder and the URL: each slot once, in order, and what fails."""

from datetime import datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from exporter import history
from exporter.run import Exporter
from journey.errors import Busy
from sql import read
from tests.counted import Since, value
from tests.integration.jobs.morning import ADDED, HOUR, MINUTE, ONE, TO, Morning, cells, cut_off, there, written
from tests.integration.made_rooms import SITE, insert_daily
from tests.integration.mail_server import MailBox
from tests.integration.shop import BOT


def test_each_sealed_day_is_a_file_once(morning: Morning, reports: Path, tmp_path: Path) -> None:
    morning.jobs = written(tmp_path, 'name = "아침"\nbots = ["주문봇"]\nto = "reports"')
    counts = [
        Since(f"turnpath_export_{name}", export_job="아침") for name in ("rows_total", "bytes_total", "seconds_count")
    ]
    counts += [Since("turnpath_export_deliveries_total", kind="folder", outcome="delivered")]
    morning.turn()
    morning.seal(ADDED - ONE, ADDED)
    morning.turn()
    assert there(reports) == [f"turnpath_{SITE}_{BOT}_{ADDED}.xlsx"]  # the job is newer than the day before
    cells(reports / f"turnpath_{SITE}_{BOT}_{ADDED}.xlsx", morning.client, ADDED)
    before = (reports / f"turnpath_{SITE}_{BOT}_{ADDED}.xlsx").stat()
    morning.turn(HOUR)
    assert (reports / f"turnpath_{SITE}_{BOT}_{ADDED}.xlsx").stat() == before
    assert morning.states() == [(str(ADDED), "done", 1)]
    row = history.listed(morning.client, "아침", failed=False, since=0).dicts()[0]
    assert (row["files"], row["bytes"]) == ([f"turnpath_{SITE}_{BOT}_{ADDED}.xlsx"], before.st_size)
    assert row["rows"] == len(read.journey_table(morning.client, SITE, BOT, ADDED, ADDED).rows)
    assert [since.grown for since in counts] == [row["rows"], row["bytes"], 1, 1]
    assert value("turnpath_export_runs_total", export_job="아침", outcome="done") >= 1
    assert value("turnpath_export_last_success_timestamp_seconds", export_job="아침") > 0


def test_what_an_outage_missed_is_made_in_order(morning: Morning, box: MailBox, tmp_path: Path) -> None:
    morning.jobs = written(tmp_path, 'name = "mail"\nto = ["kim@example.com"]\nsubject = "{first}"')
    morning.turn()
    missed = [ADDED + n * ONE for n in range(5)]
    morning.seal_silent(*missed)
    morning.turn()
    within = [day for day in missed if cut_off(day) >= morning.at - 3 * 24 * HOUR]
    assert [taken.message["Subject"] for taken in box.taken] == [str(day) for day in within]
    assert len(within) == 3
    morning.turn(HOUR)
    assert len(box.taken) == 3


def test_what_fails_is_tried_again_and_then_given_up_and_told(
    morning: Morning, box: MailBox, reports: Path, tmp_path: Path
) -> None:
    morning.jobs = written(tmp_path, 'name = "lost"\nto = "nowhere"', 'name = "well"\nto = "reports"')
    morning.turn()
    morning.seal(ADDED)
    morning.turn()
    assert morning.states("lost") == [(str(ADDED), "failed", 1)]
    assert morning.states("well") == [(str(ADDED), "done", 1)]
    morning.turn(30_000)
    assert len(morning.states("lost")) == 1  # its pause is not over
    morning.turn(31_000)
    morning.turn(2 * MINUTE)
    assert [(state, attempt) for _, state, attempt in morning.states("lost")] == [
        ("failed", 1),
        ("failed", 2),
        ("gave_up", 3),
    ]
    (told,) = box.taken
    assert told.to == ["ops@example.com"]
    body = told.message.get_body()
    assert body is not None
    assert f"lost, {ADDED}: 3 attempts. the folder {tmp_path}/nowhere is not there" in body.get_content()
    morning.turn(24 * HOUR)
    assert len(box.taken) == 1
    (tmp_path / "nowhere").mkdir()
    made = morning.exporter().by_hand(morning.jobs[0], None)
    assert (made.state, made.attempt) == ("done", 4)
    assert len(there(tmp_path / "nowhere")) == 1


def test_a_lock_that_somebody_holds_is_no_failure(morning: Morning, reports: Path, tmp_path: Path) -> None:
    morning.jobs = written(tmp_path, 'name = "a"\nto = "reports"')
    morning.turn()
    morning.seal_silent(ADDED)

    def held(name: str) -> Any:
        raise Busy(f"another export {name} is under way")

    Exporter(morning.settings, lambda: morning.at, held, lambda _: False).turn(morning.jobs)
    assert morning.states() == []


def test_a_day_that_is_sealed_again_is_sent_again_where_the_job_says_so(
    morning: Morning, box: MailBox, tmp_path: Path
) -> None:
    resend = 'name = "again"\nto = ["kim@example.com"]\nresend = true'
    morning.jobs = written(tmp_path, resend, 'name = "once"\nto = ["lee@example.com"]')
    morning.turn()
    morning.seal_silent(ADDED)
    morning.turn()
    insert_daily(morning.client, [{"day": ADDED, "revision": 2, "as_of": morning.at, "sealed_at": morning.at}])
    morning.turn(HOUR)
    morning.turn(HOUR)
    assert [slot for slot, *_ in morning.states("again")] == [str(ADDED), f"{ADDED} r2"]
    assert [slot for slot, *_ in morning.states("once")] == [str(ADDED)]
    assert [str(taken.message["Subject"]).endswith("(마감 차수 2)") for taken in box.taken] == [False, False, True]


def test_a_cron_time_waits_for_its_seal(morning: Morning, reports: Path, tmp_path: Path) -> None:
    morning.jobs = written(tmp_path, 'name = "weekly"\nto = "reports"\nrange = "last 7 days"\nwhen = "30 0 * * 1"')
    morning.turn()
    monday = ADDED + (14 - ADDED.weekday()) * ONE
    morning.seal(*(monday - n * ONE for n in range(8, 1, -1)))
    morning.at = round(datetime.combine(monday, time(0, 31), ZoneInfo("Asia/Seoul")).timestamp() * 1000)
    morning.turn()
    assert there(reports) == []
    morning.seal(monday - ONE)
    morning.turn()
    assert there(reports) == [f"turnpath_{SITE}_전체_{monday - 7 * ONE}_{monday - ONE}.xlsx"]
    morning.turn(24 * HOUR)
    assert [state for _, state, _ in morning.states()] == ["done"]


def test_to_a_file_system_by_its_url(morning: Morning, reports: Path, tmp_path: Path) -> None:
    import fsspec

    url = f"memory://{tmp_path.name}/in/it"
    morning.jobs = written(tmp_path, f'name = "m"\nto = "{url}"', f'name = "f"\nto = "file://{reports}/new"')
    morning.turn()
    morning.seal(ADDED)
    memory = fsspec.filesystem("memory")
    name = f"turnpath_{SITE}_전체_{ADDED}.xlsx"
    memory.pipe_file(f"/{tmp_path.name}/in/it/.{name}.0000.part", b"of one that was killed")
    memory.pipe_file(f"/{tmp_path.name}/in/it/{name}", b"an older one")
    morning.turn()
    assert [path.rpartition("/")[2] for path in memory.ls(f"/{tmp_path.name}/in/it", detail=False)] == [name]
    cells(memory.cat_file(f"/{tmp_path.name}/in/it/{name}"), morning.client, ADDED)
    assert there(reports / "new") == [name]


def test_a_day_without_rooms_and_a_site_that_is_not_there(morning: Morning, box: MailBox, tmp_path: Path) -> None:
    morning.jobs = written(tmp_path, f'name = "mail"\nto = {TO}')
    wrong = morning.jobs[0].model_copy(update={"name": "wrong", "site": "shep"})
    morning.jobs = (*morning.jobs, wrong)
    morning.turn()
    morning.seal(ADDED)
    morning.turn()
    insert_daily(morning.client, [{"day": ADDED + ONE, "as_of": cut_off(ADDED + ONE)}])
    morning.turn(24 * HOUR)
    assert [list(taken.attachments()) != [] for taken in box.taken] == [True, False]
    body = box.taken[1].message.get_body()
    assert body is not None
    assert "종료된 상담방이 없어" in body.get_content()
    failed = history.listed(morning.client, "wrong", failed=True, since=0).dicts()
    assert failed
    assert all("There is no site 'shep'; there is shop" in row["said"] for row in failed)
