"""Originals stay in memory while their renditions are made, and are not written to disk.

Nobody asks for an original once all its sizes are made, and a million of them would push those that
live requests need out of the cache.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from proxy.cache.store import Cache, Entry, Kind, Selector

_MAX_BYTES = 64 * 1024 * 1024
"""Of those that no render holds any more."""


class RecentOriginals:
    """The cache, except that the last few originals are in the memory of this process."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._bytes = 0
        self.fetched_bytes = 0
        """Of all originals so far."""

    async def get(self, kind: Kind, key: str) -> Entry | None:
        if kind == "original":
            return self._entries.get(key)
        return await self._cache.get(kind, key)

    async def get_local(self, kind: Kind, key: str) -> Entry | None:
        if kind == "original":
            return self._entries.get(key)
        return await self._cache.get_local(kind, key)

    async def put(
        self, kind: Kind, key: str, entry: Entry, *, started_at: float | None = None
    ) -> None:
        if kind != "original":
            await self._cache.put(kind, key, entry, started_at=started_at)
            return
        self._remove(key)
        self._entries[key] = entry
        self._bytes += len(entry.body)
        self.fetched_bytes += len(entry.body)
        while self._bytes > _MAX_BYTES:
            self._remove(next(iter(self._entries)))

    async def add_tags(self, kind: Kind, key: str, tags: Iterable[str]) -> None:
        if kind != "original":
            await self._cache.add_tags(kind, key, tags)

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        self._entries.clear()
        self._bytes = 0
        return await self._cache.purge(selector, soft=soft)

    async def close(self) -> None:
        """Leave the cache open, which has another owner."""

    def _remove(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry.body)
