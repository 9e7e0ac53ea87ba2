"""Export jobs that send mails, over failing servers, other processes and hands."""

from datetime import timedelta
from pathlib import Path

import pytest

from exporter import history
from journey.errors import NotSealed, Retry
from sql.client import Client
from tests.integration.jobs.morning import ADDED, HOUR, MINUTE, ONE, TO, Morning, cells, cut_off, written
from tests.integration.made_rooms import SITE, insert_daily
from tests.integration.mail_server import MailBox
from tests.integration.shop import BOT


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
