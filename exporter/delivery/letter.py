"""The mail with an export: subject, words, workbooks."""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from journey.labels import Label, Lang

_XLSX = ("application", "vnd.openxmlformats-officedocument.spreadsheetml.sheet")
_LINE_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")

REPEAT = Label("(다시 보냄)", "(possibly a repeat)")
_REPEAT_WHY = Label(
    "이 메일은 이미 도착했을 수 있습니다. 앞서 보낸 메일의 도착 여부를 확인하지 못해 같은 내용을 다시 보냅니다.",
    "This may have reached you before: whether the first message arrived is not known, so the same is sent again.",
)


def letter(
    *, key: str, sender: str, to: Sequence[str], subject: str, words: Sequence[str], files: Sequence[Path],
    at: int, lang: Lang = "ko", repeat: bool = False,
) -> EmailMessage:  # fmt: skip
    """A message to all of `to`, with `files` attached (….xlsx); `at`: when it is written, ms.

    `key` says which message it is: the same key gives the same Message-ID, so that a mail program can put a message
    that came twice together; X-Turnpath-Run shows it to a person. `repeat` marks subject and text.
    """
    made = EmailMessage(policy=SMTP.clone(cte_type="7bit"))
    made["From"], made["To"] = sender, [Address(addr_spec=one) for one in to]
    made["Subject"] = one_line(f"{subject} {REPEAT.of(lang)}" if repeat else subject)
    made["Date"] = datetime.fromtimestamp(at / 1000, UTC)
    made["Message-ID"] = message_id(key, sender)
    made["X-Turnpath-Run"] = one_line(key)
    made["Auto-Submitted"] = "auto-generated"
    if repeat:
        made["X-Turnpath-Repeat"] = "possibly"
        words = [_REPEAT_WHY.of(lang), "", *words]
    made.set_content("\n".join(words) + "\n")
    for file in files:
        made.add_attachment(file.read_bytes(), *_XLSX, filename=file.name)
    return made


def message_id(key: str, sender: str) -> str:
    """The Message-ID of the message with this key."""
    domain = sender.rpartition("@")[2].rstrip("> ")
    return f"<turnpath.{hashlib.sha256(key.encode()).hexdigest()[:32]}@{domain}>"


def one_line(text: str) -> str:
    """`text` as a header can hold it: a line break in a name begins no header of its own."""
    return _LINE_BREAKS.sub(" ", text).strip()
