"""Cache renditions, and decide how fresh they are by what is known of their origins.

A rendition is made of one original and of the second images that its operations name. It is only
as fresh as the least fresh of them.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from proxy.cache import entries
from proxy.cache.entries import CachedRendition, Optimization
from proxy.cache.freshness import Fresh, Freshness, OriginRecord, combine
from proxy.cache.origin_cache import FetchedOriginal, OriginCache, source_tags
from proxy.cache.store import Cache, ChangeToken, Kind
from proxy.imaging.results import Rendition
from proxy.originals import OriginalRef

_MAX_TAGS = 128  # of one rendition
_FRESH_FOR_SECONDS = 1.0  # how long a response may be repeated before its age is evaluated again


class StoredRendition(Struct, frozen=True):
    """A cached rendition with the record of its main source.

    A miss was rendered or revalidated for the caller; a hit was found so.
    """

    cached: CachedRendition
    record: OriginRecord
    state: Literal["hit", "miss"] = "hit"


class RenditionCache:
    """Renditions in the store; ``sources`` of a rendition name the main original first."""

    def __init__(self, store: Cache, origins: OriginCache, detector_version: str = "") -> None:
        self._store = store
        self._origins = origins
        self._detector_version = detector_version

    async def get(
        self, key: str, sources: Sequence[OriginalRef]
    ) -> tuple[StoredRendition | None, Freshness]:
        """Return the cached rendition, and what may be done with it."""
        cached = await self.read(key)
        states = [
            await self._origins.get_state(source, shared=cached is not None) for source in sources
        ]
        digests: tuple[str | None, ...] = cached.originals if cached else ()
        if len(digests) != len(sources):
            digests = (None,) * len(sources)
        soft_purged_at = cached.soft_purged_at if cached else 0.0
        freshness = combine(
            self._origins.evaluate(source, state, digest, soft_purged_at)
            for source, state, digest in zip(sources, states, digests, strict=True)
        )
        record = states[0].record
        return (StoredRendition(cached, record) if cached and record else None), freshness

    async def get_fresh(self, key: str, sources: Sequence[OriginalRef]) -> StoredRendition | None:
        stored, freshness = await self.get(key, sources)
        return stored if freshness == Fresh() else None

    async def read(self, key: str) -> CachedRendition | None:
        """Return the cached rendition, however old."""
        return entries.decode_rendition(await self._store.get("rendition", key))

    async def revalidate(
        self, cached: CachedRendition, sources: Sequence[OriginalRef]
    ) -> StoredRendition | None:
        """Revalidate the sources; return the rendition if none changed. Raises a SourceError."""
        records = await asyncio.gather(
            *(self._origins.get_record(source, cached.soft_purged_at) for source in sources)
        )
        if cached.originals != tuple(record.digest for record in records):
            return None
        return StoredRendition(cached, records[0], "miss")

    async def put(
        self,
        key: str,
        rendition: Rendition,
        sources: Sequence[OriginalRef],
        originals: Sequence[FetchedOriginal],
        *,
        tags: Iterable[str],
        cost: float,
        started_at: float,
        optimization: Optimization = "",
    ) -> StoredRendition:
        """Store a rendition that was just made of these originals, if all of them may be stored.

        ``tags`` are those beside its sources' own; ``cost`` is the seconds of rendering;
        ``started_at``, in Unix seconds, lets the store apply purges that came meanwhile.
        """
        tags_of_sources = tuple(
            dict.fromkeys(
                tag
                for source, original in zip(sources, originals, strict=True)
                for tag in source_tags(source, original.record)
            )
        )[:_MAX_TAGS]
        digests = tuple(one.original.digest for one in originals)
        cached = CachedRendition(
            rendition,
            entries.weak_etag(key, digests, self._detector_version, optimization),
            digests,
            tags=tuple(dict.fromkeys((*tags_of_sources, *tags)))[:_MAX_TAGS],
            source_tags=tags_of_sources,
            optimization=optimization,
        )
        record = originals[0].record
        limiting = [one.record for one in originals if not one.allows_storing]
        if limiting:
            # The response says what holds for all images that it is made of.
            metadata = replace(record.metadata, directives=limiting[0].metadata.directives)
            return StoredRendition(cached, replace(record, ttl=0.0, metadata=metadata), "miss")
        entry = entries.encode_rendition(cached, cost)
        await self._store.put("rendition", key, entry, started_at=started_at)
        return StoredRendition(cached, record, "miss")

    async def flush(self) -> None:
        """Wait until other processes find everything that was put, but not for long."""
        await self._store.flush()

    async def mark_useless(self, key: str, cached: CachedRendition, *, started_at: float) -> None:
        """Remember that this rendition cannot be optimized."""
        entry = entries.encode_rendition(replace(cached, optimization="useless"), cached.cost)
        await self._store.put("rendition", key, entry, started_at=started_at)

    def missing_tags(self, stored: StoredRendition, tags: Iterable[str]) -> list[str]:
        """Return the tags that the rendition lacks; none if it would have too many."""
        missing = set(tags).difference(stored.cached.tags)
        fits = len(stored.cached.tags) + len(missing) <= _MAX_TAGS
        return sorted(missing) if fits else []

    async def add_tags(self, key: str, tags: Iterable[str]) -> None:
        """Add the tags of another link to the same rendition, so that they purge it too."""
        await self._store.add_tags("rendition", key, tags)

    def change_token(self, key: str, sources: Sequence[OriginalRef]) -> ChangeToken | None:
        """Return a check whether a rendition that is fresh now may be served again as it is.

        It turns false for good when the rendition or a record of its sources changes, and after
        a second, so that its age is evaluated again. None: the store does not notice changes.
        """
        until = time.monotonic() + _FRESH_FOR_SECONDS
        mark_used = self._store.mark_used
        records: list[tuple[Kind, str]] = [("record", source.key) for source in sources]
        unchanged = self._store.change_token(("rendition", key), *records)
        if unchanged is None:
            return None

        def is_current() -> bool:
            current = time.monotonic() < until and unchanged()
            if current:
                mark_used("rendition", key)
            return current

        return is_current
