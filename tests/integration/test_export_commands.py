"""`turnpath exports`, and the scheduler with export jobs, as processes."""

import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import orjson
import pytest

from settings import Settings
from sql.client import Client
from stack.parts import environment, scheduler_part
from stack.parts import turnpath as command_line
from tests.conftest import running, somewhere
from tests.integration.made_rooms import SITE
from tests.integration.shop import seal, yesterday
from tests.waiting import until

JOB = f'[[job]]\nname = "아침"\nsite = "{SITE}"\nto = "reports"\n'
FILE = f"turnpath_{SITE}_전체_{yesterday()}.xlsx"


@pytest.fixture
def stack(migrated_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """A sealed yesterday, a job that is due since then, and no broker: nothing can be sealed."""
    jobs = tmp_path / "exports.toml"
    jobs.write_text(JOB)
    (tmp_path / "reports").mkdir()
    with Client(migrated_url) as client:
        seal(client, [yesterday()], 5)
        long_ago: dict[str, list[object]] = {
            "job": ["아침"],
            "number": [1],
            "schedule": ["after the seal"],
            "since": [0],
        }
        client.insert("export_jobs", long_ago)
    return somewhere(tmp_path, clickhouse=migrated_url, redis=redis_url, export_jobs=str(jobs))


def turnpath(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, **environment(settings)}
    return subprocess.run(command_line(*arguments), capture_output=True, text=True, env=env)


def health(settings: Settings) -> list[str]:
    try:
        with urllib.request.urlopen(f"http://{settings.scheduler_http}/health") as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    except OSError:
        return ["not up"]
    reasons: list[str] = orjson.loads(body)["reasons"]
    return reasons


def shown(settings: Settings) -> bytes:
    with urllib.request.urlopen(f"http://{settings.scheduler_http}/metrics") as answer:
        page: bytes = answer.read()
    return page


def test_the_scheduler_exports_though_it_cannot_seal(stack: Settings, tmp_path: Path) -> None:
    with running(scheduler_part(stack), tmp_path / "logs"):
        until(lambda: (tmp_path / "reports" / FILE).exists())
        until(lambda: any("seal: " in reason for reason in health(stack)))
        page = shown(stack).decode()
        until(lambda: "아침" in turnpath(stack, "exports", "--format", "csv").stdout)
        assert "turnpath_export_jobs 1.0" in page
        assert 'turnpath_health_reasons{part="scheduler"} 1.0' in page
        assert 'turnpath_scheduler_turns_total{loop="seal",outcome="failed"} ' in page
        until(lambda: b"turnpath_seal_revision 1.0" in shown(stack))  # of yesterday, which the test has sealed
    listed = orjson.loads(turnpath(stack, "exports", "--format", "json").stdout)
    assert [(row["job"], row["slot"], row["files"]) for row in listed] == [("아침", str(yesterday()), [FILE])]


def test_one_now_and_what_cannot_be(stack: Settings, tmp_path: Path) -> None:
    made = turnpath(stack, "exports", "--run", "아침", "--day", str(yesterday()))
    assert (made.returncode, made.stdout) == (0, "")
    assert FILE in made.stderr
    assert os.listdir(tmp_path / "reports") == [FILE]
    (tmp_path / "reports" / FILE).unlink()
    (tmp_path / "reports").rmdir()
    for arguments, code, words in (
        (["--run", "아침"], 8, "mkdir -p"),
        (["--run", "저녁"], 2, "there are: 아침"),
    ):
        run = turnpath(stack, "exports", *arguments)
        assert (run.returncode, run.stdout) == (code, "")
        assert words in run.stderr
    failed = turnpath(stack, "exports", "--failed", "--lang", "en").stdout
    assert len(failed.splitlines()) == 3  # the header, a line, and the one that failed
    assert "is not there: make it" in failed


def test_check(tmp_path: Path) -> None:
    path = tmp_path / "exports.toml"
    path.write_text(JOB + 'range = "last week"\nwhem = "x"\n')
    run = turnpath(Settings(), "exports", "--check", str(path))
    assert run.returncode == 3
    assert f"{path}:5: range is 'last week'" in run.stderr
    assert f"{path}:6: whem is not known: is when meant?" in run.stderr
