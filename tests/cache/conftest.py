from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a cache; not there yet."""
    return tmp_path / "cache"
