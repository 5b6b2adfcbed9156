"""The Grafana dashboard of workers asks for what workers count."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from parley_worker import metrics

GRAFANA = Path(__file__).parents[3] / "infra" / "observability" / "grafana"
DASHBOARD = json.loads((GRAFANA / "dashboards" / "parley-worker.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
SERIES = {
    metric.describe()[0].name + suffix: set(metric._labelnames) | ({"le"} if suffix == "_bucket" else set())
    for metric in vars(metrics).values()
    if isinstance(metric, MetricWrapperBase)
    for suffix in SUFFIXES[metric.describe()[0].type]
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_series_and_labels_that_there_are(expression: str) -> None:
    named = re.findall(r"\bparley_\w+", expression)
    assert named
    assert not set(named) - SERIES.keys()
    for name, selector in re.findall(r"(parley_\w+)\{([^}]*)\}", expression):
        assert set(re.findall(r"(\w+)=", selector)) <= SERIES[name]
    for grouping, name in re.findall(r"by \(([^)]*)\).*?(parley_\w+)", expression):
        assert set(grouping.split(", ")) <= SERIES[name]


def test_every_metric_of_the_engine_has_a_place() -> None:
    shown = " ".join(EXPRESSIONS)
    engine = ("step_seconds", "rows", "sequences", "kv_blocks", "preemptions", "drafts_accepted", "engine_deaths")
    assert not [name for name in engine if f"parley_worker_{name}" not in shown]


def test_panels_have_ids_and_places_of_their_own() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for one, other in combinations((panel["gridPos"] for panel in PANELS), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in PANELS)


def test_variables_that_are_used_are_declared() -> None:
    text = json.dumps(PANELS)
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval"}
    assert used == {variable["name"] for variable in DASHBOARD["templating"]["list"]}


def test_the_provisioning_finds_it() -> None:
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards.yaml").read_text())["providers"]
    assert (provider["type"], Path(provider["options"]["path"]).name) == ("file", "parley")
