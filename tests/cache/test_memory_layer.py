import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cache.suite import MEGABYTE, CacheSuite, Clock, StoreSuite, body_of
from memory_store import MemoryStore

from proxy.buffers import SharedBuffer
from proxy.cache.config import CacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.memory_layer import MemoryCacheLayer
from proxy.cache.store import All, ByTag, Entry, Store


class TestMemoryCacheLayer(CacheSuite):
    def make(self, folder: Path, clock: Clock, budget: int) -> Store:
        config = CacheConfig(
            dir=str(folder),
            max_result_bytes=budget,
            max_original_bytes=budget,
            max_detection_bytes=budget,
            max_metadata_bytes=budget,
        )
        return MemoryCacheLayer(DiskStore(config, clock=clock), budget)


class TestLayerOverAMinimalStore(StoreSuite):
    def make(self, folder: Path, clock: Clock, budget: int) -> Store:
        return MemoryCacheLayer(MinimalStore(budget, clock), budget)


class MinimalStore:
    """The five methods of a store, and no optional ability."""

    def __init__(self, budget: int, clock: Clock) -> None:
        store = MemoryStore(budget, clock=clock)
        self.get = store.get
        self.put = store.put
        self.add_tags = store.add_tags
        self.purge = store.purge
        self.close = store.close


pytestmark = pytest.mark.anyio


async def test_abilities_that_a_store_lacks_have_defaults() -> None:
    layer = MemoryCacheLayer(MinimalStore(MEGABYTE, Clock()), MEGABYTE)
    await layer.put("rendition", "k", Entry(b"body", tags=("tag:a",)))
    await layer.get("rendition", "k")
    assert layer.peek("rendition", "k") is None
    layer.mark_used("rendition", "k")
    assert layer.change_token(("rendition", "k")) is None
    assert await layer.tags_with_prefix("tag:", 10) is None
    assert await layer.stats() == {}
    assert await layer.verify() == {}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[DiskStore]:
    """What another process writes to."""
    disk = DiskStore(CacheConfig(dir=str(tmp_path / "cache")))
    await disk.stats()  # opens it
    yield disk
    await disk.close()


@pytest.fixture
async def layer(tmp_path: Path) -> AsyncIterator[MemoryCacheLayer]:
    layer = MemoryCacheLayer(DiskStore(CacheConfig(dir=str(tmp_path / "cache"))), MEGABYTE)
    await layer.stats()
    yield layer
    await layer.close()


async def test_the_second_read_comes_from_memory(layer: MemoryCacheLayer) -> None:
    await layer.put("rendition", "k", Entry(b"body"))
    assert layer.peek("rendition", "k") is None
    await layer.get("rendition", "k")
    found = layer.peek("rendition", "k")
    assert found is not None
    assert found.body == b"body"


async def test_changes_of_another_process_are_seen_at_once(
    layer: MemoryCacheLayer, disk: DiskStore
) -> None:
    await disk.put("rendition", "k", Entry(b"1", tags=("tag:a",)))
    assert body_of(await layer.get("rendition", "k")) == b"1"
    await disk.put("rendition", "k", Entry(b"2", tags=("tag:a",)))
    assert layer.peek("rendition", "k") is None
    assert body_of(await layer.get("rendition", "k")) == b"2"
    await disk.purge(ByTag("tag:a"), soft=True)
    stale = await layer.get("rendition", "k")
    assert stale is not None
    assert stale.soft_purged_at > 0
    await disk.purge(ByTag("tag:a"))
    assert await layer.get("rendition", "k") is None


async def test_an_entry_that_the_store_lost_is_not_served(
    layer: MemoryCacheLayer, disk: DiskStore
) -> None:
    await disk.put("rendition", "k", Entry(b"1", tags=("tag:a",)))
    await layer.get("rendition", "k")
    await disk.purge(ByTag("tag:a"))
    assert layer.peek("rendition", "k") is None
    await disk.put("rendition", "k", Entry(b"1"))
    await layer.get("rendition", "k")
    await disk.purge(All())
    assert layer.peek("rendition", "k") is None


async def test_memory_is_bounded(layer: MemoryCacheLayer) -> None:
    for number in range(20):
        await layer.put("rendition", str(number), Entry(os.urandom(100_000)))
        await layer.get("rendition", str(number))
        layer.peek("rendition", "0")
    in_memory = [n for n in range(20) if layer.peek("rendition", str(n)) is not None]
    assert in_memory == [0, *range(11, 20)]


async def test_large_entries_are_not_copied(layer: MemoryCacheLayer) -> None:
    await layer.put("rendition", "k", Entry(os.urandom(600_000)))
    assert await layer.get("rendition", "k") is not None
    assert layer.peek("rendition", "k") is None


async def test_the_last_few_originals_are_held_open(layer: MemoryCacheLayer) -> None:
    for number in range(20):
        await layer.put(
            "original", str(number), Entry(SharedBuffer.from_bytes(os.urandom(100_000)))
        )
        await layer.get("original", str(number))
        layer.peek("original", "0")
    open_files = [n for n in range(20) if layer.peek("original", str(n)) is not None]
    assert open_files == [0, *range(13, 20)]
    await layer.put("original", "large", Entry(SharedBuffer.from_bytes(bytes(8_000_001))))
    await layer.get("original", "large")
    assert layer.peek("original", "large") is None


async def test_an_original_that_was_purged_is_closed(
    layer: MemoryCacheLayer, disk: DiskStore
) -> None:
    await layer.put(
        "original", "k", Entry(SharedBuffer.from_bytes(os.urandom(100_000)), tags=("tag:a",))
    )
    await layer.get("original", "k")
    assert layer.peek("original", "k") is not None
    await disk.purge(ByTag("tag:a"))
    assert layer.peek("original", "k") is None


async def test_a_copy_expires(disk: DiskStore) -> None:
    clock = Clock()
    layer = MemoryCacheLayer(disk, MEGABYTE, clock=clock)
    await disk.put("rendition", "k", Entry(b"body"))
    await layer.get("rendition", "k")
    assert layer.peek("rendition", "k") is not None
    clock.now += 11
    assert layer.peek("rendition", "k") is None


async def test_entries_served_from_memory_are_not_evicted_from_disk(tmp_path: Path) -> None:
    config = CacheConfig(dir=str(tmp_path / "cache"), max_result_bytes=MEGABYTE)
    layer = MemoryCacheLayer(DiskStore(config), MEGABYTE)
    await layer.put("rendition", "used", Entry(os.urandom(100_000), cost=0.1))
    await layer.get("rendition", "used")
    for number in range(30):
        await layer.put("rendition", str(number), Entry(os.urandom(100_000), cost=0.1))
        assert layer.peek("rendition", "used") is not None
    await layer.close()
    again = DiskStore(config)
    assert await again.get("rendition", "used") is not None
    await again.close()
