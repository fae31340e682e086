"""What the pages say exists."""

import re
from pathlib import Path

import pytest

from proxy.app import FACES
from proxy.config import CONFIG, described, load
from proxy.telemetry.metrics import metrics

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = {row.variable for row in described(load({}))} | {CONFIG, "FRAMEKEEP_SECTION_NAME"}
    for name in re.findall(r"FRAMEKEEP_[A-Z0-9_]*\*?", text):
        if name.endswith("*"):
            assert any(variable.startswith(name[:-1]) for variable in known), name
        else:
            assert name.rstrip("_") in known, name


def test_the_dashboard_and_the_page_name_metrics_that_exist() -> None:
    named = {f"framekeep_{metric.name}" for metric in metrics(FACES)}
    named |= {f"framekeep_cache_{name}" for name in ("entries", "bytes", "budget_bytes")}
    known = {"framekeep_build", *named, *(f"{name}_total" for name in named)}
    known |= {f"{name}_bucket" for name in named}
    shown = re.findall(r"framekeep_[a-z_]+", (ROOT / "deploy" / "grafana.json").read_text())
    told = re.findall(r"framekeep_[a-z_]+", (ROOT / "docs" / "monitoring.md").read_text())
    assert {*shown, *told} <= known
    assert {name.removesuffix("_total") for name in told} >= {
        f"framekeep_{metric.name}" for metric in metrics(FACES) if metric.kind != "gauge"
    }
