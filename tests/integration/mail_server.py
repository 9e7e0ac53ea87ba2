"""A real SMTP server (aiosmtpd) on a free port, which takes mail, or misbehaves as a test wants it to."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from stack.ports import free_port


@dataclass
class Taken:
    """A message that was taken: to whom by the envelope, and itself."""

    to: list[str]
    message: EmailMessage

    def attachments(self) -> dict[str, bytes]:
        """The attached files by name."""
        return {str(part.get_filename()): part.get_payload(decode=True) for part in self.message.iter_attachments()}  # type: ignore[misc]


@dataclass
class MailBox:
    """What the server took, and what it is to do wrong: the next of each of these, one a message, then all is well.

    `refuse_to`: an answer for each address that is not taken. `answers`: to DATA, after the message; "drop" takes it
    and goes away without a word, "silence" takes it and says nothing. `cut`: so many conversations end in the middle
    of DATA.
    """

    taken: list[Taken] = field(default_factory=list)
    refuse_to: dict[str, str] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    cut: int = 0
    mute: bool = False
    url: str = ""

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Envelope, host: str, answers: list[str]
    ) -> list[str]:
        session.host_name = host
        if self.mute:
            await asyncio.sleep(3600)
        return answers

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]) -> str:
        if address in self.refuse_to:
            return self.refuse_to[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if not answer.startswith(("4", "5")):
            message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.taken.append(Taken(list(envelope.rcpt_tos), message))
        if answer == "drop":
            server.transport.abort()
        if answer == "silence":
            await asyncio.sleep(3600)
        return answer


class _Server(SMTP):
    async def smtp_DATA(self, arg: str) -> None:
        if self.event_handler.cut:
            self.event_handler.cut -= 1
            await self.push("354 go on")
            await self._reader.readline()
            assert isinstance(self.transport, asyncio.Transport)
            self.transport.abort()
            return
        await super().smtp_DATA(arg)


class _Controller(Controller):
    def factory(self) -> SMTP:
        return _Server(self.handler, **self.SMTP_kwargs)


@contextmanager
def mail_server(
    box: MailBox, tls: ssl.SSLContext | None = None, *, at_once: bool = False, login: str = ""
) -> Iterator[MailBox]:
    """The server, up. `tls`: offered by STARTTLS, or spoken `at_once`; `login`: `user:password`, demanded."""
    kwargs: dict[str, Any] = {}
    if tls is not None and not at_once:
        kwargs["tls_context"] = tls
    if login:
        kwargs |= {"authenticator": _authenticator(login), "auth_required": True, "auth_require_tls": not at_once}
    port = free_port()
    controller = _Controller(
        box, hostname="127.0.0.1", port=port, ssl_context=tls if at_once else None, decode_data=False, **kwargs
    )
    controller.start()
    box.url = f"{'smtps' if at_once else 'smtp'}://{login + '@' if login else ''}127.0.0.1:{port}"
    try:
        yield box
    finally:
        controller.stop(no_assert=True)


def _authenticator(login: str) -> Any:
    def check(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        known = f"{given.login.decode()}:{given.password.decode()}" == login
        return AuthResult(success=known, handled=False)

    return check
