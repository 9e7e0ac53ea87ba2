"""`turnpath check`: are these events valid?"""

import sys
import time
from collections.abc import Iterator

import click

from cli.output import Form, say, show
from cli.progress import Progress
from feed.check import Check, Checked, Finding
from feed.lines import blocks
from journey.errors import NoData
from sql.client import Table

#: There are invalid events: an answer, not a failure.
INVALID = 1

_COLUMNS, _TYPES = ["line", "reason", "detail"], ["UInt64", "String", "String"]


@click.command()
@click.argument("file")
@click.option("--history", is_flag=True, help="Judge as for `replay --history`: each event arrives at its own time.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "table", "csv", "json"]),
    default="text",
    show_default=True,
    help="text is `line N: reason: detail`, as they are found.",
)
def command(file: str, history: bool, form: str) -> None:
    """Say which lines of FILE are no valid events, and why; `-` is standard input, and gzip is fine.

    The reasons are those of the dead letters: docs/events.md has an example of each. A conflict is a second event of
    a room with the same seq and another content; copies are fine. Exit code 0: all valid; 1: some are not.
    """
    progress, check = Progress("lines checked"), Check(None if history else round(time.time() * 1000))
    found = _findings(file, check, progress)
    if form == "text":
        for finding in found:
            click.echo(f"line {finding.line}: {finding.reason}: {finding.detail}")
    else:
        show(Table(_COLUMNS, _TYPES, [(f.line, f.reason, f.detail) for f in found]), _form(form), "en")
    checked = check.end()
    progress.end()
    if not checked.lines:
        raise NoData(f"{file} has no events")
    for sentence in summary(checked):
        say(sentence)
    sys.exit(INVALID if checked.invalid or checked.conflicts else 0)


def _form(form: str) -> Form:
    return "csv" if form == "csv" else "json" if form == "json" else "table"


def _findings(file: str, check: Check, progress: Progress) -> Iterator[Finding]:
    for block in blocks(file):
        yield from check.findings(block)
        progress(check.checked.lines)


def summary(checked: Checked) -> list[str]:
    """What was found in all, in sentences."""
    out = [f"{checked.lines:,} events: {checked.invalid:,} invalid, {checked.conflicts:,} in conflict with another"]
    if checked.duplicates:
        out.append(f"{checked.duplicates:,} are copies of others, which do no harm")
    if checked.rooms_with_gaps:
        out.append(f"{checked.rooms_with_gaps:,} rooms lack events, which may be in another file: " + _told(checked))
    if checked.let_go:
        out.append("the file is large: copies, conflicts and gaps were looked for among neighbouring rooms only")
    return out


def _told(checked: Checked) -> str:
    more = checked.rooms_with_gaps - len(checked.gaps)
    return "; ".join(checked.gaps) + (f"; and {more:,} more rooms" if more else "")
