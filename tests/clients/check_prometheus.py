"""Debian's Prometheus judges the rules, and runs every PromQL query of the dashboards: `make test-clients`.

TURNPATH_TEST_PROMETHEUS (set by scripts/clients.sh) is the folder of its two programs; empty: they are on the PATH.
"""

import json
import os
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics.serve import Server
from stack.ports import free_port
from stack.process import Process
from stream.metrics import LAG, PARTITIONS, REACHED
from tests.monitoring import PROMETHEUS, queries, recorded
from tests.waiting import until

#: What Grafana puts in for its own variables.
VARIABLES = {"$__rate_interval": "1m", "$__range": "1h", "$__interval": "15s"}


def program(name: str) -> str:
    assert "TURNPATH_TEST_PROMETHEUS" in os.environ, "run `make test-clients`"
    return str(Path(os.environ["TURNPATH_TEST_PROMETHEUS"]) / name)


def promtool(*arguments: str) -> str:
    done = subprocess.run(
        [program("promtool"), *arguments], capture_output=True, text=True, timeout=120, cwd=PROMETHEUS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_and_the_example_are_accepted() -> None:
    assert "SUCCESS" in promtool("check", "rules", "turnpath.rules.yml")
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


def test_each_alert_fires_and_does_not_as_its_tests_say() -> None:
    assert "SUCCESS" in promtool("test", "rules", "tests.yml")


def filled_in(text: str) -> str:
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    assert "$" not in text
    return text


@contextmanager
def scraping(folder: Path, targets: dict[str, str]) -> Iterator[str]:
    """A Prometheus with our rules that scrapes these jobs each second; its address."""
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PROMETHEUS / "turnpath.rules.yml")]
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [targets[job["job_name"]]]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    command = [program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    process = Process([*command, f"--web.listen-address={address}"], folder / "log", cwd=folder)
    try:
        yield address
    finally:
        process.stop(30)


def ask(address: str, expression: str) -> list[Any]:
    """The result of an instant query; [] also where nobody answers yet."""
    query = urllib.parse.urlencode({"query": expression})
    try:
        with urllib.request.urlopen(f"http://{address}/api/v1/query?{query}", timeout=30) as answer:
            found: list[Any] = json.load(answer)["data"]["result"]
            return found
    except urllib.error.HTTPError as refused:
        if refused.code == 503:  # it starts
            return []
        raise AssertionError(f"{expression}: {refused.read().decode()}") from None
    except urllib.error.URLError:
        return []


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that has scraped all metrics of ours a few times: they are those of this process, under each job."""
    server = Server(f"127.0.0.1:{free_port()}", lambda: (), part="worker", setting="TURNPATH_WORKER_HTTP")
    PARTITIONS.set(1)
    LAG.labels("chatbot.turns", "0").set(3)
    REACHED.labels("chatbot.turns", "0").set_to_current_time()
    jobs = ("turnpath-worker", "turnpath-scheduler", "turnpath-web")
    try:
        with scraping(tmp_path_factory.mktemp("prometheus"), dict.fromkeys(jobs, server.address)) as address:
            until(lambda: len(ask(address, "count_over_time(up[1m]) > 3")) == len(jobs))
            until(lambda: ask(address, "turnpath:lag_records:sum") != [])
            yield address
    finally:
        server.close()


@pytest.mark.parametrize("query", queries("prometheus"), ids=str)
def test_every_promql_query_of_the_dashboards_runs(prometheus: str, query: Any) -> None:
    ask(prometheus, filled_in(query.text))


def test_what_is_there_is_shown(prometheus: str) -> None:
    """An expression over metrics that are never absent has a result: a label that is misspelt has none."""
    shown = [query for query in queries("prometheus") if ask(prometheus, filled_in(query.text))]
    assert len(shown) > len(queries("prometheus")) / 2
    (behind,) = ask(prometheus, "turnpath:lag_records:sum")
    assert behind["value"][1] == "9"  # of three jobs
    assert recorded()
