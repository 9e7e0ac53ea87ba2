"""How far long work has come, on standard error: a line that rewrites itself, or a line now and then in a log."""

import sys
import time

import click

_TERMINAL_S, _FILE_S = 0.5, 10.0


class Progress:
    """`progress(done)` says how much is done; it may be called as often as one likes. The first second is silent."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._terminal = sys.stderr.isatty()
        self.begun = time.monotonic()
        self._next = self.begun + (1.0 if self._terminal else _FILE_S)
        self._wrote = False

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (_TERMINAL_S if self._terminal else _FILE_S)
        line = f"{done:,} {self._what}, {done / (now - self.begun):,.0f} a second"
        click.echo(f"\r{line}  " if self._terminal else f"turnpath: {line}", err=True, nl=not self._terminal)
        self._wrote = self._terminal

    def end(self) -> float:
        """Leave the line for what comes after it; the seconds since the beginning."""
        if self._wrote:
            click.echo("", err=True)
        return time.monotonic() - self.begun
