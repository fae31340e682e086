"""What the pages say exists."""

import re
from pathlib import Path

import pytest

from proxy.settings import CONFIG, described, load

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_settings_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"FRAMEKEEP_[A-Z0-9_]*[A-Z0-9]", page.read_text(encoding="utf-8")))
    known = {row.variable for row in described(load({}))} | {CONFIG, "FRAMEKEEP_SECTION_NAME"}
    assert named <= known
