"""What deploy/prometheus and deploy/grafana hold, read for tests; and the names of every metric there is."""

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import REGISTRY

ROOT = Path(__file__).parents[1]
PROMETHEUS = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"

for _path in sorted(ROOT.glob("*/metrics.py")):
    importlib.import_module(f"{_path.parent.name}.metrics")
importlib.import_module("metrics.serve")

#: In PromQL, all that looks like a metric of ours; a recorded one has a colon behind `turnpath`.
NAME = re.compile(r"\bturnpath[_:][a-z0-9_:]*[a-z0-9]\b")


def described() -> dict[str, set[str]]:
    """metric -> the names of its samples, of all that the parts' modules have registered."""
    found = {}
    for metric in REGISTRY.collect():
        if metric.name.startswith("turnpath_") and not metric.name.startswith("turnpath_test_"):
            endings = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(metric.type, [""])
            found[metric.name] = {metric.name + ending for ending in endings}
    return found


def samples() -> set[str]:
    """The names of all samples."""
    return set().union(*described().values())


def rules() -> list[dict[str, Any]]:
    """All rules, in order."""
    groups = yaml.safe_load((PROMETHEUS / "turnpath.rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def recorded() -> set[str]:
    return {rule["record"] for rule in rules() if "record" in rule}


@dataclass(frozen=True)
class Query:
    """A query of a dashboard: of which panel (or variable), what it asks, and of whom."""

    dashboard: str
    panel: dict[str, Any]
    target: dict[str, Any]
    source: str

    @property
    def text(self) -> str:
        text: str = self.target["expr"] if self.source == "prometheus" else self.target["rawSql"]
        return text

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel['title']} {self.target['refId']}"


def dashboards() -> dict[str, dict[str, Any]]:
    """name -> the dashboard."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((GRAFANA / "dashboards").glob("*.json"))}


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels but the rows that only hold others."""
    for panel in dashboard["panels"]:
        yield from [panel, *panel.get("panels", [])] if panel["type"] != "row" else panel.get("panels", [])


def queries(source: str) -> list[Query]:
    """The panels' queries of `prometheus` or `grafana-clickhouse-datasource`."""
    return [
        Query(name, panel, target, source)
        for name, dashboard in dashboards().items()
        for panel in panels(dashboard)
        for target in panel.get("targets", [])
        if target["datasource"]["type"] == source
    ]
