"""What the pages say exists."""

import re
from pathlib import Path

import pytest

from proxy.settings import CONFIG, described, load

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
