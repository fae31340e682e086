"""Models that an operator installed: which exist, and what that means for a process."""

from pathlib import Path

import pytest

from proxy.config import load
from proxy.errors import ConfigError
from proxy.smartcrop.models import ModelsConfig


def test_without_a_directory_no_model_is_installed() -> None:
    models = ModelsConfig()
    assert models.installed_files() == ()
    assert models.readable_dirs() == ()
    models.validate()


def test_the_files_that_exist_are_installed(tmp_path: Path) -> None:
    models = ModelsConfig(str(tmp_path), face_file="a.onnx")
    assert models.installed_files() == ()
    (tmp_path / "a.onnx").write_bytes(b"one")
    assert models.installed_files() == (tmp_path / "a.onnx",)
    assert models.readable_dirs() == (str(tmp_path),)


def test_a_missing_directory_stops_the_start(tmp_path: Path) -> None:
    environment = {
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
        "FRAMEKEEP_MODELS_DIR": str(tmp_path / "none"),
    }
    with pytest.raises(ConfigError, match=r"FRAMEKEEP_MODELS_DIR=.*does not exist"):
        load(environment).settings.validate()
