"""`migrate thumbor` and `migrate imagor` print settings that the server reads."""

from pathlib import Path
from typing import Any

import pytest

from proxy.cli.migrations import imagor, thumbor
from proxy.config import load
from proxy.errors import ConfigError

CONFIGURATION = r"""
# thumbor of the shop
import os
SECURITY_KEY = "key-of-the-shop"
ALLOW_UNSAFE_URL = False
ALLOWED_SOURCES = ["images.example", r".+\.shop\.example", "^https://x/[0-9]+"]
LOADER = "thumbor.loaders.https_loader"
QUALITY = 85
AUTO_WEBP = True
MAX_AGE = 24 * 60 * 60
MAX_WIDTH = 1200
DETECTORS = ["thumbor.detectors.face_detector"]
HTTP_LOADER_REQUEST_TIMEOUT = 20
ENGINE = os.environ.get("ENGINE", "thumbor.engines.pil")
QUALITY_OF_LIFE = 1
SENTRY_DSN_URL = "https://user:secret@sentry.example/1"
"""

ENVIRONMENT = """
IMAGOR_SECRET=key-of-the-shop
IMAGOR_SIGNER_TYPE=sha256
IMAGOR_SIGNER_TRUNCATE=40
IMAGOR_AUTO_WEBP=1
IMAGOR_AUTO_JXL=1
IMAGOR_REQUEST_TIMEOUT=1m30s
IMAGOR_CACHE_HEADER_TTL=soon
HTTP_LOADER_ALLOWED_SOURCES="*.shop.example,images.example"
HTTP_LOADER_DEFAULT_SCHEME=http
SERVER_PATH_PREFIX=/img
FILE_RESULT_STORAGE_BASE_DIR=/mnt/results
PORT=8000
FLUX_CAPACITOR=1
"""


def read(text: str, tmp_path: Path, **variables: str) -> Any:
    file = tmp_path / "framekeep.toml"
    file.write_text(text, encoding="utf-8")
    return load({"FRAMEKEEP_CONFIG": str(file), **variables}).settings


def test_the_configuration_of_thumbor_is_read_as_settings(tmp_path: Path) -> None:
    text = thumbor.migrate(CONFIGURATION).text()
    settings = read(text, tmp_path, FRAMEKEEP_THUMBOR_KEYS="key")
    assert settings.links.mounts == {"": "thumbor"}
    assert settings.thumbor.allow_sources == (
        "http://images.example/",
        "https://images.example/",
        "http://*.shop.example/",
        "https://*.shop.example/",
    )
    assert settings.thumbor.default_scheme == "https"
    assert settings.thumbor.quality == 85
    assert settings.thumbor.auto_format
    assert not settings.thumbor.allow_unsigned
    assert settings.limits.fetch_timeout_seconds == 20


def test_secrets_of_thumbor_are_not_printed_and_the_rest_is_named() -> None:
    text = thumbor.migrate(CONFIGURATION).text()
    assert "key-of-the-shop" not in text
    assert "user:secret" not in text
    assert "#   FRAMEKEEP_THUMBOR_KEYS=${SECURITY_KEY}" in text
    for name in ("MAX_WIDTH", "DETECTORS", "ENGINE", "QUALITY_OF_LIFE", "SENTRY_DSN_URL"):
        assert f"#   {name}: " in text
    assert "MAX_AGE: is computed" in text
    assert "ALLOWED_SOURCES: '^https://x/[0-9]+'" in text


def test_the_configuration_is_never_executed(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    thumbor.migrate(f"open({str(marker)!r}, 'w')\nQUALITY = open({str(marker)!r}, 'w')\n")
    assert not marker.exists()
    with pytest.raises(ConfigError, match="is not Python"):
        thumbor.migrate("QUALITY = ")


def test_what_thumbor_does_by_default_is_said(tmp_path: Path) -> None:
    root = "LOADER = 'thumbor.loaders.file_loader'\nFILE_LOADER_ROOT_PATH = '/srv/media'\n"
    text = thumbor.migrate(root).text()
    settings = read(text, tmp_path)
    assert settings.thumbor.allow_unsigned
    assert settings.thumbor.base_url == "local:"
    assert settings.sources.aliases == {"local": "file:///srv/media"}
    for name in ("SECURITY_KEY", "ALLOW_UNSAFE_URL", "RESPECT_ORIENTATION"):
        assert f"#   {name}: " in text


def test_the_environment_of_imagor_is_read_as_settings(tmp_path: Path) -> None:
    text = imagor.migrate(ENVIRONMENT).text()
    assert "key-of-the-shop" not in text
    settings = read(text, tmp_path, FRAMEKEEP_IMAGOR_KEYS="key")
    assert settings.links.mounts == {"img": "imagor"}
    assert settings.links.auto_jxl
    assert settings.imagor.signature_algorithm == "sha256"
    assert settings.imagor.signature_length == 40
    assert settings.imagor.default_scheme == "http"
    assert settings.imagor.allow_sources[0] == "https://*.shop.example/"
    assert settings.limits.request_timeout_seconds == 90
    assert settings.server.port == 8000
    for name in ("IMAGOR_CACHE_HEADER_TTL", "FILE_RESULT_STORAGE_BASE_DIR", "FLUX_CAPACITOR"):
        assert f"#   {name}: " in text
