from pathlib import Path

import pytest
from memory_store import MemoryStore

from proxy.cache.config import CacheConfig, SharedCacheConfig
from proxy.cache.factory import open_cache
from proxy.cache.store import Entry

pytestmark = pytest.mark.anyio


async def test_another_store_replaces_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    store = MemoryStore(1_000_000)
    cache = open_cache(CacheConfig(dir=str(folder)), SharedCacheConfig(), store)
    await cache.put("rendition", "k", Entry(b"body"))
    assert await store.get("rendition", "k") == await cache.get("rendition", "k")
    assert (await cache.stats())["rendition"].entries == 1
    assert not folder.exists()
    await cache.close()
    assert (await store.stats())["rendition"].entries == 0


async def test_without_another_store_the_cache_is_on_disk(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    cache = open_cache(CacheConfig(dir=str(folder)), SharedCacheConfig())
    await cache.put("rendition", "k", Entry(b"body"))
    assert (folder / "rendition").is_dir()
    await cache.close()
