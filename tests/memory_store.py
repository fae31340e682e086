"""A store in the memory of one process: the second implementation of `Store`, for tests."""

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import structs

from proxy.cache.store import KINDS, CacheStats, Entry, Kind, Selector, selects

_PURGE_LOG_SECONDS = 3600.0  # no work on an entry takes longer


class MemoryStore:
    """Up to ``budget`` bytes in all; the least recently used go first.

    ``clock`` is in Unix seconds.
    """

    def __init__(self, budget: int, *, clock: Callable[[], float] = time.time) -> None:
        self._budget = budget
        self._clock = clock
        self._entries: OrderedDict[tuple[Kind, str], Entry] = OrderedDict()
        self._bytes = 0
        self._hits: Counter[Kind] = Counter()
        self._misses: Counter[Kind] = Counter()
        self._purges: list[tuple[float, Selector, bool]] = []

    async def get(self, kind: Kind, key: str) -> Entry | None:
        entry = self._entries.get((kind, key))
        if entry is not None and entry.stored_at > self._clock():
            self._drop((kind, key))
            entry = None
        if entry is None:
            self._misses[kind] += 1
            return None
        self._hits[kind] += 1
        self._entries.move_to_end((kind, key))
        return entry

    async def put(
        self, kind: Kind, key: str, entry: Entry, *, started_at: float | None = None
    ) -> None:
        since = math.inf if started_at is None else started_at
        purges = [
            (at, soft)
            for at, selector, soft in self._purges
            if at >= since and selects(selector, entry)
        ]
        if any(not soft for _, soft in purges):
            return
        self._drop((kind, key))
        self._entries[kind, key] = structs.replace(
            entry,
            stored_at=self._clock(),
            soft_purged_at=max((at for at, _ in purges), default=0.0),
            tags=tuple(dict.fromkeys(entry.tags)),
        )
        self._bytes += _size(entry)
        while self._bytes > self._budget:
            self._drop(next(iter(self._entries)))

    async def add_tags(self, kind: Kind, key: str, tags: Iterable[str]) -> None:
        entry = self._entries.get((kind, key))
        if entry is not None:
            union = tuple(dict.fromkeys((*entry.tags, *tags)))
            self._entries[kind, key] = structs.replace(entry, tags=union)

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        now = self._clock()
        recent = [purge for purge in self._purges if purge[0] > now - _PURGE_LOG_SECONDS]
        self._purges = [*recent, (now, selector, soft)]
        counts: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        for place, entry in list(self._entries.items()):
            if selects(selector, entry):
                counts[place[0]] += 1
                if soft:
                    self._entries[place] = structs.replace(entry, soft_purged_at=now)
                else:
                    self._drop(place)
        return counts

    async def close(self) -> None:
        self._entries.clear()
        self._bytes = 0

    async def tags_with_prefix(self, prefix: str, limit: int) -> Sequence[str]:
        tags = {tag for entry in self._entries.values() for tag in entry.tags}
        return sorted(tag for tag in tags if tag.startswith(prefix))[:limit]

    async def stats(self) -> Mapping[Kind, CacheStats]:
        found = {}
        for kind in KINDS:
            sizes = [_size(entry) for (one, _), entry in self._entries.items() if one == kind]
            found[kind] = CacheStats(
                entries=len(sizes),
                bytes=sum(sizes),
                budget=self._budget,
                hits=self._hits[kind],
                misses=self._misses[kind],
            )
        return found

    def _drop(self, place: tuple[Kind, str]) -> None:
        entry = self._entries.pop(place, None)
        if entry is not None:
            self._bytes -= _size(entry)


def _size(entry: Entry) -> int:
    return len(entry.body) + len(entry.head)
