"""Settings, metrics and labels that the documentation names exist."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.api.prometheus import render_prometheus
from proxy.cache.store import KINDS, CacheStats
from proxy.config import CONFIG_VARIABLE, describe_settings, load
from proxy.telemetry.metrics import Metrics

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = {row.variable for row in describe_settings(load({}))} | {
        CONFIG_VARIABLE,
        "FRAMEKEEP_SECTION_NAME",
        "FRAMEKEEP_PORT",  # set by Kubernetes
    }
    for name in re.findall(r"FRAMEKEEP_[A-Z0-9_]*\*?", text):
        if name.endswith("*"):
            assert any(variable.startswith(name[:-1]) for variable in known), name
        else:
            assert name.rstrip("_") in known, name


Labels = dict[str, set[str]]
"""The values of each label."""


@pytest.fixture(scope="module")
def exported() -> dict[str, tuple[str, Labels]]:
    """The type and the labels of each metric that the server exports."""
    metrics = Metrics(["images"])
    metrics.record_request("images", 200, "hit", 0, 0.0)
    metrics.flush()
    _, body = render_prometheus(metrics, dict.fromkeys(KINDS, CacheStats()), "")
    exported: dict[str, tuple[str, Labels]] = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            _, labels = exported.setdefault(metric_name(sample.name), (family.type, {}))
            for name, value in sample.labels.items():
                if name != "le":
                    labels.setdefault(name, set()).add(value)
    return exported


def metric_name(sample: str) -> str:
    """The name of the metric that a sample belongs to."""
    return re.sub(r"_(bucket|count|sum)$", "", sample)


def alerts_of_page() -> list[str]:
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    section = page.split("## Alerts")[1].split("## ")[0]
    found = re.findall(r"^\| `(.*?)` \|", section, re.MULTILINE)
    return [alert.replace("\\|", "|") for alert in found]


def test_the_shipped_alerts_are_those_of_the_page() -> None:
    shipped = (ROOT / "deploy" / "prometheus-rules.yml").read_text(encoding="utf-8")
    assert re.findall(r"^ +expr: (.*)$", shipped, re.MULTILINE) == alerts_of_page()


def expressions() -> list[str]:
    """What the dashboard and the page query."""
    dashboard = json.loads((ROOT / "deploy" / "grafana.json").read_text(encoding="utf-8"))
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    variables = [
        each["query"]["query"]
        for each in dashboard["templating"]["list"]
        if "refId" in each["query"]
    ]
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    queries = re.findall(r"```promql\n(.*?)```", page, re.DOTALL)
    return [*panels, *variables, *alerts_of_page(), *queries]


@pytest.mark.parametrize("expression", expressions())
def test_the_dashboard_and_the_page_query_what_is_exported(
    exported: dict[str, tuple[str, Labels]], expression: str
) -> None:
    queried = re.findall(r"(framekeep_\w+)(?:\{(.*?)\})?", expression)
    assert queried
    for sample, selector in queried:
        _, labels = exported[metric_name(sample)]
        for label, values in re.findall(r'(\w+)=~?"(.*?)"', selector):
            if label != "instance":  # Prometheus itself adds this one
                assert labels[label] >= set(values.split("|"))
        for names in re.findall(r"by \((.*?)\)", expression):
            assert {*labels, "le"} >= set(names.split(", "))


def test_every_metric_is_described_with_its_type_and_labels(
    exported: dict[str, tuple[str, Labels]],
) -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(framekeep_\w+)` \| (\w+) \| (.*?) \|", page, re.MULTILINE)
    described = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert described == {name: (kind, set(labels)) for name, (kind, labels) in exported.items()}
