"""Keeps parts running: starts them in order, starts again what dies, stops them in reverse."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from journey.errors import BadSetting, BadUsage, Crash, TurnpathError
from stack.parts import Part
from stack.process import Process

#: Exit codes after which a start again would only end the same way.
_HOPELESS = {BadUsage.exit_code, BadSetting.exit_code}


@dataclass(frozen=True)
class Patience:
    """Seconds, and how many deaths within `within` are too many; all parts are down after `stop` seconds."""

    first_wait: float = 0.5
    longest_wait: float = 10
    deaths: int = 5
    within: float = 60
    silence: float = 30
    look_every: float = 5  # and ten times as often at what does not answer
    stop: float = 14
    same: float = 1  # two requests to stop within this time are one: make sends its own after a terminal's


class Stopped(Exception):
    """Somebody asked for the end while something was under way."""


@dataclass
class _Child:
    part: Part
    process: Process
    answers: bool = True
    last_answer: float = 0
    look_at: float = 0
    deaths: list[float] = field(default_factory=list)
    start_at: float | None = None  # dead, and to be started then


class Supervisor:
    """Start groups of parts one after the other (`start`), `watch` them, `stop` them in reverse.

    `say` is given a line (or more) for each thing that a person should know. `ask_to_stop` may be called from a
    signal handler; a second call, somewhat later, stops waiting and kills.
    """

    def __init__(self, logs: Path, say: Callable[[str], None], patience: Patience | None = None) -> None:
        self._logs = logs
        self._say = say
        self._patience = patience or Patience()
        self._groups: list[list[_Child]] = []
        self._asked_at: float | None = None
        self._in_haste = False
        self._wake = threading.Event()

    def ask_to_stop(self) -> None:
        """Make `start`, `run` and `watch` return soon."""
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
        elif now - self._asked_at >= self._patience.same:
            self._in_haste = True
        self._wake.set()

    def start(self, parts: Sequence[Part]) -> None:
        """Start these together and wait until each answers; what answers at its address already is used.

        Raises Unreachable or Crash (with the log's last lines) where one cannot start, Stopped if asked to.
        """
        group: list[_Child] = []
        self._groups.append(group)
        for part in parts:
            if part.answers_already():
                self._say(_used(part))
            else:
                group.append(_Child(part, part.start(self._logs)))
        for child in group:
            child.part.await_answer(child.process, self._going_on)
            self._check_going_on()
            child.last_answer = time.monotonic()
            self._say(f"{child.part.name} is up{self._where(child.part)}")

    def run(self, part: Part, doing: str) -> None:
        """Run a part that does one thing, told as `doing`, to its end; Crash with its last words where it fails."""
        self._say(doing)
        group = [_Child(part, part.start(self._logs))]
        self._groups.append(group)
        process = group[0].process
        while process.code is None:
            self._check_going_on()
            time.sleep(0.02)
        self._groups.remove(group)
        if process.code:
            raise Crash(f"{part.name} failed with {process.code}; its last words:\n{process.last_words()}")

    def watch(self) -> None:
        """Keep the parts running until asked to stop; Crash where one dies again and again."""
        while self._going_on():
            for child in self._children():
                self._keep_running(child, time.monotonic())
                self._look(child, time.monotonic())
            self._wake.wait(0.1)

    def stop(self) -> None:
        """End all, the last started first; kill what takes too long. None is left."""
        deadline = time.monotonic() + self._patience.stop
        for group in reversed(self._groups):
            for child in group:
                child.process.ask_to_stop()
            asked = time.monotonic()
            for child in group:
                self._end(child, min(deadline, asked + child.part.stop_limit))
        self._groups.clear()

    def _end(self, child: _Child, deadline: float) -> None:
        while child.process.code is None and not self._in_haste and time.monotonic() < deadline:
            time.sleep(0.02)
        if not child.process.end(0):
            self._say(f"{child.part.name} did not end in time and was killed")

    def _children(self) -> list[_Child]:
        return [child for group in self._groups for child in group]

    def _keep_running(self, child: _Child, now: float) -> None:
        if child.start_at is not None:
            if now >= child.start_at:
                self._start_again(child, now)
        elif child.process.code is not None:
            self._died(child, now, f"ended ({_named(child.process.code)})", child.process.last_words(8))

    def _start_again(self, child: _Child, now: float) -> None:
        child.start_at = None
        try:
            if child.part.answers_already():
                self._leave(child)
                return
            child.process = child.part.start(self._logs)
            child.last_answer = now
        except TurnpathError as error:
            self._died(child, now, "could not be started", str(error))

    def _leave(self, child: _Child) -> None:
        """Somebody else has started that part meanwhile."""
        for group in self._groups:
            if child in group:
                group.remove(child)
        self._say(_used(child.part))

    def _died(self, child: _Child, now: float, how: str, words: str) -> None:
        patience, name = self._patience, child.part.name
        child.answers = False
        child.deaths = [t for t in child.deaths if t > now - patience.within] + [now]
        told = f"{name} {how}; the end of {self._logs / name}.log:\n{_indented(words)}"
        if child.process.code in _HOPELESS:
            raise Crash(told)
        if len(child.deaths) >= patience.deaths:
            raise Crash(f"{told}\n{name} died {len(child.deaths)} times in {patience.within:.0f} s: giving up")
        wait = min(patience.first_wait * 2 ** (len(child.deaths) - 1), patience.longest_wait)
        child.start_at = now + wait
        self._say(f"{told}\n{name} is started again in {wait:g} s")

    def _look(self, child: _Child, now: float) -> None:
        """Say where a part that runs stops answering, or answers again. Parts without an address: only the latter."""
        part = child.part
        if now < child.look_at or child.start_at is not None or (child.answers and not part.addresses):
            return
        if part.answers():
            if not child.answers:
                self._say(f"{part.name} is up again{self._where(part)}")
            child.answers, child.last_answer = True, now
        elif child.answers and now - child.last_answer > self._patience.silence:
            child.answers = False
            silence = f"{self._patience.silence:.0f} s"
            self._say(f"{part.name} runs, but has not answered for {silence}: see {child.process.log}")
        child.look_at = now + self._patience.look_every / (1 if child.answers else 10)

    def _going_on(self) -> bool:
        return self._asked_at is None

    def _check_going_on(self) -> None:
        if not self._going_on():
            raise Stopped

    @staticmethod
    def _where(part: Part) -> str:
        return f" at {' and '.join(part.addresses)}" if part.addresses else ""


def _used(part: Part) -> str:
    return f"{part.name} answers at {part.addresses[0]} already: used, not started"


def _named(code: int) -> str:
    return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def _indented(words: str) -> str:
    return "\n".join(f"    | {line}" for line in words.splitlines())
