"""Errors, named by the reaction they ask for. `exit_code` is what a command ends with when nothing caught it."""


class TurnpathError(Exception):
    """Anything that Turnpath says itself; its text is a sentence for a person, with what to do."""

    exit_code = 1


class Retry(TurnpathError):
    """A part did not answer, or not now: wait with back-off and do the same again."""

    exit_code = 4


class Crash(TurnpathError):
    """A retry cannot mend it: end the process with this message; the supervisor decides what follows."""

    exit_code = 1


class DeadLetter(TurnpathError):
    """A record breaks the event contract: keep it whole, count it, go on.

    `reason` is one of journey.events.REASONS."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class BadUsage(TurnpathError):
    """The command was asked for something that cannot be (a range too long, an unknown column)."""

    exit_code = 2


class BadSetting(TurnpathError):
    """A setting is wrong: do not start; say what to write instead."""

    exit_code = 3


class Unreachable(Retry):
    """A part is not running or not to be reached at its address."""

    exit_code = 4


class NoData(TurnpathError):
    """Nothing is there for what was asked; the text names the nearest that is."""

    exit_code = 5


class NotSealed(TurnpathError):
    """None of the days asked for is sealed."""

    exit_code = 6


class SealFailed(TurnpathError):
    """A seal or its balance failed; nothing was published. `step`: in which step of it, as seal.metrics names them."""

    exit_code = 7
    step = ""


class OutputFailed(TurnpathError):
    """The result could not be written (no space, no rights, the folder is missing)."""

    exit_code = 8


class Busy(TurnpathError):
    """Somebody else is doing this just now; try again later."""

    exit_code = 75
