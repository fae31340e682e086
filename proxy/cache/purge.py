"""A purge, everywhere: in the cache first, then in the caches in front of us.

In this order, because a CDN that has let go asks us at once, and must not be given the old.
"""

import asyncio
from collections.abc import Mapping, Sequence

from msgspec import Struct

from proxy.cache.cache_tags import EVERY, tag_of
from proxy.cache.cdn import Cdn, CdnFailed
from proxy.cache.store import KINDS, Everything, Kind, Labelled, Prefixed, Selector, Store

MOST_TAGS = 10_000


class Purged(Struct, frozen=True):
    """How many entries of each kind were hit, and what came of telling each CDN: "" is well."""

    entries: Mapping[Kind, int]
    told: Mapping[str, str]

    @property
    def complete(self) -> bool:
        return not any(self.told.values())


class Purging:
    """Purges a store and the CDNs in front of it."""

    def __init__(
        self, store: Store, cdns: Sequence[Cdn] = (), *, tries: int = 3, pause: float = 0.5
    ) -> None:
        """``pause``: seconds before a CDN is told again, doubled each time."""
        self._store = store
        self._cdns = cdns
        self._tries = tries
        self._pause = pause

    async def purge(self, selectors: Sequence[Selector], *, soft: bool = False) -> Purged:
        """Purge all that is selected. Raises StoreUnavailable: then no CDN was told."""
        labels = [label for selector in selectors for label in await self._labels(selector)]
        counts: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        for selector in selectors:
            for kind, count in (await self._store.purge(selector, soft=soft)).items():
                counts[kind] += count
        tags = [tag for tag in dict.fromkeys(map(tag_of, labels)) if tag]
        if Everything() in selectors:
            tags = [EVERY]
        told = await asyncio.gather(*(self._tell(cdn, tags, soft=soft) for cdn in self._cdns))
        return Purged(counts, dict(zip((cdn.name for cdn in self._cdns), told, strict=True)))

    async def _labels(self, selector: Selector) -> Sequence[str]:
        match selector:
            case Labelled(label):
                return (label,)
            case Prefixed(prefix):
                # A CDN knows no prefixes: it is told of each source that we know of.
                return await self._store.labels(prefix, MOST_TAGS) if self._cdns else ()
            case Everything():
                return ()

    async def _tell(self, cdn: Cdn, tags: Sequence[str], *, soft: bool) -> str:
        if len(tags) >= MOST_TAGS:
            return f"{MOST_TAGS} tags or more are too many to tell; purge everything there"
        for tried in range(self._tries):
            try:
                await cdn.purge(tags, soft=soft)
            except CdnFailed as error:
                failure = str(error)
                await asyncio.sleep(self._pause * 2**tried if tried + 1 < self._tries else 0)
            else:
                return ""
        return failure
