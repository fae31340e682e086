"""Renditions in the caches from which live requests are answered."""

from collections.abc import Collection

from proxy.cache.store import Cache
from proxy.errors import StoreUnavailable
from proxy.prepare.job import Wanted
from proxy.prepare.manifest import ManifestRow
from proxy.prepare.outputs.output import check_storable
from proxy.prepare.write_through import WriteThroughCache
from proxy.service import ImageResult


class LocalCacheOutput:
    """The cache of this machine. It has stored the rendition; this makes sure of it."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def store(
        self, row: ManifestRow, wanted: Wanted, result: ImageResult, names: Collection[str]
    ) -> str:
        check_storable(result)
        if await self._cache.get_local("rendition", wanted.request.key) is None:
            raise StoreUnavailable(
                "the cache of this machine has not kept the rendition: its disk is full or slow, "
                "or FRAMEKEEP_CACHE_MAX_RESULT_BYTES is too small"
            )
        return ""


class SharedCacheOutput:
    """The bucket that several machines share, with the records of the originals."""

    def __init__(self, cache: WriteThroughCache) -> None:
        self._cache = cache

    async def store(
        self, row: ManifestRow, wanted: Wanted, result: ImageResult, names: Collection[str]
    ) -> str:
        check_storable(result)
        for source in wanted.request.sources:
            await self._cache.publish("record", source.key)
        if not await self._cache.publish("rendition", wanted.request.key):
            raise StoreUnavailable("the rendition was evicted before the bucket had it")
        return ""
