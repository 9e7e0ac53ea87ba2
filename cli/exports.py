"""`turnpath exports`: the export jobs: what became of them, one now, is their file right?"""

from datetime import date
from pathlib import Path

import click

from cli import output, wiring
from cli.asked import Day
from exporter import history, jobs
from exporter.run import Exporter
from journey.errors import BadSetting, BadUsage, OutputFailed
from journey.labels import Lang
from scheduler.clock import SystemClock
from scheduler.exports import locks
from settings import Settings, load

_DAY_MS = 86_400_000


@click.command()
@click.option("--job", default="", help="Only the exports of this job.")
@click.option("--failed", is_flag=True, help="Only attempts that failed or were given up.")
@click.option("--days", type=click.IntRange(1, 36500), default=31, show_default=True, help="How far back to list.")
@click.option("--run", "name", help="Make this job's export now, also if it was made before.")
@click.option("--day", type=Day(), help="With --run: the last day of its range [default: the last that is sealed].")
@click.option("--check", "path", type=click.Path(path_type=Path), help="Say what is wrong in this file of jobs.")
@output.output_options
def command(
    job: str,
    failed: bool,
    days: int,
    name: str | None,
    day: date | None,
    path: Path | None,
    form: output.Form,
    lang: Lang,
) -> None:
    """List the exports of the last days, a row for each attempt; or make one now, or check a file of jobs.

    The jobs stand in the file that TURNPATH_EXPORT_JOBS names; the scheduler makes them. docs/export-jobs.md says how
    they are written.

    \b
    turnpath exports --failed
    turnpath exports --check exports.toml
    turnpath exports --run morning --day 2026-11-22
    """
    if path is not None:
        _check(path)
    elif name is not None:
        _run(load(), name, day)
    elif day is not None:
        raise BadUsage("--day goes with --run: it names the day to make")
    else:
        _list(load(), job, failed, days, form, lang)


def _check(path: Path) -> None:
    found = jobs.load(path)
    output.say(f"{path} is right: {len(found)} job{'' if len(found) == 1 else 's'}")
    for job in found:
        bots = "all bots" if job.bots is None else ", ".join(job.bots)
        output.say(f"{job.name}: {job.site}, {bots}, {job.range}; {job.schedule}; to {job.to}")


def _run(settings: Settings, name: str, day: date | None) -> None:
    wiring.log_as_json()
    if settings.export_jobs is None:
        raise BadSetting("no file of jobs is set: TURNPATH_EXPORT_JOBS names it")
    known = {job.name: job for job in jobs.load(settings.export_jobs)}
    if name not in known:
        raise BadUsage(f"there is no job {name!r} in {settings.export_jobs}; there are: {', '.join(known) or 'none'}")
    now = SystemClock().now
    made = Exporter(settings, now, locks(settings, now), lambda _: False).by_hand(known[name], day)
    if made.state != "done":
        raise OutputFailed(f"{name}, {made.slot}: {made.said}")
    files = ", ".join(made.files) or made.said
    output.say(f"{name}, {made.slot}: {files}; {made.rows:,} rows to {made.destination}")


def _list(settings: Settings, job: str, failed: bool, days: int, form: output.Form, lang: Lang) -> None:
    with wiring.client(settings) as client:
        table = history.listed(client, job, failed, SystemClock().now() - days * _DAY_MS)
    if not table.rows:
        output.say(f"no export{' of ' + job if job else ''}{' failed' if failed else ''} in the last {days} days")
    output.show(table, form, lang)
