"""Export jobs from a sealed day to the folder, the URL, the mail; with a clock of the test's own."""

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from python_calamine import CalamineWorkbook

from cli.output import journey
from exporter import history
from exporter.jobs import Job, load
from exporter.run import Exporter
from journey.errors import Busy, NotSealed, Retry
from settings import Settings
from sql import read
from sql.client import Client
from tests.counted import Since, value
from tests.integration.made_rooms import SEOUL, SITE, database, insert_daily
from tests.integration.mail_server import MailBox, mail_server
from tests.integration.shop import BOT, seal, yesterday

ADDED = yesterday() - timedelta(days=20)
ONE = timedelta(days=1)
MINUTE, HOUR = 60_000, 3_600_000
TO = ["kim@example.com", "lee@example.com"]


def cut_off(day: date) -> int:
    return SEOUL.cut_off(day, time(0, 40))


@dataclass
class Morning:
    """The exporter of one process, its jobs and its clock; the seal's part is the test's own."""

    client: Client
    settings: Settings
    jobs: tuple[Job, ...]
    at: int

    def exporter(self) -> Exporter:
        return Exporter(self.settings, lambda: self.at, lambda _: contextlib.nullcontext(), lambda _: False)

    def seal(self, *days: date) -> None:
        seal(self.client, days, 5)
        self.at = max(self.at, cut_off(days[-1]) + MINUTE)

    def seal_silent(self, *days: date) -> None:
        """Seal days without a room: a mail about them has no workbook, which takes no time to make."""
        insert_daily(self.client, [{"day": day, "as_of": cut_off(day)} for day in days])
        self.at = max(self.at, cut_off(days[-1]) + MINUTE)

    def turn(self, later: int = 0) -> None:
        self.at += later
        self.exporter().turn(self.jobs)

    def states(self, job: str = "") -> list[tuple[str, str, int]]:
        rows = history.listed(self.client, job, failed=False, since=0).dicts()
        return [(row["slot"], row["state"], row["attempt"]) for row in rows]


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    folder.mkdir()
    return folder


@pytest.fixture
def box() -> Iterator[MailBox]:
    with mail_server(MailBox()) as box:
        yield box


