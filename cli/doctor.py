"""`turnpath doctor`: what runs, what does not, what to do."""

import sys
from dataclasses import asdict
from typing import Literal

import click
import orjson

from journey.errors import Unreachable
from settings import load
from stack.checkup import Finding, checkup

_SIGNS = {"ok": "ok", "warning": "!", "unreachable": "DOWN"}


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="json is one array.",
)
def command(form: Literal["table", "json"]) -> None:
    """Say for each part of the stack whether it answers, what was seen of it, and what to do.

    Exit code 4 if a part is unreachable, else 0; a line with ! is worth a look.
    """
    found = []
    for finding in checkup(load()):
        found.append(finding)
        if form == "table":
            click.echo(_line(finding))
    if form == "json":
        sys.stdout.buffer.write(
            orjson.dumps([asdict(finding) for finding in found], option=orjson.OPT_INDENT_2) + b"\n"
        )
    down = [finding.part for finding in found if finding.state == "unreachable"]
    if down:
        raise Unreachable(f"{', '.join(down)} cannot be reached")


def _line(finding: Finding) -> str:
    line = f"{_SIGNS[finding.state]:5} {finding.part:11} {finding.seen}"
    return f"{line}\n{'':18}{finding.todo}" if finding.todo else line
