"""A disk that hangs: reads wait in the kernel, and the cache does without it."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cache.suite import body_of
from hanging_disk import hanging_bodies

from proxy.cache.check import CacheCheck
from proxy.cache.config import CacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.memory_layer import MemoryCacheLayer
from proxy.cache.store import ByTag, Entry
from proxy.errors import StoreUnavailable

pytestmark = pytest.mark.anyio

LARGE = os.urandom(40_000)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskStore]:
    folder = str(tmp_path / "cache")
    filled = DiskStore(CacheConfig(dir=folder))
    for key in ("a", "b"):
        await filled.put("rendition", key, Entry(LARGE))
    await filled.put("record", "small", Entry(b"small"))
    await filled.close()
    store = DiskStore(CacheConfig(dir=folder, disk_timeout_seconds=1, disk_backoff_seconds=0))
    yield store
    await store.close()


async def until_used_again(store: DiskStore) -> None:
    while store.breakers[0].error:  # noqa: ASYNC110 - the kernel ends the calls, no event tells
        await asyncio.sleep(0.001)


async def test_the_first_timeout_means_a_miss_for_all_that_follow(
    store: DiskStore, tmp_path: Path
) -> None:
    (breaker,) = store.breakers
    with hanging_bodies(tmp_path / "cache"):
        assert await store.get("rendition", "a") is None
        assert breaker.error == "disk timeout exceeded after 1 s"
        assert await store.get("rendition", "b") is None
        assert await store.get("record", "small") is None
        await store.put("record", "other", Entry(b"other"))
        await store.add_tags("record", "small", ["tag:a"])
        assert breaker.skipped == 4
        assert {one.error for one in (await store.stats()).values()} == {breaker.error}
        with pytest.raises(StoreUnavailable):
            await store.purge(ByTag("tag:a"))
        with pytest.raises(StoreUnavailable):
            await store.verify()
    await until_used_again(store)
    assert body_of(await store.get("record", "small")) == b"small"
    assert await store.get("record", "other") is None


async def test_many_calls_that_wait_are_given_up_together(store: DiskStore, tmp_path: Path) -> None:
    with hanging_bodies(tmp_path / "cache"):
        assert (
            await asyncio.gather(*(store.get("rendition", "a") for _ in range(50))) == [None] * 50
        )
    await until_used_again(store)


async def test_memory_is_served_and_filled_meanwhile(store: DiskStore, tmp_path: Path) -> None:
    now = 0.0
    layer = MemoryCacheLayer(store, 1_000_000, clock=lambda: now)
    await layer.get("record", "small")  # opens the folder
    kept = await layer.get("record", "small")
    assert kept is not None
    with hanging_bodies(tmp_path / "cache"):
        assert await layer.get("rendition", "a") is None
        now += 3600
        assert await layer.get("record", "small") is kept
        await layer.put("rendition", "new", Entry(b"new", head=b"head"))
        new = await layer.get("rendition", "new")
        assert new is not None
        assert (new.body, new.head) == (b"new", b"head")
        assert new.stored_at > 0
    await until_used_again(store)
    now += 3600
    assert body_of(await layer.get("record", "small")) == b"small"
    assert await layer.get("rendition", "new") is None


async def test_readiness_tells_at_once(store: DiskStore, tmp_path: Path) -> None:
    check = CacheCheck(store)
    look = check.components["cache"]
    assert look().state == "ok"
    with hanging_bodies(tmp_path / "cache"):
        await store.get("rendition", "a")
        assert look().state == "degraded"
        assert look().detail == "disk not used: disk timeout exceeded after 1 s"
    await until_used_again(store)
    assert look().state == "ok"


async def test_a_store_whose_disk_hangs_can_be_closed(store: DiskStore, tmp_path: Path) -> None:
    with hanging_bodies(tmp_path / "cache"):
        await store.get("rendition", "a")
        await store.close()
