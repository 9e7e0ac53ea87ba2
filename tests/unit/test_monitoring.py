"""docs/monitoring.md, the rules and the dashboards name the metrics that there are; Grafana finds what it expects."""

import re
from collections import defaultdict
from typing import Any

import pytest
import yaml

from tests.monitoring import (
    GRAFANA,
    NAME,
    PROMETHEUS,
    ROOT,
    dashboards,
    described,
    panels,
    queries,
    recorded,
    rules,
    samples,
)

DOCS = (ROOT / "docs" / "monitoring.md").read_text()
PLUGIN = "grafana-clickhouse-datasource"
#: Panels that Grafana 10 and later come with.
TYPES = {"row", "stat", "timeseries", "table", "bargauge"}


def in_docs() -> dict[str, list[str]]:
    """metric -> its labels, of the tables of docs/monitoring.md that begin with `metric`."""
    found, prefix = {}, None
    for line in DOCS.splitlines():
        if head := re.match(r"\| metric \(`(turnpath_\w*)…`\)", line):
            prefix = head[1]
        elif not line.startswith("|"):
            prefix = None
        elif prefix is not None:
            for name, labels in re.findall(r"`(\w+)(?:\{([\w,]+)\})?`", line.split("|")[1]):
                found[prefix + name] = sorted(labels.split(",")) if labels else []
    return found


def labels_of() -> dict[str, list[str]]:
    """A metric's name as it is shown -> its labels."""
    found = {}
    for path in sorted(ROOT.glob("*/*.py")):
        for kind, name, rest in re.findall(
            r"\b(Counter|Gauge|Histogram)\(\s*\"(turnpath_\w+)\",(.*?)\n?\)\n", path.read_text(), re.DOTALL
        ):
            labels = re.search(r"\[([^\]]*)\]", rest)
            shown = name if kind != "Counter" or name.endswith("_total") else f"{name}_total"
            found[shown] = sorted(re.findall(r'"(\w+)"', labels[1])) if labels else []
    return found


def test_the_docs_name_the_metrics_that_there_are_with_their_labels() -> None:
    there = labels_of()
    assert in_docs() == there


def test_every_metric_is_registered_where_the_tests_look() -> None:
    shown = {name + ("_total" if f"{name}_total" in endings else "") for name, endings in described().items()}
    assert shown == set(labels_of())


def test_the_rules_name_metrics_that_there_are() -> None:
    known = samples() | recorded()
    for rule in rules():
        assert set(NAME.findall(rule["expr"])) <= known, rule


def test_each_alert_is_tried_both_ways_and_stands_in_the_docs() -> None:
    tried = defaultdict(set)
    for test in yaml.safe_load((PROMETHEUS / "tests.yml").read_text())["tests"]:
        for asked in test["promql_expr_test"]:
            if named := re.search(r'alertname="(\w+)"', asked["expr"]):
                tried[named[1]].add(bool(asked["exp_samples"]))
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert tried == {name: {True, False} for name in alerts}
    assert set(re.findall(r"\| `(Turnpath\w+)`", DOCS)) == alerts


def test_each_recorded_rule_is_tried() -> None:
    text = (PROMETHEUS / "tests.yml").read_text()
    assert {name for name in recorded() if f"sum({name})" in text} == recorded()


def test_an_alert_says_what_is_wrong_in_both_languages_and_what_to_do() -> None:
    for rule in rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert re.search("[가-힣]", rule["annotations"]["summary"]), rule
            assert rule["annotations"]["description"]


@pytest.mark.parametrize("query", queries("prometheus"), ids=str)
def test_every_metric_of_the_dashboards_is_there(query: Any) -> None:
    named = set(NAME.findall(query.text))
    assert named or re.search(r"\b(up|process_\w+)\{", query.text)
    assert named <= samples() | recorded()


def test_every_metric_is_on_the_dashboard_or_in_a_rule() -> None:
    asked = " ".join([*(query.text for query in queries("prometheus")), *(rule["expr"] for rule in rules())])
    seen = set(NAME.findall(asked))
    assert {name for name, endings in described().items() if not endings & seen} == set()


@pytest.mark.parametrize("name", dashboards())
def test_a_dashboard_is_what_grafana_expects(name: str) -> None:
    board = dashboards()[name]
    assert re.fullmatch(r"turnpath-[a-z-]{1,30}", board["uid"])
    assert isinstance(board["schemaVersion"], int)
    assert board.get("id") is None, "Grafana gives the number"
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel["type"] in TYPES
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells


@pytest.mark.parametrize("name", dashboards())
def test_titles_are_korean_with_english_beside(name: str) -> None:
    board = dashboards()[name]
    for titled in [board, *board["panels"]]:
        assert re.search("[가-힣].* / .*[A-Za-z]|^[A-Z]+$", titled["title"]), titled["title"]


@pytest.mark.parametrize("name", dashboards())
def test_panels_ask_the_data_source_that_is_chosen(name: str) -> None:
    board = dashboards()[name]
    variables = {variable["name"]: variable for variable in board["templating"]["list"]}
    for panel in panels(board):
        assert panel["targets"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for asked in [panel, *panel["targets"]]:
            source = variables[asked["datasource"]["uid"].strip("${}")]
            assert (source["type"], source["query"]) == ("datasource", asked["datasource"]["type"])
        for target in panel["targets"]:
            if target["datasource"]["type"] == PLUGIN:
                expected = ("timeseries", 0) if panel["type"] == "timeseries" else ("table", 1)
                assert (target["queryType"], target["format"], target["editorType"]) == (*expected, "sql")
    for variable in variables.values():
        assert variable["type"] in ("datasource", "query")
        if variable["type"] == "query":
            assert variable["datasource"]["uid"].strip("${}") in variables


def test_what_is_provisioned_is_what_the_dashboards_ask() -> None:
    there = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "turnpath.yml").read_text())["datasources"]
    types = {variable["query"] for board in dashboards().values() for variable in board["templating"]["list"]}
    assert {source["type"] for source in there} == {kind for kind in types if not kind.startswith("SELECT")}
    (clickhouse,) = (source for source in there if source["type"] == PLUGIN)
    assert clickhouse["jsonData"]["username"] == "reader"


def test_the_rules_ask_for_jobs_that_are_scraped() -> None:
    scraped = {job["job_name"] for job in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]}
    asked = {job for rule in rules() for job in re.findall(r'job="([^"]+)"', rule["expr"])}
    assert asked == scraped
