"""Webhooks go where their own policy allows it, whatever is allowed for sources."""

from base64 import b64encode
from collections.abc import Iterator

import httpx2 as httpx
import pytest
from live_server import KEY, LiveServer, live_server

from proxy.api.transform.webhook_signature import WebhookSigner
from proxy.config import load
from proxy.errors import ConfigError

HTTP = {"FRAMEKEEP_TRANSFORM_WEBHOOK_ALLOW_HTTP": "true"}
SECRETS = "FRAMEKEEP_TRANSFORM_WEBHOOK_SECRETS"


def order(server: LiveServer, webhook_url: str) -> httpx.Response:
    body = {
        "file": {"type": "base64", "base64": "AAAA"},
        "operations": [{"type": "flip"}],
        "webhook_url": webhook_url,
    }
    return httpx.post(
        f"{server.url}/image-transformation/v1/transform",
        json=body,
        headers={"authorization": f"Bearer {KEY}"},
    )


@pytest.fixture(scope="module")
def for_sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server whose sources may be on loopback."""
    with live_server(tmp_path_factory.mktemp("cache"), HTTP) as running:
        yield running


def test_networks_of_sources_are_not_open_to_webhooks(for_sources: LiveServer) -> None:
    response = order(for_sources, for_sources.origin.serve("/admin/delete"))
    assert response.status_code == 400
    assert "webhook_url is not allowed" in response.json()["error"]
    assert for_sources.origin.requests == []


def test_networks_of_webhooks_are_not_open_to_sources() -> None:
    settings = load({**HTTP, "FRAMEKEEP_TRANSFORM_WEBHOOK_ALLOW_NETS": "10.0.0.0/8"}).settings
    assert settings.transform.webhook_policy().allows_address("10.0.0.1")
    assert not settings.sources.ssrf_policy().allows_address("10.0.0.1")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEBHOOK_ALLOW_NETS", "10.0.0.1/8"),
        ("WEBHOOK_ALLOW_HOSTS", "https://a.example"),
        ("WEBHOOK_ALLOW_PORTS", "0"),
        ("WEBHOOK_SECRETS", "secret"),
        ("WEBHOOK_SECRETS", "whsec_" + "A" * 32 + "==="),
        ("WEBHOOK_SECRETS", "whsec_" + "QUJD" * 7),
        ("WEBHOOK_SECRETS", "whsec_" + "QUJD" * 22),
        ("WEBHOOK_SECRETS", "whsec_" + "QUJD" * 21 + "QUI="),
    ],
)
def test_a_wrong_setting_stops_the_start(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"FRAMEKEEP_TRANSFORM_{name}") as caught:
        load({f"FRAMEKEEP_TRANSFORM_{name}": value})
    assert "SECRET" not in name or value not in str(caught.value)


@pytest.mark.parametrize("length", [0, 23, 65])
def test_a_secret_is_long_enough_and_not_too_long(length: int) -> None:
    WebhookSigner([f"whsec_{b64encode(bytes(bound)).decode()}" for bound in (24, 64)])
    with pytest.raises(ValueError, match=f"secret 1 has {length} bytes"):
        WebhookSigner([f"whsec_{b64encode(bytes(length)).decode()}"])


def test_secrets_are_not_shown() -> None:
    secret = "whsec_" + "QUJD" * 8
    assert "QUJD" not in repr(load({SECRETS: secret}).settings)
