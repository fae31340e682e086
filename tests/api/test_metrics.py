"""The metrics face: who may read it, and what it says."""

from collections.abc import Iterator, Mapping
from typing import Any

import httpx2 as httpx
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families as parsed

from proxy.api.metrics import Metrics, MetricsConfig
from proxy.cache.store import Kind, Shelved
from proxy.telemetry.metrics import Telemetry

pytestmark = pytest.mark.anyio


@pytest.fixture
def counting() -> Iterator[Telemetry]:
    made = Telemetry(["images"])
    yield made
    made.close()


async def stats() -> Mapping[Kind, Shelved]:
    return {"rendition": Shelved(entries=3, bytes=1000, budget=5000)}


async def ask(
    counting: Telemetry,
    peer: str | None = "127.0.0.1",
    method: str = "GET",
    settings: MetricsConfig = MetricsConfig(),  # noqa: B008 - frozen
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    face = Metrics(counting, stats, settings)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await face({**scope, "client": None if peer is None else (peer, 1)}, receive, send)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://test"
    ) as client:
        return await client.request(method, "/metrics", headers=headers)


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "10.1.2.3", "fd00::1", "::ffff:10.0.0.1"])
async def test_who_is_near_may_read(counting: Telemetry, peer: str) -> None:
    assert (await ask(counting, peer)).status_code == 200


@pytest.mark.parametrize("peer", ["8.8.8.8", "2600::1", "::ffff:8.8.8.8", "nonsense", None])
async def test_who_is_far_may_not(counting: Telemetry, peer: str | None) -> None:
    answer = await ask(counting, peer)
    assert answer.status_code == 403
    assert answer.headers["cache-control"] == "no-store"
    assert "framekeep" not in answer.text


@pytest.mark.parametrize("header", ["forwarded", "via", "x-forwarded-for", "x-real-ip"])
async def test_who_came_through_a_proxy_came_from_anywhere(
    counting: Telemetry, header: str
) -> None:
    assert (await ask(counting, headers={header: "a"})).status_code == 403


async def test_a_key_opens_from_anywhere(counting: Telemetry) -> None:
    settings = MetricsConfig(access="keys", keys=("secret", "other"))
    for key, status in (("secret", 200), ("other", 200), ("wrong", 403), ("", 403)):
        asked = await ask(counting, settings=settings, headers={"authorization": f"Bearer {key}"})
        assert asked.status_code == status
    assert (await ask(counting, settings=settings)).status_code == 403


async def test_it_may_be_open_or_off(counting: Telemetry) -> None:
    opened = await ask(counting, "8.8.8.8", settings=MetricsConfig(access="open"))
    assert opened.status_code == 200
    assert (await ask(counting, settings=MetricsConfig(access="off"))).status_code == 403


async def test_it_is_read_and_nothing_else(counting: Telemetry) -> None:
    assert (await ask(counting, method="POST")).status_code == 405
    head, get = await ask(counting, method="HEAD"), await ask(counting)
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]


async def test_prometheus_can_read_it(counting: Telemetry) -> None:
    counting.add("requests", "images", "200")
    counting.observe("stage_seconds", 0.003, "fetch")
    answer = await ask(counting)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in parsed(answer.text)}
    requests = families["framekeep_requests"].samples
    assert [(one.labels, one.value) for one in requests] == [
        ({"face": "images", "status": "200"}, 1.0)
    ]
    stages = [
        one for one in families["framekeep_stage_seconds"].samples if "fetch" in one.labels.values()
    ]
    counted = {one.labels.get("le"): one.value for one in stages if one.name.endswith("_bucket")}
    assert (counted["0.0025"], counted["0.005"], counted["+Inf"]) == (0.0, 1.0, 1.0)
    assert families["framekeep_cache_bytes"].samples[0].value == 1000.0
    assert families["framekeep_build"].samples[0].value == 1.0


async def test_openmetrics_is_spoken_where_it_is_wanted(counting: Telemetry) -> None:
    answer = await ask(counting, headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert list(openmetrics_families(answer.text))


async def test_there_are_only_so_many_numbers(counting: Telemetry) -> None:
    """However much is asked: every row has its place beforehand."""
    with pytest.raises(KeyError):
        counting.add("requests", "images", "https://a.example")
    assert len((await ask(counting)).text.splitlines()) < 400
