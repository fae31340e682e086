"""What an API key may read: no source of the operator's, wherever in a request it is named."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import msgspec
import photos
import pytest
from live_server import KEY, LiveServer, live_server

from proxy.errors import ConfigError

TRANSFORM = "/image-transformation/v1/transform"
PICTURE = photos.encode_scene("png", 60, 50)
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with a private alias, and one that callers of the APIs may use."""
    aliases = {}
    for alias in ("private", "logos"):
        folder = tmp_path_factory.mktemp(alias)
        (folder / "a.png").write_bytes(PICTURE)
        aliases[alias] = f"file://{folder}"
    settings = {
        "FRAMEKEEP_SOURCES_ALIASES": msgspec.json.encode(aliases).decode(),
        "FRAMEKEEP_API_ALLOW_ALIASES": "logos",
    }
    with live_server(tmp_path_factory.mktemp("cache"), settings) as running:
        yield running


def transform(server: LiveServer, source: str, **members: str) -> httpx.Response:
    body: dict[str, Any] = {
        "file": {"type": "base64", "base64": base64.b64encode(PICTURE).decode()},
        "operations": [{"type": "flip"}, {"type": "watermark", "source": source}],
        **members,
    }
    return httpx.post(server.url + TRANSFORM, json=body, headers=BEARER, trust_env=False)


@pytest.mark.parametrize(
    "members", [{}, {"webhook_url": "https://receiver.example/"}], ids=["direct", "webhook"]
)
@pytest.mark.parametrize(
    "source",
    ["private:a.png", "private:../a.png", "PRIVATE:a.png", "upload:a", "file:///a", "no:a"],
)
def test_an_operation_does_not_read_a_private_alias(
    server: LiveServer, source: str, members: dict[str, str]
) -> None:
    response = transform(server, source, **members)
    assert response.status_code == 400
    assert response.json()["details"] == {"operation_index": 1, "field": "source"}
    assert "source alias not allowed in APIs" in response.json()["error"]
    assert "logos" not in response.text


def test_an_operation_may_use_a_listed_alias(server: LiveServer) -> None:
    assert transform(server, "logos:a.png").status_code == 200


def test_links_may_use_every_alias(server: LiveServer) -> None:
    """The tests above would be empty if the file could not be read at all."""
    for path in ("/_/flip/private:a.png", "/_/watermark:private%3Aa.png/logos:a.png"):
        assert httpx.get(server.url + path, trust_env=False).status_code == 200


@pytest.mark.parametrize("scheme", ["http", "HTTP"])
def test_an_operation_does_not_use_http_where_files_may_not(
    server: LiveServer, scheme: str
) -> None:
    url = server.origin.serve("/mark.png", PICTURE).replace("http", scheme, 1)
    response = transform(server, url)
    assert response.status_code == 400
    assert response.json()["details"] == {"operation_index": 1, "field": "source"}
    assert server.origin.count("/mark.png") == 0


@pytest.mark.parametrize("alias", ["private", "logos"])
def test_files_and_azure_urls_are_never_at_an_alias(server: LiveServer, alias: str) -> None:
    body = {"file": {"type": "url", "url": f"{alias}:a.png"}, "operations": [{"type": "flip"}]}
    response = httpx.post(server.url + TRANSFORM, json=body, headers=BEARER, trust_env=False)
    assert response.status_code == 400
    for path in ("/vision/v3.2/areaOfInterest", "/vision/v3.2/generateThumbnail?width=9&height=9"):
        response = httpx.post(
            server.url + path,
            json={"url": f"{alias}:a.png"},
            headers={"Ocp-Apim-Subscription-Key": KEY},
            trust_env=False,
        )
        assert response.status_code == 400


def test_settings_that_list_an_unknown_alias_stop_the_start(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match="FRAMEKEEP_API_ALLOW_ALIASES: 'logo' is no source alias"),
        live_server(tmp_path, {"FRAMEKEEP_API_ALLOW_ALIASES": "logo"}),
    ):
        pass
