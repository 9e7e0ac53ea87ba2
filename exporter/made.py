"""The workbooks of a run, and what a mail says of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from exporter.asked import Asked, Exported
from exporter.cover import OUT_OF_USE
from exporter.days import days, out_of_use, said, said_of_bots
from exporter.due import Run
from exporter.file_names import safe, safe_file
from exporter.jobs import Job
from exporter.report import export
from journey import labels
from journey.errors import NoData
from journey.labels import Label
from sql import read
from sql.client import Client, Value

_ALL = Label("전체", "all")
_SUBJECT = Label("[Turnpath] {site} {bots} {range} 챗봇 여정", "[Turnpath] {site} {bots} {range} chatbot journeys")
_BOTS_THERE = (
    "SELECT DISTINCT bot_id FROM daily WHERE kind = 'node' AND site_id = {site:String} "
    "AND day BETWEEN {first:Date} AND {last:Date} ORDER BY bot_id"
)


@dataclass(frozen=True, slots=True)
class Made:
    """The files of a run, their rows and bytes, the revision of the run's last day, and words about them.

    No file: no room of these bots ended in the range.
    """

    files: tuple[Path, ...]
    rows: int
    size: int
    revision: int
    words: tuple[str, ...]


def make(client: Client, run: Run, folder: Path, zone: ZoneInfo) -> Made:
    """Write the run's workbooks into `folder`; days in `zone`, the stack's.

    Raises NoData where there is no such site, or none of the bots; and what exporter.report.export raises.
    """
    known = _known(client, run.job)
    written = [one for bots in _books(client, run, known) if (one := _book(client, run, bots, folder, zone))]
    # also where there is no workbook that says so, all of its bots being out of use
    left_out = out_of_use(days(client, run.first, run.last), run.job.site, run.job.bots or sorted(known))
    revision = max([run.revision, *(one.revisions.get(run.last, 0) for one in written)])
    return Made(
        files=tuple(one.path for one in written),
        rows=sum(one.rows for one in written),
        size=sum(one.size for one in written),
        revision=revision,
        words=tuple(_words(run, written, revision, left_out)),
    )


def subject(run: Run, revision: int) -> str:
    """The subject of the run's mail; of a day that was sealed again, with the revision."""
    lang = run.job.language
    text = (run.job.subject or _SUBJECT.of(lang)).format(**_named(run, run.job.bots))
    return f"{text} ({labels.COLUMNS['revision'].of(lang)} {revision})" if revision > 1 else text


def file_name(run: Run, bots: Sequence[str] | None) -> str:
    """The name of the workbook of these bots (None: all of the site's)."""
    fields = {name: safe(value) for name, value in _named(run, bots).items()}
    return safe_file(run.job.file.format(**fields))


def _named(run: Run, bots: Sequence[str] | None) -> dict[str, str]:
    first, last = run.first.isoformat(), run.last.isoformat()
    return {
        "job": run.job.name,
        "site": run.job.site,
        "bots": _ALL.of(run.job.language) if bots is None else "+".join(bots),
        "range": last if first == last else f"{first}_{last}",
        "first": first,
        "last": last,
    }


def _known(client: Client, job: Job) -> set[str]:
    """The site's bots; NoData, with the nearest, where there is none, or none of those that are meant."""
    known = {row["bot_id"] for row in read.bots_list(client).dicts() if row["site_id"] == job.site}
    if not known or (job.bots is not None and not known & set(job.bots)):
        raise NoData(read.nearest(client, job.site, (job.bots or ("",))[0]))
    return known


def _books(client: Client, run: Run, known: set[str]) -> list[tuple[str, ...] | None]:
    """The bots of each workbook."""
    job = run.job
    bots = None if job.bots is None else tuple(bot for bot in job.bots if bot in known)
    if job.workbook == "one":
        return [bots]
    if bots is not None:
        return [(bot,) for bot in bots]
    asked: dict[str, Value] = {"site": job.site, "first": run.first, "last": run.last}
    return [(bot,) for (bot,) in client.rows(_BOTS_THERE, asked)]


def _book(client: Client, run: Run, bots: tuple[str, ...] | None, folder: Path, zone: ZoneInfo) -> Exported | None:
    asked = Asked(run.job.site, bots, run.first, run.last, zone, run.job.language)
    try:
        return export(client, asked, folder / file_name(run, bots))
    except NoData:
        return None


def _words(
    run: Run, written: Sequence[Exported], revision: int, left_out: Mapping[str, Sequence[date]]
) -> Iterator[str]:
    lang, named = run.job.language, _named(run, run.job.bots)
    yield (
        Label("{site}, 챗봇 {bots}: {first} ~ {last}", "{site}, bots {bots}: {first} to {last}")
        .of(lang)
        .format(**named)
    )
    yield labels.BY_ROOM_END.of(lang)
    if not written:
        yield Label(
            "이 기간에 종료된 상담방이 없어 첨부 파일이 없습니다.",
            "No room ended in this range, so there is no workbook.",
        ).of(lang)
    if revision > 1:
        yield f"{labels.COLUMNS['revision'].of(lang)}: {revision}"
    missing = sorted({day for one in written for day in one.days_missing})
    if missing:
        yield f"{Label('마감되지 않은 날', 'Days not sealed').of(lang)}: {said(missing)}"
    if left_out:
        yield f"{OUT_OF_USE.of(lang)}: {', '.join(said_of_bots(left_out))}"
    absent = sorted(set(run.job.bots or ()) - {bot for one in written for bot in one.bots})
    if absent:
        yield f"{Label('이 기간에 값이 없는 챗봇', 'Bots without rows in this range').of(lang)}: {', '.join(absent)}"
