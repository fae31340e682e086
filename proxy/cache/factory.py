"""Open the cache: memory, then the store of this machine, then a bucket that machines share.

To use another store, pass it to `open_cache`; it replaces the disk, and keeps the layers around it.
"""

from proxy.cache.config import CacheConfig, SharedCacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.memory_layer import MemoryCacheLayer
from proxy.cache.peers import PurgePeers
from proxy.cache.shared import SharedCache
from proxy.cache.store import Cache, Store
from proxy.runtime.background import BackgroundTasks


def open_cache(
    config: CacheConfig,
    shared_config: SharedCacheConfig,
    store: Store | None = None,
    *,
    peers: PurgePeers | None = None,
    background: BackgroundTasks | None = None,
    shared_kind: type[SharedCache] = SharedCache,
) -> Cache:
    """Return the layered cache; closing it closes the store.

    ``store`` replaces the disk, ``shared_kind`` is what writes to the shared bucket; ``peers`` are
    told of purges. Raises ValueError if the bucket cannot be opened.
    """
    base = store or DiskStore(config, max_pending_bytes=config.max_pending_bytes)
    cache = MemoryCacheLayer(base, config.max_memory_bytes)
    if not shared_config.url:
        return cache
    # Another store may be one of this process alone: then each process learns purges for itself.
    folder = config.directory() if store is None else None
    return shared_kind(cache, shared_config, folder=folder, peers=peers, background=background)
