"""The metrics endpoint: who may read it, and what it sends."""

from collections.abc import Mapping
from typing import Any

import httpx2 as httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

from proxy.api.metrics import MetricsConfig, MetricsEndpoint
from proxy.cache.store import CacheStats, Kind
from proxy.telemetry.metrics import Metrics

pytestmark = pytest.mark.anyio


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(["images"])


async def cache_stats() -> Mapping[Kind, CacheStats]:
    return {"rendition": CacheStats(3, 1000, 5000)}


async def scrape(
    metrics: Metrics,
    client_host: str | None = "127.0.0.1",
    method: str = "GET",
    config: MetricsConfig = MetricsConfig(),  # noqa: B008 - frozen
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    endpoint = MetricsEndpoint(metrics, cache_stats, config)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        client = None if client_host is None else (client_host, 1)
        await endpoint({**scope, "client": client}, receive, send)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://test"
    ) as client:
        return await client.request(method, "/metrics", headers=headers)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.1.2.3", "fd00::1", "::ffff:10.0.0.1"])
async def test_a_client_on_a_private_network_is_allowed(metrics: Metrics, host: str) -> None:
    assert (await scrape(metrics, host)).status_code == 200


@pytest.mark.parametrize("host", ["8.8.8.8", "2600::1", "::ffff:8.8.8.8", "nonsense", None])
async def test_a_client_elsewhere_is_denied(metrics: Metrics, host: str | None) -> None:
    response = await scrape(metrics, host)
    assert response.status_code == 403
    assert response.headers["cache-control"] == "no-store"
    assert "framekeep" not in response.text


@pytest.mark.parametrize("header", ["forwarded", "via", "x-forwarded-for", "x-real-ip"])
async def test_a_request_through_a_proxy_is_denied(metrics: Metrics, header: str) -> None:
    assert (await scrape(metrics, headers={header: "a"})).status_code == 403


async def test_a_key_is_accepted_from_anywhere(metrics: Metrics) -> None:
    config = MetricsConfig(access="keys", keys=("secret", "other"))
    for key, status in (("secret", 200), ("other", 200), ("wrong", 403), ("", 403)):
        headers = {"authorization": f"Bearer {key}"}
        response = await scrape(metrics, "8.8.8.8", config=config, headers=headers)
        assert response.status_code == status
    assert (await scrape(metrics, config=config)).status_code == 403


async def test_access_can_be_open_or_off(metrics: Metrics) -> None:
    response = await scrape(metrics, "8.8.8.8", config=MetricsConfig(access="open"))
    assert response.status_code == 200
    assert (await scrape(metrics, config=MetricsConfig(access="off"))).status_code == 403


async def test_only_get_and_head_are_allowed(metrics: Metrics) -> None:
    response = await scrape(metrics, method="POST")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")
    head, get = await scrape(metrics, method="HEAD"), await scrape(metrics)
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]


async def test_prometheus_can_parse_the_metrics(metrics: Metrics) -> None:
    metrics.record_request("images", 200, "hit", 10, 0.001)
    metrics.record_stage("fetch", 0.003)
    response = await scrape(metrics)
    assert response.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in parse_prometheus(response.text)}
    requests = families["framekeep_http_requests"].samples
    assert [(one.labels, one.value) for one in requests] == [
        ({"handler": "images", "code": "200"}, 1.0)
    ]
    fetches = [
        one
        for one in families["framekeep_stage_duration_seconds"].samples
        if one.labels.get("stage") == "fetch"
    ]
    buckets = {one.labels.get("le"): one.value for one in fetches if one.name.endswith("_bucket")}
    assert (buckets["0.0025"], buckets["0.005"], buckets["+Inf"]) == (0.0, 1.0, 1.0)
    assert families["framekeep_cache_bytes"].samples[0].value == 1000.0
    assert families["framekeep_build_info"].samples[0].value == 1.0


async def test_openmetrics_is_sent_where_it_is_accepted(metrics: Metrics) -> None:
    headers = {"accept": "application/openmetrics-text; version=1.0.0"}
    response = await scrape(metrics, headers=headers)
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    families = {family.name for family in parse_openmetrics(response.text)}
    assert "framekeep_build" in families


async def test_the_number_of_samples_is_limited(metrics: Metrics) -> None:
    """Whatever is requested: all label values are known beforehand."""
    for status in range(100, 600):
        metrics.record_request("images", status, "none", 0, 0.0)
    assert len((await scrape(metrics)).text.splitlines()) < 400
