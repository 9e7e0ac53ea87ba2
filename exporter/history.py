"""What became of each export, in ClickHouse: table `exports`, a row for each attempt of each run."""

import os
import secrets
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from exporter.due import NOTHING, STATES, Past, Run
from exporter.jobs import Job
from sql.client import Client, Table, Value

#: This process, in the column `by`.
ME = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

_LATEST = (
    "SELECT job, slot, attempt, by, state, toUnixTimestamp64Milli(at), revision, sent_to, unsure FROM exports FINAL "
    "WHERE at >= fromUnixTimestamp64Milli({from:Int64}) "
    "AND ({job:String} = '' OR (job = {job:String} AND slot = {slot:String})) ORDER BY attempt, at"
)
_RIVALS = (
    "SELECT count() FROM exports FINAL WHERE job = {job:String} AND slot = {slot:String} AND by <> {me:String} "
    "AND state = 'sending' AND at > fromUnixTimestamp64Milli({since:Int64})"
)
_GIVEN_UP = (
    "SELECT job, slot, attempt, by, said FROM exports FINAL WHERE state = 'gave_up' AND NOT noticed "
    "AND at >= fromUnixTimestamp64Milli({from:Int64}) ORDER BY at"
)
_LIST = (
    "SELECT job, slot, state, attempt, at, first, last, revision, files, destination, rows, bytes, "
    "round(seconds, 1) AS seconds, said FROM exports FINAL "
    "WHERE ({job:String} = '' OR job = {job:String}) AND (NOT {failed:UInt8} OR state IN ('failed', 'gave_up')) "
    "AND at >= fromUnixTimestamp64Milli({from:Int64}) ORDER BY at, job, attempt"
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of `exports`; `at` in ms, `bytes` of all files, `seconds` since the attempt began."""

    job: str
    slot: str
    attempt: int
    by: str
    state: str
    at: int
    first: date
    last: date
    revision: int
    destination: str
    files: tuple[str, ...] = ()
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    sent_to: tuple[str, ...] = ()
    unsure: bool = False
    said: str = ""


def begun(run: Run, attempt: int, at: int) -> Attempt:
    """The first row of an attempt."""
    return Attempt(
        job=run.job.name,
        slot=run.slot,
        attempt=attempt,
        by=ME,
        state="started",
        at=at,
        first=run.first,
        last=run.last,
        revision=run.revision,
        destination=str(run.job.to),
    )


def note(client: Client, attempt: Attempt) -> None:
    """Write the attempt in its present state; it stands when this returns."""
    row = {field.name: [getattr(attempt, field.name)] for field in fields(attempt)}
    client.insert("exports", {**row, "version": [STATES.index(attempt.state) + 1]})


def pasts(client: Client, since: int, job: str = "", slot: str = "") -> dict[tuple[str, str], Past]:
    """What is known of each run that was tried since then (ms)."""
    known: dict[tuple[str, str], Past] = {}
    for name, at, *row in client.rows(_LATEST, {"from": since, "job": job, "slot": slot}):
        known[name, at] = _after(known.get((name, at), NOTHING), *row)
    return known


def past(client: Client, job: str, slot: str) -> Past:
    """What is known of one run."""
    return pasts(client, 0, job, slot).get((job, slot), NOTHING)


def _after(
    before: Past, attempt: int, by: str, state: str, at: int, revision: int, sent_to: list[str], unsure: bool
) -> Past:
    revision = max(revision, before.revision)
    if state == "done":  # nothing is open: who asks for it again gets a message of its own
        return Past(state, attempt, at, by, revision, times=before.times + 1)
    everyone = tuple(dict.fromkeys([*before.sent_to, *sent_to]))
    return Past(state, attempt, at, by, revision, everyone, bool(unsure) or before.may_have_arrived, before.times)


def rivals(client: Client, attempt: Attempt, since: int) -> bool:
    """Does another process send the same just now?"""
    asked: dict[str, Value] = {"job": attempt.job, "slot": attempt.slot, "me": attempt.by, "since": since}
    return bool(client.rows(_RIVALS, asked)[0][0])


def given_up(client: Client, since: int) -> Sequence[tuple[Any, ...]]:
    """Runs given up since then that nobody was told of: job, slot, attempt, by, said."""
    return client.rows(_GIVEN_UP, {"from": since})


def noticed(client: Client, row: tuple[Any, ...]) -> None:
    """Note that people were told of a run of `given_up`."""
    client.run(
        "INSERT INTO exports SELECT * REPLACE (version + 1 AS version, true AS noticed) FROM exports FINAL "
        "WHERE job = {job:String} AND slot = {slot:String} AND attempt = {attempt:UInt32} AND by = {by:String}",
        dict(zip(("job", "slot", "attempt", "by"), row[:4], strict=True)),
    )


def listed(client: Client, job: str, failed: bool, since: int) -> Table:
    """The attempts since then (ms), the oldest first; of one job, or '' for all; all, or those that failed."""
    return client.table(_LIST, {"job": job, "failed": failed, "from": since})


def known_since(client: Client, jobs: Iterable[Job], now: int) -> Mapping[str, int]:
    """Since when (ms) each job stands in the file with its present schedule; one that is new stands there from now.

    A job that is in the file no more is forgotten: put back, it begins anew.
    """
    found = client.rows(
        "SELECT job, max(number), argMax(schedule, number), argMax(toUnixTimestamp64Milli(since), number) "
        "FROM export_jobs GROUP BY job"
    )
    known = {job: (number, schedule, since) for job, number, schedule, since in found}
    wanted = {job.name: job.schedule for job in jobs}
    changed = {
        name: wanted.get(name, "")
        for name in {**known, **wanted}
        if known.get(name, (0, "", 0))[1] != wanted.get(name, "")
    }
    rows = [(name, known.get(name, (0,))[0] + 1, schedule, now) for name, schedule in changed.items()]
    if rows:
        columns = zip(*rows, strict=True)
        client.insert("export_jobs", dict(zip(("job", "number", "schedule", "since"), columns, strict=True)))
    return {name: now if name in changed else known[name][2] for name in wanted}


def sealed(client: Client, first: date) -> dict[date, int]:
    """The sealed days from `first` on, and their revisions."""
    rows = client.rows(
        "SELECT day, max(revision) FROM daily WHERE kind = 'seal' AND day >= {first:Date} GROUP BY day ORDER BY day",
        {"first": first},
    )
    return dict(rows)
