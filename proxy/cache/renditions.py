"""Cache renditions, and decide how fresh they are by what is known of their origins.

A rendition is made of one original and of the second images that its operations name. It is only
as fresh as the least fresh of them.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from proxy.cache import entries
from proxy.cache.entries import KeptRendition
from proxy.cache.freshness import Fresh, Record, Verdict, worst
from proxy.cache.originals import Supplied, Supply, source_labels
from proxy.cache.store import Kind, Store
from proxy.imaging.image import Rendition
from proxy.originals import OriginalRef

_MAX_TAGS = 128  # of one rendition
_FRESH_FOR_SECONDS = 1.0  # how long an answer may be repeated before its age is looked at again


class StoredRendition(Struct, frozen=True):
    """A cached rendition with the record of its main source."""

    cached: KeptRendition
    record: Record


class RenditionCache:
    """Renditions in the store; ``sources`` of a rendition name the main original first."""

    def __init__(self, store: Store, origins: Supply) -> None:
        self._store = store
        self._origins = origins

    async def get(
        self, key: str, sources: Sequence[OriginalRef]
    ) -> tuple[StoredRendition | None, Verdict]:
        """The cached rendition, and what may be done with it."""
        cached = await self.read(key)
        standings = [await self._origins.standing(source) for source in sources]
        made_of: tuple[str | None, ...] = cached.originals if cached else ()
        if len(made_of) != len(sources):
            made_of = (None,) * len(sources)
        soft_purged_at = cached.marked if cached else 0.0
        freshness = worst(
            self._origins.judge(source, standing, original, soft_purged_at)
            for source, standing, original in zip(sources, standings, made_of, strict=True)
        )
        record = standings[0].record
        return (StoredRendition(cached, record) if cached and record else None), freshness

    async def get_fresh(self, key: str, sources: Sequence[OriginalRef]) -> StoredRendition | None:
        stored, freshness = await self.get(key, sources)
        return stored if freshness == Fresh() else None

    async def read(self, key: str) -> KeptRendition | None:
        """The cached rendition, however old."""
        return entries.kept_rendition(await self._store.get("rendition", key))

    async def revalidate(
        self, cached: KeptRendition, sources: Sequence[OriginalRef]
    ) -> StoredRendition | None:
        """Ask the sources; the same rendition if none of them has changed. Raises a SourceError."""
        records = await asyncio.gather(
            *(self._origins.record(source, cached.marked) for source in sources)
        )
        if cached.originals != tuple(record.digest for record in records):
            return None
        return StoredRendition(cached, records[0])

    async def put(
        self,
        key: str,
        rendition: Rendition,
        sources: Sequence[OriginalRef],
        originals: Sequence[Supplied],
        *,
        tags: Iterable[str],
        cost: float,
        started_at: float,
    ) -> StoredRendition:
        """Store a rendition that was just made of these originals.

        ``tags`` are those beside its sources' own; ``cost`` is the seconds of rendering;
        ``started_at``, in Unix seconds, lets the store see purges that came meanwhile.
        """
        source_tags = [
            tag
            for source, original in zip(sources, originals, strict=True)
            for tag in source_labels(source, original.record)
        ]
        cached = entries.finished(
            rendition,
            tuple(one.original.digest for one in originals),
            tuple(dict.fromkeys((*source_tags, *tags)))[:_MAX_TAGS],
        )
        entry = entries.rendition_entry(cached, cost)
        await self._store.put("rendition", key, entry, begun=started_at)
        return StoredRendition(cached, originals[0].record)

    def missing_tags(self, stored: StoredRendition, tags: Iterable[str]) -> list[str]:
        """The tags that the stored rendition lacks and has room for: all of them, or none."""
        missing = set(tags).difference(stored.cached.labels)
        fits = len(stored.cached.labels) + len(missing) <= _MAX_TAGS
        return sorted(missing) if fits else []

    async def add_tags(self, key: str, tags: Iterable[str]) -> None:
        """Add the tags of another link to the same rendition, so that they purge it too."""
        await self._store.label("rendition", key, tags)

    def change_token(self, key: str, sources: Sequence[OriginalRef]) -> Callable[[], bool] | None:
        """A check whether a rendition that is fresh now may be served again without a look-up.

        It turns false for good when the rendition or a record of its sources changes, and after
        a second, so that its age is judged again. None: the store does not notice changes.
        """
        until = time.monotonic() + _FRESH_FOR_SECONDS
        mark_used = self._store.touch
        records: list[tuple[Kind, str]] = [("record", source.key) for source in sources]
        unchanged = self._store.watch(("rendition", key), *records)
        if unchanged is None:
            return None

        def is_current() -> bool:
            current = time.monotonic() < until and unchanged()
            if current:
                mark_used("rendition", key)
            return current

        return is_current
