"""Models that an operator installed: which are there, and what that means for a process."""

from pathlib import Path

import pytest

from proxy.config import load
from proxy.errors import ConfigError
from proxy.smartcrop.models import ModelsConfig


def test_without_a_folder_nothing_is_installed() -> None:
    models = ModelsConfig()
    assert models.installed_files() == ()
    assert models.readable_dirs() == ()
    assert models.imports() == ("proxy.smartcrop.detector",)
    assert models.complaint() == ""


def test_another_file_is_another_sight(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra [models] is not installed")
    models = ModelsConfig(str(tmp_path), face_file="a.onnx")
    words = [models.version()]
    for content in (b"one", b"two"):
        (tmp_path / "a.onnx").write_bytes(content)
        words.append(models.version())
    assert len(set(words)) == 3
    assert models.installed_files() == (tmp_path / "a.onnx",)
    assert "onnxruntime" in models.imports()


def test_a_folder_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    environment = {
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
        "FRAMEKEEP_MODELS_DIR": str(tmp_path / "none"),
    }
    with pytest.raises(ConfigError, match="FRAMEKEEP_MODELS_DIR: there is no folder"):
        load(environment).settings.check()
