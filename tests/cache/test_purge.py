"""A purge over the admin API: the cache first, then the CDNs."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx2 as httpx
import pytest
from memory_store import MemoryStore

from proxy.api import admin
from proxy.api.http.api_keys import ApiKeys
from proxy.cache.cache_tags import cdn_tag
from proxy.cache.cdn.protocol import CdnError
from proxy.cache.memory_layer import MemoryCacheLayer
from proxy.cache.purge import PurgeService
from proxy.cache.store import ByTagPrefix, Cache, Entry, Kind, Selector
from proxy.errors import StoreUnavailable

pytestmark = pytest.mark.anyio

A, B = "http://a.example/u/1.jpg", "http://a.example/u/2.jpg"


class FakeCdn:
    """Records its purges, with the number of renditions in the cache; fails ``failures`` times."""

    def __init__(self, cache: Cache, *, failures: int = 0, name: str = "fake") -> None:
        self.name = name
        self.purges: list[tuple[set[str], bool]] = []
        self.renditions: list[int] = []
        self._cache = cache
        self._failures = failures

    async def purge(self, tags: Sequence[str], *, soft: bool) -> None:
        if self._failures:
            self._failures -= 1
            raise CdnError("CDN responded with status 500")
        self.purges.append((set(tags), soft))
        self.renditions.append((await self._cache.stats())["rendition"].entries)


@pytest.fixture
async def cache() -> Cache:
    cache = MemoryCacheLayer(MemoryStore(1_000_000), 0)
    for number, url in enumerate((A, A, B)):
        tags = (f"source:{url}", f"tag:t{number}", "preset:card")
        await cache.put("rendition", str(number), Entry(b"body", tags=tags))
    await cache.put("original", "a", Entry(b"body", tags=(f"source:{A}",)))
    return cache


async def post(cache: Cache, body: Any, *cdns: Any, key: str | None = "secret") -> httpx.Response:
    purging = PurgeService(cache, cdns, backoff_seconds=0)
    api = admin.admin_api(purging, cache, ApiKeys(["other", "secret"]))
    transport = httpx.ASGITransport(app=api)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        if isinstance(body, bytes):
            return await client.post("/admin/purge", content=body, headers=headers)
        return await client.post("/admin/purge", json=body, headers=headers)


async def test_purge_by_source(cache: Cache) -> None:
    cdn = FakeCdn(cache)
    response = await post(cache, {"sources": [A]}, cdn)
    assert response.status_code == 200
    assert response.json() == {
        "purged": 3,
        "entries": {"rendition": 2, "original": 1, "focus": 0, "record": 0},
        "cdns": {"fake": "ok"},
    }
    assert cdn.purges == [({cdn_tag(f"source:{A}")}, False)]
    assert cdn.renditions == [1]  # the cache was purged before the CDN


async def test_purge_by_prefix_purges_each_source_at_the_cdn(cache: Cache) -> None:
    cdn = FakeCdn(cache)
    response = await post(cache, {"prefixes": ["http://a.example/u/"], "soft": True}, cdn)
    assert response.json()["purged"] == 4
    assert cdn.purges == [({cdn_tag(f"source:{A}"), cdn_tag(f"source:{B}")}, True)]


@pytest.mark.parametrize(
    ("body", "purged", "cdn_purged"),
    [
        ({"tags": ["t0", "t2", "never seen"]}, 2, {"t0", "t2"}),
        ({"presets": ["card"]}, 3, {"preset-card"}),
        ({"everything": True}, 4, {"framekeep"}),
        ({"tags": ["t0"], "sources": [A]}, 3, {"t0", cdn_tag(f"source:{A}")}),
    ],
)
async def test_other_selections(cache: Cache, body: Any, purged: int, cdn_purged: set[str]) -> None:
    cdn = FakeCdn(cache)
    response = await post(cache, body, cdn)
    assert (response.status_code, response.json()["purged"]) == (200, purged)
    assert cdn.purges == [(cdn_purged, False)]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "nothing is selected"),
        ({"soft": True}, "nothing is selected"),
        ({"source": A}, "source"),
        ({"tags": "t0"}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"tags": ["x"] * 1001}, "tags"),
        ({"everything": "yes"}, "everything"),
        (b"{", "not valid JSON"),
        (b"[]", "must be a table"),
    ],
)
async def test_invalid_purge_requests(cache: Cache, body: Any, message: str) -> None:
    response = await post(cache, body)
    assert response.status_code == 400
    assert message.lower() in response.json()["detail"].lower()
    assert (await cache.stats())["rendition"].entries == 3


@pytest.mark.parametrize("key", [None, "wrong", "secre", "secret2"])
async def test_a_purge_needs_an_admin_key(cache: Cache, key: str | None) -> None:
    response = await post(cache, {"everything": True}, key=key)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert (await cache.stats())["rendition"].entries == 3


async def test_a_cdn_that_fails_is_called_again(cache: Cache) -> None:
    cdn = FakeCdn(cache, failures=2)
    assert (await post(cache, {"tags": ["t0"]}, cdn)).status_code == 200
    assert len(cdn.purges) == 1


async def test_a_cdn_that_keeps_failing_is_reported(cache: Cache) -> None:
    cdns = FakeCdn(cache, failures=3), FakeCdn(cache, name="2")
    response = await post(cache, {"tags": ["t0"]}, *cdns)
    assert response.status_code == 502
    assert response.json()["purged"] == 1
    assert response.json()["cdns"] == {"fake": "CDN responded with status 500", "2": "ok"}


class NoTagListing(MemoryCacheLayer):
    async def tags_with_prefix(self, prefix: str, limit: int) -> None:
        return None


async def test_a_prefix_that_cannot_be_purged_at_the_cdn_is_reported() -> None:
    cache = NoTagListing(MemoryStore(1_000_000), 0)
    await cache.put("rendition", "k", Entry(b"body", tags=(f"source:{A}",)))
    cdn = FakeCdn(cache)
    result = await PurgeService(cache, [cdn]).purge([ByTagPrefix("source:")])
    assert (result.entries["rendition"], cdn.purges) == (1, [])
    assert "cannot list" in result.cdn_errors["fake"]


class FailingStore(MemoryStore):
    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        raise StoreUnavailable("cache not available for all kinds; repeat the request")


async def test_a_cache_that_could_not_be_purged_is_reported() -> None:
    cache = MemoryCacheLayer(FailingStore(1000), 0)
    cdn = FakeCdn(cache)
    response = await post(cache, {"tags": ["t0"]}, cdn)
    assert (response.status_code, cdn.purges) == (503, [])


async def test_cache_stats_need_an_admin_key(cache: Cache) -> None:
    api = admin.admin_api(PurgeService(cache), cache, ApiKeys(["secret"]))
    transport = httpx.ASGITransport(app=api)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/admin/cache")).status_code == 401
        response = await client.get("/admin/cache", headers={"authorization": "Bearer secret"})
    assert response.json()["rendition"]["entries"] == 3
