"""The levels of the cache as the settings have them: memory, disk, and a bucket behind."""

from proxy.stores import Store
from proxy.stores.disk import CacheSettings, DiskStore
from proxy.stores.hot import HotStore
from proxy.stores.objects import SharedSettings, SharedStore


def levels(cache: CacheSettings, shared: SharedSettings) -> Store:
    """One store over all levels. Raises ValueError for a bucket that cannot be opened."""
    near = HotStore(DiskStore(cache), cache.memory_bytes)
    return SharedStore(near, shared) if shared.bucket else near
