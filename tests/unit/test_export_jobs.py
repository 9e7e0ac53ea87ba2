"""The file of export jobs: what is right in it, and every error by its line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from exporter.destination import Folder, Mail, Url
from exporter.file_names import safe, safe_file
from exporter.jobs import Job, load
from exporter.toml_lines import lines
from journey.errors import BadSetting

WHOLE = """\
# the shop's mornings
[[job]]
name = "아침"
site = "shop"
bots = [
  "delivery",   # two of them
  "orders",
]
workbook = "each"
to = "reports"

[[job]]
name = "weekly"
site = "shop"
range = "last 7 days"
language = "en"
when = "30 7 * * 1"
zone = "Europe/Berlin"
to = ["kim@example.com", "lee@example.com"]
subject = "{site} {first} to {last}"

[[job]]
name = "lake"
site = "shop"
bots = "all"
range = "last month"
resend = true
to = "memory://reports/turnpath"
options = { a = 1 }
"""


def path_of(text: str, tmp_path: Path) -> Path:
    path = tmp_path / "exports.toml"
    path.write_text(text)
    return path


def errors(text: str, tmp_path: Path) -> list[str]:
    """What is said of a file, without its name."""
    path = path_of(text, tmp_path)
    with pytest.raises(BadSetting) as caught:
        load(path)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()[1:]]


def job(*given: str) -> str:
    """A job that is right but for what is given; its first line is line 1."""
    named = {line.split(" = ")[0] for line in given}
    rest = {"name": '"a"', "site": '"shop"', "to": '"/reports"'}
    return "\n".join(["[[job]]", *given, *(f"{key} = {value}" for key, value in rest.items() if key not in named)])


def test_a_file_that_is_right(tmp_path: Path) -> None:
    morning, weekly, lake = load(path_of(WHOLE, tmp_path))
    assert (morning.bots, morning.workbook, morning.when) == (("delivery", "orders"), "each", "after the seal")
    assert morning.destination == Folder(tmp_path / "reports")
    assert weekly.destination == Mail(("kim@example.com", "lee@example.com"))
    assert (weekly.bots, weekly.schedule) == (None, "30 7 * * 1 Europe/Berlin")
    assert lake.destination == Url("memory://reports/turnpath", {"a": 1})


@pytest.mark.parametrize(
    "text, said",
    [
        (job('langauge = "en"'), "2: langauge is not known: is language meant?"),
        (job("colour = 1"), "2: colour is not known: there are name, site"),
        ("jobs = 1\n" + job(), "1: jobs is not known: is job meant?"),
        ('[[job]]\nname = "a"\nto = "x"', "1: site is missing"),
        (job('bots = "some"'), '2: bots: write "all", or a list'),
        (job("bots = []"), '2: bots: write "all", or a list'),
        (job('range = "last week"'), "2: range is 'last week': write 'yesterday', 'last 7 days'"),
        (job('language = "kr"'), "2: language is 'kr': write 'ko' or 'en'"),
        (job('when = "at seven"'), '2: when: write "after the seal", or a cron time of five fields'),
        (job('when = "61 7 * * *"'), "2: when: '61 7 * * *' is no cron time"),
        (job('when = "0 8 30 2 *"'), "2: when: '0 8 30 2 *' never comes"),
        (job('when = "R R * * *"'), '2: when: write "after the seal", or a cron time'),
        (job('when = "0 8 * * *"', 'zone = "Mars"'), "3: zone: 'Mars' is no time zone"),
        (job('zone = "Asia/Seoul"'), "2: zone is that of a cron time"),
        (job('to = "nfs://x/y"'), "2: to: no file system is called 'nfs'"),
        (job('to = ["kim"]'), "2: to: 'kim' is no mail address"),
        (job('to = ["kim@example.com\\nBcc: x@y.z"]'), "is no mail address"),
        (job("to = []"), "2: to: write a folder, a URL"),
        (job("resend = 1"), "2: resend: it should be a valid boolean"),
        (job('resend = true\nwhen = "0 8 * * *"'), "2: resend is of jobs"),
        (job('subject = "x"'), "2: subject is of mails only"),
        (job('to = ["a@b.c"]', 'subject = "{sit}"'), "3: subject: {sit} is not known: in braces may stand job, site"),
        (job('to = ["a@b.c"]', 'subject = "{site.name}"'), "3: subject: {site.name} is not known"),
        (job('to = ["a@b.c"]', 'subject = "a\\nBcc: x"'), "3: subject: no line break"),
        (job("options = { a = 1 }"), "2: options are a file system's"),
        (job('file = "a.xls"'), "2: file: the name must end with .xlsx"),
        (job('file = "a.xlsx"', 'workbook = "each"'), "2: with a workbook for each bot, {bots} must stand in file"),
        (job('name = ""'), "2: name: write 1 to 128 characters"),
        (job() + "\n" + job('to = "/other"'), "7: there are two jobs called 'a'"),
        (job() + "\n" + job('name = "b"'), "8: it would write the same files as 'a'"),
        (job() + "\n[job.options]\nx = 1\n", "5: options are a file system's"),
        ("job = 1", "1: each job begins with a line [[job]]"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    (error,) = errors(text, tmp_path)
    assert said in error


def test_every_error_of_a_file_is_said(tmp_path: Path) -> None:
    text = WHOLE.replace('workbook = "each"', 'workbok = "each"').replace('"Europe/Berlin"', '"Berlin"')
    text = text.replace('language = "en"', "language = 3").replace("resend = true", "resend = 2")
    assert [error.partition(":")[0] for error in errors(text, tmp_path)] == ["9", "16", "18", "27"]


def test_two_jobs_may_write_to_one_folder_where_their_files_differ(tmp_path: Path) -> None:
    for other in ('bots = ["x"]', 'range = "last 7 days"', 'site = "other"', 'file = "b_{range}.xlsx"'):
        assert len(load(path_of(job() + "\n" + job('name = "b"', other), tmp_path))) == 2


@pytest.mark.parametrize(
    "raw, said",
    [(b"[[job]\n", "line 1"), (b'a = 1\nb = "\xff"', "not UTF-8"), (b"a = 1\na = 2\n", "line 2")],
)
def test_no_toml_at_all(raw: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(raw)
    with pytest.raises(BadSetting, match=said):
        load(path)
    with pytest.raises(BadSetting, match="TURNPATH_EXPORT_JOBS"):
        load(tmp_path / "nowhere.toml")


def test_a_password_in_a_url_is_not_shown(tmp_path: Path) -> None:
    (made,) = load(path_of(job('to = "ftp://me:secret@host/a?token=secret"'), tmp_path))
    assert str(made.to) == "ftp://host/a"


def test_lines_of_what_takes_more_than_one() -> None:
    text = 'a = """\n[[job]]\nb = 1\n"""\r\n# c = 1\nx.y = [ # [\n 1,\n]\n[t . "u v"]\n'
    text += "k = 1 # z = 2\n[[r]]\n[[r.s]]\nk = 1\n"
    found = lines(text)
    paths = [("a",), ("x", "y"), ("t", "u v"), ("t", "u v", "k"), ("r", 0), ("r", 0, "s", 0), ("r", 0, "s", 0, "k")]
    assert [found[path] for path in paths] == [1, 6, 9, 10, 11, 12, 13]
    assert ("b",) not in found


_NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=128)


@hypothesis_settings(deadline=None)
@given(_NAMES)
def test_a_name_of_any_characters_is_a_file_name_everywhere(name: str) -> None:
    made = safe_file(f"turnpath_{safe(name)}_{safe(name)}_2026-11-22.xlsx")
    assert len(made.encode()) < 255
    assert not set(made) & set('<>:"/\\|?*\n\r\t\0 ')
    assert made.isprintable()
    assert Path("folder", made).name == made
    assert made.startswith("turnpath_")


@hypothesis_settings(deadline=None)
@given(_NAMES, _NAMES)
def test_two_names_never_become_one(one: str, other: str) -> None:
    assert (safe(one) == safe(other)) == (one == other)


def test_names_that_need_no_change_have_none() -> None:
    assert (
        safe_file(f"turnpath_{safe('고객사')}_{safe('챗봇')}_2026-11-22.xlsx") == "turnpath_고객사_챗봇_2026-11-22.xlsx"
    )
    assert safe("a/b") != safe("a?b")
    assert safe("../../etc") == "etc~" + safe("../../etc")[-6:]
    assert safe("nul").startswith("nul~")


def test_a_job_is_frozen() -> None:
    made = Job.model_validate({"name": "a", "site": "shop", "to": "x"})
    with pytest.raises(ValueError, match="frozen"):
        made.name = "b"  # type: ignore[misc]
