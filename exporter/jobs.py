"""Export jobs: what stands in the TOML file, checked whole, as frozen objects (docs/export-jobs.md)."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from exporter.destination import Destination, Mail, Url, parse
from exporter.toml_lines import Path as Place
from exporter.toml_lines import lines
from journey.errors import BadSetting
from journey.labels import Lang

AFTER_SEAL = "after the seal"
RANGES = ("yesterday", "last 7 days", "last 31 days", "last month")

#: What may stand in braces in `subject` and `file`.
FIELDS = ("job", "site", "bots", "range", "first", "last")
FILE = "turnpath_{site}_{bots}_{range}.xlsx"


def _name(value: str) -> str:
    if not value.strip() or not value.isprintable() or len(value) > 128:
        raise ValueError("write 1 to 128 characters, no line break among them")
    return value


def _bots(value: Any) -> Any:
    """`all` as None, as the exporter has it."""
    if value == "all":
        return None
    if not isinstance(value, list) or not value or not all(isinstance(bot, str) and bot for bot in value):
        raise ValueError('write "all", or a list of bots such as ["delivery", "orders"]')
    return tuple(dict.fromkeys(value))


def _when(value: str) -> str:
    if value == AFTER_SEAL:
        return value
    if len(value.split()) != 5 or re.search(r"(?<![a-z])[rh](?![a-z])", value.lower()):  # r, h: at random, by a hash
        raise ValueError(
            f'write "{AFTER_SEAL}", or a cron time of five fields such as "30 7 * * 1-5" (07:30, Mon to Fri)'
        )
    try:
        croniter(value, datetime(2026, 1, 1)).get_next(datetime)
    except CroniterBadDateError:
        raise ValueError(f"{value!r} never comes: no month has that day") from None
    except ValueError as error:
        raise ValueError(f"{value!r} is no cron time ({error}): minute, hour, day, month, day of the week") from None
    return value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except Exception:
        raise ValueError(f"{value!r} is no time zone: write a name of the tz database, such as Asia/Seoul") from None
    return value


def _template(value: str) -> str:
    if not value.isprintable():
        raise ValueError("no line break may stand in it")
    try:
        named = [(name, spec, turned) for _, name, spec, turned in Formatter().parse(value) if name is not None]
    except ValueError as error:
        raise ValueError(f"{error}: write {{{{ for a brace that is meant as one") from None
    for name, spec, turned in named:
        if name not in FIELDS or spec or turned:
            raise ValueError(f"{{{name}}} is not known: in braces may stand {', '.join(FIELDS)}")
    return value


def _file(value: str) -> str:
    if not _template(value).lower().endswith(".xlsx"):
        raise ValueError("the name must end with .xlsx")
    return value


def _to(value: Any, info: ValidationInfo) -> Any:
    return parse(value, (info.context or {}).get("folder", Path()))


class Job(BaseModel):
    """One job. `bots`: None for all; `when`: AFTER_SEAL or a cron time in `zone` (None: the stack's)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)

    name: Annotated[str, AfterValidator(_name)]
    site: Annotated[str, AfterValidator(_name)]
    bots: Annotated[tuple[str, ...] | None, BeforeValidator(_bots)] = None
    workbook: Literal["one", "each"] = "one"
    range: Literal["yesterday", "last 7 days", "last 31 days", "last month"] = "yesterday"
    language: Lang = "ko"
    when: Annotated[str, AfterValidator(_when)] = AFTER_SEAL
    zone: Annotated[str | None, AfterValidator(_zone)] = None
    to: Annotated[Destination, BeforeValidator(_to)]
    options: dict[str, Any] = Field(default_factory=dict, repr=False)
    subject: Annotated[str | None, AfterValidator(_template)] = None
    file: Annotated[str, AfterValidator(_file)] = FILE
    resend: bool = False

    @property
    def schedule(self) -> str:
        """When it runs, as one text: changed, the job begins anew from now."""
        return self.when if self.when == AFTER_SEAL else f"{self.when} {self.zone or ''}".strip()

    @property
    def destination(self) -> Destination:
        """Where it goes, the file system's options with it."""
        return replace(self.to, options=self.options) if isinstance(self.to, Url) else self.to


Problem = tuple[Place, str]


def load(path: Path) -> tuple[Job, ...]:
    """The jobs of a file, in its order. BadSetting names every error in it by its line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        document = tomllib.loads(text)
    except OSError as error:
        raise BadSetting(f"{path} cannot be read ({error.strerror}): TURNPATH_EXPORT_JOBS names it") from None
    except UnicodeDecodeError as error:
        raise BadSetting(f"{path} is not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(f"{path} is no TOML: {error}") from None
    jobs, problems = _checked(document, path.absolute().parent)
    if problems:
        raise BadSetting(_said(path, problems, lines(text)))
    return jobs


def _checked(document: Mapping[str, Any], folder: Path) -> tuple[tuple[Job, ...], list[Problem]]:
    problems: list[Problem] = [((key,), _unknown(key, ["job"])) for key in document if key != "job"]
    tables = document.get("job", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        return (), [*problems, (("job",), "each job begins with a line [[job]], in two brackets")]
    jobs: dict[int, Job] = {}
    for number, table in enumerate(tables):
        try:
            jobs[number] = Job.model_validate(table, context={"folder": folder})
        except ValidationError as error:
            problems += [(("job", number, *e["loc"][:1]), _sentence(e)) for e in error.errors()]
    problems += [(("job", *place), said) for place, said in _crossed(jobs)]
    return tuple(jobs.values()), problems


def _sentence(error: Any) -> str:
    key = ".".join(map(str, error["loc"][:1]))
    match error["type"]:
        case "missing":
            return f"{key} is missing"
        case "extra_forbidden":
            return _unknown(key, list(Job.model_fields))
        case "literal_error":
            return f"{key} is {error['input']!r}: write {error['ctx']['expected']}"
    said = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "it should be")
    return f"{key}: {said}"


def _unknown(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, 1, 0.5)
    return f"{key} is not known: " + (f"is {near[0]} meant?" if near else f"there are {', '.join(known)}")


def _crossed(jobs: Mapping[int, Job]) -> Iterator[tuple[Place, str]]:
    """What no key alone is wrong by."""
    names: dict[str, int] = {}
    for number, job in jobs.items():
        if names.setdefault(job.name, number) != number:
            yield (number, "name"), f"there are two jobs called {job.name!r}: history knows a job by its name"
        if job.subject is not None and not isinstance(job.to, Mail):
            yield (number, "subject"), "subject is of mails only, and `to` names no mail address"
        if job.options and not isinstance(job.to, Url):
            yield (number, "options"), "options are a file system's, and `to` is no URL"
        if job.zone and job.when == AFTER_SEAL:
            yield (number, "zone"), f'zone is that of a cron time, and `when` is "{AFTER_SEAL}"'
        if job.resend and job.when != AFTER_SEAL:
            yield (number, "resend"), f'resend is of jobs with when = "{AFTER_SEAL}"'
        if job.workbook == "each" and "{bots}" not in job.file:
            yield (number, "file"), "with a workbook for each bot, {bots} must stand in file"
    yield from _same_files(jobs)


def _same_files(jobs: Mapping[int, Job]) -> Iterator[tuple[Place, str]]:
    """Two jobs that would replace each other's files, day after day."""
    items = list(jobs.items())
    for place, (number, job) in enumerate(items):
        for _, other in items[:place]:
            same = (job.to, job.file, job.range) == (other.to, other.file, other.range)
            apart = (job.site != other.site and "{site}" in job.file) or (
                job.name != other.name and "{job}" in job.file
            )
            if same and not isinstance(job.to, Mail) and not apart and _share_bots(job, other):
                yield (number, "to"), f"it would write the same files as {other.name!r}: give one of them a `file`"


def _share_bots(job: Job, other: Job) -> bool:
    if "{bots}" not in job.file:
        return True
    if job.workbook == other.workbook == "one":
        return job.bots == other.bots
    return job.bots is None or other.bots is None or bool(set(job.bots) & set(other.bots))


def _said(path: Path, problems: list[Problem], places: Mapping[Place, int]) -> str:
    found = sorted((_line(place, places), said) for place, said in problems)
    count = "an error" if len(found) == 1 else f"{len(found)} errors"
    return "\n".join([f"{path} has {count}:", *(f"{path}:{line}: {said}" for line, said in found)])


def _line(place: Place, places: Mapping[Place, int]) -> int:
    """The line of the key, or of the table that it is missing in."""
    while place not in places:
        place = place[:-1]
    return places[place]