@pytest.fixture(scope="module")
def shared(clickhouse_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with database(clickhouse_address, tmp_path_factory.mktemp("exports")) as client:
        yield client


@pytest.fixture
def morning(shared: Client, box: MailBox) -> Morning:
    """No day is sealed but one long ago: the shop and its bot are known."""
    for table in ("daily", "exports", "export_jobs"):
        shared.run(f"TRUNCATE TABLE {table}")
    insert_daily(shared, [{"day": ADDED - 60 * ONE, "kind": "node", "site_id": SITE, "bot_id": BOT, "step": 1}])
    settings = Settings(
        clickhouse=f"clickhouse://{shared.address}/{shared.database}",
        smtp_url=box.url,
        smtp_from="reports@example.com",
        export_tries=3,
        export_look_back=timedelta(days=3),
        notify_to="ops@example.com",
    )
    return Morning(shared, settings, (), cut_off(ADDED) - HOUR)


def written(folder: Path, *jobs: str) -> tuple[Job, ...]:
    """Jobs of a file in that folder, from their lines; each of the shop's site."""
    path = folder / "exports.toml"
    path.write_text("\n".join(f'[[job]]\nsite = "{SITE}"\n{lines}\n' for lines in jobs))
    return load(path)


def there(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def cells(source: Path | bytes, client: Client, day: date) -> None:
    """The workbook's table equals the view."""
    book = CalamineWorkbook.from_filelike(io.BytesIO(source if isinstance(source, bytes) else source.read_bytes()))
    rows = book.get_sheet_by_name("표").to_python()
    view = [list(row) for row in journey(read.journey_table(client, SITE, BOT, day, day), "ko").rows]
    assert len(view) > 5
    assert rows[1:] == view


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


def test_a_mail_with_the_workbook(morning: Morning, box: MailBox, tmp_path: Path) -> None:
    morning.jobs = written(tmp_path, f'name = "mail"\nto = {TO}\nworkbook = "each"')
    morning.turn()
    morning.seal(ADDED)
    morning.turn()
    (taken,) = box.taken
    assert taken.to == TO
    assert taken.message["Subject"] == f"[Turnpath] {SITE} 전체 {ADDED} 챗봇 여정"
    ((name, body),) = taken.attachments().items()
    assert name == f"turnpath_{SITE}_{BOT}_{ADDED}.xlsx"
    cells(body, morning.client, ADDED)


def test_a_mail_names_the_bots_that_were_out_of_use(morning: Morning, box: MailBox, tmp_path: Path) -> None:
    morning.jobs = written(tmp_path, f'name = "mail"\nto = {TO}')
    morning.turn()
    left_out = [f"{SITE}:{BOT}", "other:bot"]
    insert_daily(morning.client, [{"day": ADDED, "as_of": cut_off(ADDED), "bots_left_out": left_out}])
    morning.turn(cut_off(ADDED) + MINUTE - morning.at)
    (taken,) = box.taken
    body = taken.message.get_body()
    assert body is not None
    assert f"사용 중지로 빠진 챗봇: {BOT} ({ADDED})" in body.get_content()


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


def test_the_notice_itself_is_tried_again(morning: Morning, box: MailBox, tmp_path: Path) -> None:
    morning.settings = morning.settings.model_copy(update={"export_tries": 1})
    morning.jobs = written(tmp_path, 'name = "lost"\nto = "nowhere"')
    morning.turn()
    morning.seal(ADDED)
    box.answers = ["451 not now"]
    morning.turn()
    assert box.taken == []
    morning.turn(11 * MINUTE)
    assert len(box.taken) == 1


def test_who_got_it_is_not_sent_it_again(morning: Morning, box: MailBox, tmp_path: Path) -> None:
    morning.jobs = written(tmp_path, f'name = "mail"\nto = {TO}')
    morning.turn()
    morning.seal_silent(ADDED)
    box.refuse_to = {TO[1]: "450 the box is full"}
    morning.turn()
    box.refuse_to = {}
    morning.turn(2 * MINUTE)
    assert [taken.to for taken in box.taken] == [[TO[0]], [TO[1]]]
    assert [(state, attempt) for _, state, attempt in morning.states()] == [("failed", 1), ("done", 2)]
    assert not any("X-Turnpath-Repeat" in taken.message for taken in box.taken)


@pytest.mark.parametrize("trouble", ["450 later", "554 never", "cut", "mute"])
def test_a_server_that_refuses_is_slow_or_goes_gets_one_mail_in_the_end(
    morning: Morning, box: MailBox, tmp_path: Path, trouble: str
) -> None:
    morning.jobs = written(tmp_path, f'name = "mail"\nto = {TO}')
    morning.turn()
    morning.seal_silent(ADDED)
    box.cut, box.mute = int(trouble == "cut"), trouble == "mute"
    box.answers = [] if trouble in ("cut", "mute") else [trouble]
    patient = morning.settings
    if trouble == "mute":
        morning.settings = patient.model_copy(update={"smtp_timeout": timedelta(seconds=0.5)})
    morning.turn()
    assert box.taken == []
    morning.settings, box.mute = patient, False
    morning.turn(2 * MINUTE)
    morning.turn(24 * HOUR)
    assert [taken.to for taken in box.taken] == [TO]
    # a small message lies whole in the network's buffers when the server goes: nobody here can know what it read
    assert ("X-Turnpath-Repeat" in box.taken[0].message) == (trouble == "cut")


def test_a_server_that_took_it_and_went_gets_a_marked_repeat(morning: Morning, box: MailBox, tmp_path: Path) -> None:
    morning.jobs = written(tmp_path, f'name = "mail"\nto = {TO}')
    morning.turn()
    morning.seal_silent(ADDED)
    box.answers = ["drop"]
    morning.turn()
    morning.turn(2 * MINUTE)
    morning.turn(24 * HOUR)
    first, second = (taken.message for taken in box.taken)
    assert first["Message-ID"] == second["Message-ID"]
    assert ("X-Turnpath-Repeat" in first, "X-Turnpath-Repeat" in second) == (False, True)
    assert str(second["Subject"]).endswith("(다시 보냄)")


def test_another_process_that_is_sending_is_waited_for(morning: Morning, box: MailBox, tmp_path: Path) -> None:
    morning.jobs = written(tmp_path, f'name = "mail"\nto = {TO}')
    morning.turn()
    morning.seal_silent(ADDED)
    other = history.Attempt("mail", str(ADDED), 1, "another", "sending", morning.at, ADDED, ADDED, 1, "")
    history.note(morning.client, other)
    morning.turn(2 * MINUTE)
    assert box.taken == []
    morning.turn(4 * MINUTE)
    assert ["X-Turnpath-Repeat" in taken.message for taken in box.taken] == [True]


def test_who_sees_another_send_the_same_leaves_it_to_that(
    morning: Morning, box: MailBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the lock: the other came just before us, and we saw nothing of it when we began."""
    morning.jobs = written(tmp_path, f'name = "mail"\nto = {TO}')
    morning.turn()
    morning.seal_silent(ADDED)
    real = history.note

    def note(client: Client, attempt: history.Attempt) -> None:
        if attempt.state == "sending":
            real(client, history.Attempt("mail", str(ADDED), 1, "another", "sending", morning.at, ADDED, ADDED, 1, ""))
        real(client, attempt)

    monkeypatch.setattr(history, "note", note)
    morning.turn()
    assert box.taken == []


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


def test_by_hand_only_for_a_sealed_day(morning: Morning, box: MailBox, tmp_path: Path) -> None:
    morning.jobs = written(tmp_path, f'name = "mail"\nto = {TO}')
    with pytest.raises(NotSealed, match="turnpath seal"):
        morning.exporter().by_hand(morning.jobs[0], None)
    morning.seal_silent(ADDED)
    for _ in range(2):
        assert morning.exporter().by_hand(morning.jobs[0], ADDED).state == "done"
    ids = {str(taken.message["Message-ID"]) for taken in box.taken}
    assert len(ids) == 2  # asked for twice, wanted twice: no mail program takes the second for the first


def test_a_job_that_was_away_begins_anew(morning: Morning, box: MailBox, tmp_path: Path) -> None:
    jobs = written(tmp_path, 'name = "mail"\nto = ["kim@example.com"]\nsubject = "{last}"')
    morning.jobs = jobs
    morning.turn()
    morning.jobs = ()
    morning.turn(MINUTE)
    morning.seal_silent(ADDED, ADDED + ONE)
    morning.jobs = jobs
    morning.turn()
    assert box.taken == []
    morning.seal_silent(ADDED + 2 * ONE)
    morning.turn()
    assert [taken.message["Subject"] for taken in box.taken] == [str(ADDED + 2 * ONE)]


def test_what_was_sent_is_noted_once_clickhouse_is_back(
    morning: Morning, box: MailBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    morning.jobs = written(tmp_path, f'name = "mail"\nto = {TO}')
    morning.turn()
    morning.seal_silent(ADDED)
    real, away = history.note, [Retry("away")] * 3

    def note(client: Client, attempt: history.Attempt) -> None:
        if attempt.state == "done" and away:
            raise away.pop()
        real(client, attempt)

    monkeypatch.setattr(history, "note", note)
    morning.turn()
    assert (away, morning.states()) == ([], [(str(ADDED), "done", 1)])
    morning.turn(24 * HOUR)
    assert len(box.taken) == 1
