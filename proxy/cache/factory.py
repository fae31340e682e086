"""The levels of the cache as the settings have them: memory, disk, and a bucket behind."""

from proxy.cache.disk import CacheConfig, DiskStore
from proxy.cache.lru import HotStore
from proxy.cache.shared import SharedCacheConfig, SharedStore
from proxy.cache.store import Store


def levels(cache: CacheConfig, shared: SharedCacheConfig) -> Store:
    """One store over all levels. Raises ValueError for a bucket that cannot be opened."""
    near = HotStore(DiskStore(cache), cache.max_memory_bytes)
    return SharedStore(near, shared) if shared.url else near
