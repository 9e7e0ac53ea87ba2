"""A message to a mail server, step by step, so that afterwards it is known who has it and who has not."""

import re
import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import parseaddr
from urllib.parse import unquote, urlsplit

from exporter.delivery import NotDelivered

_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MailServer:
    """`url`: smtp://user:password@host:587, or smtps://… with TLS from the first byte; `timeout_s`: for each answer.

    By smtp:// TLS is begun (STARTTLS) where the server offers it, and must be where there is a password.
    `tls`: which certificates are believed; by default those that the machine believes (SSL_CERT_FILE adds others).
    """

    url: str
    timeout_s: float = 60
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return f"the mail server {urlsplit(self.url).netloc.rpartition('@')[2]}"


def send(server: MailServer, message: EmailMessage, to: Sequence[str]) -> None:
    """Send `message` to each of `to`, which is done when this returns.

    Raises NotDelivered: nobody has it, or `sent_to` have it and the others were refused, or it is not known
    (`unsure`): the server had it whole and went away without a word.
    """
    body = message.as_bytes()
    with _conversation(server) as smtp:
        refused = _envelope(server, smtp, parseaddr(str(message["From"]))[1], to)
        accepted = [one for one in to if one not in refused]
        if accepted:
            _hand_over(server, smtp, body)
        with suppress(smtplib.SMTPException, OSError):
            smtp.quit()
    if refused:
        why = "; ".join(f"{one}: {said}" for one, said in refused.items())
        raise NotDelivered(f"{server} refuses {why}", accepted)


@contextmanager
def _conversation(server: MailServer) -> Iterator[smtplib.SMTP]:
    """A connection, encrypted and logged in; what goes wrong on it before the end of DATA is NotDelivered."""
    smtp: smtplib.SMTP | None = None
    try:
        smtp = _connected(server)
        yield smtp
    except (smtplib.SMTPException, OSError) as error:
        raise NotDelivered(f"{server}: {_said(error)}") from error
    finally:
        if smtp is not None:
            smtp.close()


def _connected(server: MailServer) -> smtplib.SMTP:
    url = urlsplit(server.url)
    tls, host = server.tls or ssl.create_default_context(), url.hostname or ""
    if url.scheme == "smtps":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(host, url.port or 465, timeout=server.timeout_s, context=tls)
        smtp.ehlo_or_helo_if_needed()
    else:
        smtp = smtplib.SMTP(host, url.port or (587 if url.username else 25), timeout=server.timeout_s)
        smtp.ehlo_or_helo_if_needed()
        if smtp.has_extn("starttls"):
            smtp.starttls(context=tls)
            smtp.ehlo()
        elif url.username:
            raise NotDelivered(f"{server} offers no TLS, and the password is not sent in the clear: use smtps://")
    if url.username:
        smtp.login(unquote(url.username), unquote(url.password or ""))
    return smtp


def _envelope(server: MailServer, smtp: smtplib.SMTP, sender: str, to: Sequence[str]) -> dict[str, str]:
    """Name sender and recipients; who was refused, and why."""
    code, words = smtp.mail(sender)
    if code != 250:
        raise NotDelivered(f"{server} refuses the sender {sender}: {_answer(code, words)}")
    answers = {one: smtp.rcpt(one) for one in to}
    return {one: _answer(code, words) for one, (code, words) in answers.items() if code not in (250, 251)}


def _hand_over(server: MailServer, smtp: smtplib.SMTP, body: bytes) -> None:
    """The message itself. The server has it once it has read the last dot; a word of it comes after that."""
    code, words = smtp.docmd("DATA")
    if code != 354:
        raise NotDelivered(f"{server} does not take the message: {_answer(code, words)}")
    smtp.send(
        _LEADING_DOT.sub(b"..", body) + b".\r\n"
    )  # an error here leaves the last of it unsent: the server must forget the rest
    try:
        code, words = smtp.getreply()
        if not 200 <= code < 600:
            raise smtplib.SMTPResponseException(code, words)
    except (smtplib.SMTPException, OSError) as error:
        said = f"{server} had the whole message and did not say whether it took it ({_said(error)})"
        raise NotDelivered(said, unsure=True) from error
    if code != 250:
        raise NotDelivered(f"{server} does not take the message: {_answer(code, words)}")


def _answer(code: int, words: bytes) -> str:
    return f"{code} {words.decode('utf-8', 'replace')}".replace("\n", " ")


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return _answer(error.smtp_code, bytes(error.smtp_error if isinstance(error.smtp_error, bytes) else b""))
    if "timed out" in str(error):
        return "no answer in time"
    return str(error).strip() or type(error).__name__
