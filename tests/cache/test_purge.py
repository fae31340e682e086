"""A purge by the operator's face: the cache first, then the CDNs."""

from collections.abc import Sequence
from typing import Any

import httpx2 as httpx
import pytest

from proxy.api import admin
from proxy.api.http.api_keys import Keys
from proxy.cache.cache_tags import tag_of
from proxy.cache.cdn import CdnFailed
from proxy.cache.memory import MemoryStore
from proxy.cache.purge import Purging
from proxy.cache.store import Entry, Selector
from proxy.errors import StoreUnavailable

pytestmark = pytest.mark.anyio

A, B = "http://a.example/u/1.jpg", "http://a.example/u/2.jpg"


class Cdn:
    """Remembers what it was told; says no as often as it was asked to."""

    def __init__(self, store: MemoryStore, *, failures: int = 0, name: str = "stand-in") -> None:
        self.name = name
        self.told: list[tuple[set[str], bool]] = []
        self._store = store
        self._failures = failures
        self.entries: list[int] = []

    async def purge(self, tags: Sequence[str], *, soft: bool) -> None:
        if self._failures:
            self._failures -= 1
            raise CdnFailed("it answered with status 500")
        self.told.append((set(tags), soft))
        self.entries.append((await self._store.stats())["rendition"].entries)


@pytest.fixture
async def store() -> MemoryStore:
    store = MemoryStore(1_000_000)
    for number, url in enumerate((A, A, B)):
        labels = (f"source:{url}", f"tag:t{number}", "preset:card")
        await store.put("rendition", str(number), Entry(b"body", labels=labels))
    await store.put("original", "a", Entry(b"body", labels=(f"source:{A}",)))
    return store


async def post(store: Any, wish: Any, *cdns: Any, key: str | None = "secret") -> httpx.Response:
    face = admin.app(Purging(store, cdns, pause=0), store, Keys(["other", "secret"]))
    transport = httpx.ASGITransport(app=face)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        if isinstance(wish, bytes):
            return await client.post("/admin/purge", content=wish, headers=headers)
        return await client.post("/admin/purge", json=wish, headers=headers)


async def test_by_source(store: MemoryStore) -> None:
    cdn = Cdn(store)
    answer = await post(store, {"sources": [A]}, cdn)
    assert answer.status_code == 200
    assert answer.json() == {
        "purged": 3,
        "entries": {"rendition": 2, "original": 1, "focus": 0, "record": 0},
        "cdns": {"stand-in": "ok"},
    }
    assert cdn.told == [({tag_of(f"source:{A}")}, False)]
    assert cdn.entries == [1]  # the cache had let go before


async def test_a_prefix_is_told_source_by_source(store: MemoryStore) -> None:
    cdn = Cdn(store)
    answer = await post(store, {"prefixes": ["http://a.example/u/"], "soft": True}, cdn)
    assert answer.json()["purged"] == 4
    assert cdn.told == [({tag_of(f"source:{A}"), tag_of(f"source:{B}")}, True)]


@pytest.mark.parametrize(
    ("wish", "purged", "told"),
    [
        ({"tags": ["t0", "t2", "never seen"]}, 2, {"t0", "t2", "never seen"}),
        ({"presets": ["card"]}, 3, {"preset-card"}),
        ({"everything": True}, 4, {"framekeep"}),
        ({"tags": ["t0"], "sources": [A]}, 3, {"t0", tag_of(f"source:{A}")}),
    ],
)
async def test_other_wishes(store: MemoryStore, wish: Any, purged: int, told: set[str]) -> None:
    cdn = Cdn(store)
    answer = await post(store, wish, cdn)
    assert (answer.status_code, answer.json()["purged"]) == (200, purged)
    assert cdn.told == [({tag for tag in told if " " not in tag}, False)]


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({}, "nothing is selected"),
        ({"soft": True}, "nothing is selected"),
        ({"source": A}, "source"),
        ({"tags": "t0"}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"tags": ["x"] * 1001}, "tags"),
        ({"everything": "yes"}, "everything"),
        (b"{", "not JSON"),
        (b"[]", "expected"),
    ],
)
async def test_wishes_that_are_none(store: MemoryStore, wish: Any, sentence: str) -> None:
    answer = await post(store, wish)
    assert answer.status_code == 400
    assert sentence.lower() in answer.json()["detail"].lower()
    assert (await store.stats())["rendition"].entries == 3


@pytest.mark.parametrize("key", [None, "wrong", "secre", "secret2"])
async def test_nobody_purges_without_a_key(store: MemoryStore, key: str | None) -> None:
    answer = await post(store, {"everything": True}, key=key)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert (await store.stats())["rendition"].entries == 3


async def test_a_cdn_that_fails_is_told_again(store: MemoryStore) -> None:
    cdn = Cdn(store, failures=2)
    assert (await post(store, {"tags": ["t0"]}, cdn)).status_code == 200
    assert len(cdn.told) == 1


async def test_a_cdn_that_could_not_be_told_is_not_hidden(store: MemoryStore) -> None:
    answer = await post(store, {"tags": ["t0"]}, Cdn(store, failures=3), Cdn(store, name="2"))
    assert answer.status_code == 502
    assert answer.json()["purged"] == 1
    assert answer.json()["cdns"] == {"stand-in": "it answered with status 500", "2": "ok"}


class Broken(MemoryStore):
    async def purge(self, selector: Selector, *, soft: bool = False) -> Any:
        raise StoreUnavailable("the cache could not be changed everywhere; ask again")


async def test_a_cache_that_could_not_be_purged_is_not_hidden() -> None:
    store = Broken(1000)
    cdn = Cdn(store)
    answer = await post(store, {"tags": ["t0"]}, cdn)
    assert (answer.status_code, cdn.told) == (503, [])


async def test_the_cache_can_be_looked_at(store: MemoryStore) -> None:
    face = admin.app(Purging(store), store, Keys(["secret"]))
    transport = httpx.ASGITransport(app=face)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/admin/cache")).status_code == 401
        answer = await client.get("/admin/cache", headers={"authorization": "Bearer secret"})
    assert answer.json()["rendition"]["entries"] == 3
