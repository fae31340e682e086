"""`migrate imgproxy` prints settings that the server reads."""

from pathlib import Path

import pytest

from proxy.cli.migrations.imgproxy import migrate
from proxy.config import load

ENVIRONMENT = """
# imgproxy of the shop
export IMGPROXY_KEY=943b421c9eb07c830af81030552c86009268de4e532ba2ee2eab8247c6da0881
IMGPROXY_SALT=520f986b998545b4785e0defbc4f3c1203f22de2374a3d53cb7a7fe9fea309c5
IMGPROXY_SIGNATURE_SIZE=16
IMGPROXY_BIND=:8081
IMGPROXY_PATH_PREFIX=/img
IMGPROXY_MAX_SRC_RESOLUTION=16.8   # megapixels
IMGPROXY_PRESETS="default=rs:fit:1000:1000,card=rs:fill:400:300/q:80"
IMGPROXY_FORMAT_QUALITY=jpeg=75,avif=50,png=9
IMGPROXY_AUTO_WEBP=true
IMGPROXY_AUTO_JXL=true
IMGPROXY_ALLOWED_SOURCES=s3://shop-photos/,https://cdn.example.com/,local:///
IMGPROXY_USE_S3=true
IMGPROXY_LOCAL_FILESYSTEM_ROOT=/srv/media
IMGPROXY_WATERMARK_URL=https://cdn.example.com/logo.png
IMGPROXY_FALLBACK_IMAGE_URL=https://cdn.example.com/none.png
IMGPROXY_ALLOW_PRIVATE_SOURCE_ADDRESSES=true
IMGPROXY_KEEP_ALIVE_TIMEOUT=soon
IMGPROXY_JPEG_PROGRESSIVE=true
IMGPROXY_SECRET=bearer-token
IMGPROXY_NEW_RELIC_KEY=relic-secret
IMGPROXY_FLUX_CAPACITOR=1
OTHER_SETTING=7
"""


def test_the_output_is_read_as_settings(tmp_path: Path) -> None:
    file = tmp_path / "framekeep.toml"
    file.write_text(migrate(ENVIRONMENT).text(), encoding="utf-8")
    key, salt = "ab" * 32, "cd" * 32
    environment = {
        "FRAMEKEEP_CONFIG": str(file),
        "FRAMEKEEP_IMGPROXY_KEYS": key,
        "FRAMEKEEP_IMGPROXY_SALTS": salt,
    }
    settings = load(environment).settings
    assert settings.links.mounts == {"": "imgproxy"}
    assert settings.server.path_prefix == "/img"
    assert settings.links.fallbacks == {"default": "https://cdn.example.com/none.png"}
    assert (settings.server.host, settings.server.port) == ("0.0.0.0", 8081)
    assert settings.limits.max_source_pixels == 16_800_000
    imgproxy = settings.imgproxy
    assert imgproxy.signature_size == 16
    assert imgproxy.presets["card"] == "rs:fill:400:300/q:80"
    assert imgproxy.format_quality == {"jpeg": 75, "avif": 50}
    assert imgproxy.auto_format
    assert settings.links.auto_jxl
    assert imgproxy.keep_copyright
    assert imgproxy.max_animation_frames == 1
    assert imgproxy.watermark == "https://cdn.example.com/logo.png"
    assert settings.sources.aliases == {
        "local": "file:///srv/media",
        "s3-shop-photos": "s3://shop-photos",
    }
    assert imgproxy.source_prefixes == {
        "local:///": "local:",
        "s3://shop-photos/": "s3-shop-photos:",
    }
    assert "10.0.0.0/8" in settings.sources.allow_nets


def test_secrets_stay_where_they_are() -> None:
    text = migrate(ENVIRONMENT).text()
    for secret in ("943b421c", "520f986b", "bearer-token", "relic-secret"):
        assert secret not in text
    assert "FRAMEKEEP_IMGPROXY_KEYS=${IMGPROXY_KEY}" in text
    assert "FRAMEKEEP_IMGPROXY_SALTS=${IMGPROXY_SALT}" in text


@pytest.mark.parametrize(
    "line",
    [
        "IMGPROXY_JPEG_PROGRESSIVE: encoders have no settings",
        "IMGPROXY_AUTO_JXL: needs framekeep[jxl]",
        "IMGPROXY_SECRET: there is no bearer token for links",
        "IMGPROXY_NEW_RELIC_KEY: metrics are at /metrics",
        "IMGPROXY_FLUX_CAPACITOR: is unknown",
        "IMGPROXY_KEEP_ALIVE_TIMEOUT: the value 'soon' is not understood",
        "IMGPROXY_FORMAT_QUALITY: png: has no quality here",
    ],
)
def test_what_has_no_counterpart_has_a_line_with_the_reason(line: str) -> None:
    assert f"#   {line}" in migrate(ENVIRONMENT).text()
    assert "OTHER_SETTING" not in migrate(ENVIRONMENT).text()


def test_without_a_key_links_are_unsigned() -> None:
    text = migrate("IMGPROXY_TTL=3600").text()
    assert "allow_unsigned = true" in text
    assert "IMGPROXY_KEY, IMGPROXY_SALT: one is missing" in text
    assert 'mounts = { "" = "imgproxy" }' in text


def test_a_bucket_without_a_name_is_asked_for() -> None:
    text = migrate("IMGPROXY_USE_GCS=1").text()
    assert "IMGPROXY_USE_GCS: name each bucket" in text


def test_the_environment_of_a_compose_file_is_read() -> None:
    text = migrate(
        "    environment:\n      - IMGPROXY_QUALITY=70\n      IMGPROXY_TTL: '60'\n"
    ).text()
    assert "quality = 70" in text
    assert "ttl_default = 60" in text
