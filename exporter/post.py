"""Brings what was made to where its job says, and tells people what was given up."""

from collections.abc import Callable, Sequence
from typing import Any

from exporter import metrics
from exporter.delivery import folder, url
from exporter.delivery.letter import letter
from exporter.delivery.smtp import MailServer, send
from exporter.destination import Folder, Mail, Url
from exporter.due import Past, Run
from exporter.made import Made, subject
from journey.errors import BadSetting
from settings import Settings


class Post:
    """`now`: the clock, ms. Raises NotDelivered, OutputFailed, and BadSetting where no mail server is set."""

    def __init__(self, settings: Settings, now: Callable[[], int]) -> None:
        self._settings, self._now = settings, now

    @property
    def notify_to(self) -> list[str]:
        """Who is told of what was given up."""
        return [one.strip() for one in (self._settings.notify_to or "").split(",") if one.strip()]

    def deliver(self, run: Run, made: Made, past: Past) -> tuple[str, ...]:
        """Bring the files of the run there; to whom they were mailed."""
        with metrics.delivering(type(run.job.destination).__name__.lower()):
            return self._bring(run, made, past)

    def _bring(self, run: Run, made: Made, past: Past) -> tuple[str, ...]:
        match run.job.destination:
            case Folder(path):
                for file in made.files:
                    folder.put(path, file)
            case Url() as place:
                for file in made.files:
                    url.put(place, file)
            case Mail(to):
                self._mail(run, made, past, to)
                return to
        return ()

    def _mail(self, run: Run, made: Made, past: Past, to: Sequence[str]) -> None:
        """To those who have not got it yet. What was done before and is asked for again is another message."""
        server, sender = self._server()
        again = f" #{past.times + 1}" if past.times else ""
        message = letter(
            key=f"{run.job.name} {run.slot}{again}",
            sender=sender,
            to=to,
            subject=subject(run, made.revision),
            words=made.words,
            files=made.files,
            at=self._now(),
            lang=run.job.language,
            repeat=past.may_have_arrived,
        )
        send(server, message, [one for one in to if one not in past.sent_to])

    def tell(self, given_up: Sequence[tuple[Any, ...]]) -> None:
        """Mail `notify_to` which runs were given up: rows of exporter.history.given_up."""
        server, sender = self._server()
        runs = [f"{job}, {slot}: {attempt} attempts. {said}" for job, slot, attempt, _, said in given_up]
        to, count = self.notify_to, len(runs)
        message = letter(
            key="given up: " + " ".join(f"{job} {slot} {attempt}" for job, slot, attempt, *_ in given_up),
            sender=sender,
            to=to,
            subject=f"[Turnpath] {count} export{'' if count == 1 else 's'} given up",
            words=["Given up, and not tried again:", "", *runs, "", "`turnpath exports --run NAME --day D` makes one."],
            files=(),
            at=self._now(),
        )
        send(server, message, to)

    def _server(self) -> tuple[MailServer, str]:
        settings = self._settings
        if not settings.smtp_url or not settings.smtp_from:
            raise BadSetting("a mail needs TURNPATH_SMTP_URL and TURNPATH_SMTP_FROM: set both")
        return MailServer(settings.smtp_url, settings.smtp_timeout.total_seconds()), settings.smtp_from
