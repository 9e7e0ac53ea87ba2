"""Mail to a real SMTP server: what arrives, and what is known afterwards when the server misbehaves."""

import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
import trustme

from exporter.delivery import NotDelivered
from exporter.delivery.letter import letter
from exporter.delivery.smtp import MailServer, send
from tests.integration.mail_server import MailBox, mail_server

TO = ["kim@example.com", "lee@example.com"]
NAME = "turnpath_고객사_챗봇_2026-11-22.xlsx"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture
def box() -> Iterator[MailBox]:
    with mail_server(MailBox()) as box:
        yield box


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(bytes(range(256)) * 300 + b"\r\n.\r\nafter a line with a dot\r\n")
    return path


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def a_letter(*files: Path, subject: str = "여정", repeat: bool = False) -> EmailMessage:
    return letter(
        key="아침 2026-11-22", sender="Turnpath <turnpath@example.com>", to=TO, subject=subject,
        words=["첫 줄", ".", "끝"], files=files, at=1_795_000_000_000, repeat=repeat,
    )  # fmt: skip


def post(box: MailBox, message: EmailMessage, timeout_s: float = 20) -> None:
    send(MailServer(box.url, timeout_s), message, TO)


def test_it_arrives_with_its_name_and_type_and_every_byte(box: MailBox, file: Path) -> None:
    post(box, a_letter(file))
    (taken,) = box.taken
    assert taken.to == TO
    assert taken.message["Subject"] == "여정"
    assert taken.message["X-Turnpath-Run"] == "아침 2026-11-22"
    (part,) = taken.message.iter_attachments()
    assert part.get_content_type() == XLSX
    assert part.get_filename() == NAME
    assert "=utf-8''turnpath_%EA%B3%A0" in taken.message.as_string()
    assert taken.attachments() == {NAME: file.read_bytes()}
    body = taken.message.get_body()
    assert isinstance(body, EmailMessage)
    assert body.get_content().splitlines() == ["첫 줄", ".", "끝"]


def test_a_line_with_a_dot_ends_nothing(box: MailBox) -> None:
    words = ["first", ".", "..", ".last"]
    post(box, letter(key="a", sender="t@example.com", to=TO, subject="a", words=words, files=(), at=0))
    body = box.taken[0].message.get_body()
    assert isinstance(body, EmailMessage)
    assert body.get_content().splitlines() == words


def test_a_repeat_has_the_same_id_and_says_that_it_is_one(box: MailBox, file: Path) -> None:
    post(box, a_letter(file))
    post(box, a_letter(file, repeat=True))
    first, second = (taken.message for taken in box.taken)
    assert first["Message-ID"] == second["Message-ID"]
    assert "X-Turnpath-Repeat" not in first
    assert second["X-Turnpath-Repeat"] == "possibly"
    assert second["Subject"] == "여정 (다시 보냄)"
    body = second.get_body()
    assert isinstance(body, EmailMessage)
    assert "이미 도착했을 수 있습니다" in body.get_content()


@pytest.mark.parametrize("answer", ["450 try later", "550 no such user"])
def test_who_is_refused_gets_nothing_and_the_others_do(box: MailBox, answer: str) -> None:
    box.refuse_to = {TO[1]: answer}
    with pytest.raises(NotDelivered, match=answer) as caught:
        post(box, a_letter())
    assert (caught.value.sent_to, caught.value.unsure) == ((TO[0],), False)
    assert [taken.to for taken in box.taken] == [[TO[0]]]
    box.refuse_to = dict.fromkeys(TO, answer)
    with pytest.raises(NotDelivered) as caught:
        post(box, a_letter())
    assert (caught.value.sent_to, len(box.taken)) == ((), 1)


@pytest.mark.parametrize("answer", ["451 not now", "554 not from you"])
def test_a_message_that_is_refused_is_with_nobody_for_sure(box: MailBox, answer: str) -> None:
    box.answers = [answer]
    with pytest.raises(NotDelivered, match=answer) as caught:
        post(box, a_letter())
    assert (caught.value.sent_to, caught.value.unsure, box.taken) == ((), False, [])


def test_cut_off_before_the_end_nobody_has_it_for_sure(box: MailBox, file: Path) -> None:
    file.write_bytes(file.read_bytes() * 130)  # more than lies in the buffers on the way
    box.cut = 1
    with pytest.raises(NotDelivered) as caught:
        post(box, a_letter(file))
    assert (caught.value.unsure, box.taken) == (False, [])


@pytest.mark.parametrize("answer", ["drop", "silence"])
def test_gone_after_the_end_nobody_knows(box: MailBox, answer: str) -> None:
    box.answers = [answer]
    with pytest.raises(NotDelivered, match="did not say whether it took it") as caught:
        post(box, a_letter(), timeout_s=0.5)
    assert caught.value.unsure
    assert len(box.taken) == 1


def test_a_server_that_never_answers(box: MailBox) -> None:
    box.mute = True
    with pytest.raises(NotDelivered, match="no answer in time") as caught:
        post(box, a_letter(), timeout_s=0.5)
    assert not caught.value.unsure


def test_no_server_at_all() -> None:
    with pytest.raises(NotDelivered, match="refused"):
        send(MailServer("smtp://127.0.0.1:9", 5), a_letter(), TO)


@pytest.mark.parametrize("at_once", [False, True])
def test_encrypted_and_logged_in(authority: trustme.CA, at_once: bool) -> None:
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.configure_trust(ours)
    with mail_server(MailBox(), theirs, at_once=at_once, login="bot:geheim") as box:
        send(MailServer(box.url, 20, ours), a_letter(), TO)
        assert len(box.taken) == 1
        with pytest.raises(NotDelivered, match="535") as caught:
            send(MailServer(box.url.replace("geheim", "wrong"), 20, ours), a_letter(), TO)
        assert "wrong" not in str(caught.value)
        with pytest.raises(NotDelivered, match="certificate"):
            post(box, a_letter())
        assert len(box.taken) == 1


def test_a_password_is_never_sent_in_the_clear(box: MailBox) -> None:
    with pytest.raises(NotDelivered, match="offers no TLS"):
        send(MailServer(box.url.replace("://", "://bot:geheim@"), 20), a_letter(), TO)


def test_a_line_break_in_a_name_begins_no_header(box: MailBox) -> None:
    post(box, a_letter(subject="여정\r\nBcc: all@example.com\r\n\r\nbody"))
    (taken,) = box.taken
    assert taken.to == TO
    assert taken.message["Bcc"] is None
    assert taken.message["Subject"] == "여정 Bcc: all@example.com body"
