"""A machine that shares a bucket: its cache in memory, in front of the bucket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cache.suite import Clock
from memory_store import MemoryStore

from proxy.cache.config import SharedCacheConfig
from proxy.cache.memory_layer import MemoryCacheLayer
from proxy.cache.shared import SharedCache
from proxy.cache.store import Cache


@asynccontextmanager
async def open_machine(
    bucket: str,
    clock: Clock | None = None,
    local: Cache | None = None,
    *,
    keys: tuple[str, ...] = (),
) -> AsyncIterator[SharedCache]:
    """Waits for the bucket, uses it again at once after failures, and looks for purges when told.

    ``bucket`` is its URL.
    """
    config = SharedCacheConfig(
        url=bucket,
        keys=keys,
        read_timeout_seconds=10,
        purge_poll_seconds=3600,
        backoff_seconds=0,
    )
    clock = clock or Clock()
    layer = local or MemoryCacheLayer(MemoryStore(10_000_000, clock=clock), 0)
    store = SharedCache(layer, config, clock=clock)
    store.start()
    await store._has_tried.wait()
    yield store
    await store.close()
