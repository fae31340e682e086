"""Entries in the memory of one process: for tests, and for a server without a disk."""

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import structs

from proxy.cache.store import (
    KINDS,
    Entry,
    Everything,
    Kind,
    Labelled,
    Prefixed,
    Repairs,
    Selector,
    Shelved,
)

_PURGES_KEPT = 3600.0  # seconds; no work on an entry lasts longer


class MemoryStore:
    """At most so many bytes of bodies and heads in all; what was of no use for longest goes first.

    ``clock`` is in seconds since the epoch.
    """

    def __init__(self, budget: int, *, clock: Callable[[], float] = time.time) -> None:
        self._budget = budget
        self._clock = clock
        self._kept: OrderedDict[tuple[Kind, str], Entry] = OrderedDict()
        self._bytes = 0
        self._hits: Counter[Kind] = Counter()
        self._misses: Counter[Kind] = Counter()
        self._purges: list[tuple[float, Selector, bool]] = []

    def watch(self, *places: tuple[Kind, str]) -> Callable[[], bool] | None:
        """Nothing is told of changes: what is here is as near as any copy could be."""
        return None

    def touch(self, kind: Kind, key: str) -> None:
        if (kind, key) in self._kept:
            self._kept.move_to_end((kind, key))

    async def get(self, kind: Kind, key: str) -> Entry | None:
        entry = self._kept.get((kind, key))
        if entry is not None and entry.stored > self._clock():
            self._forget((kind, key))
            entry = None
        if entry is None:
            self._misses[kind] += 1
            return None
        self._hits[kind] += 1
        self._kept.move_to_end((kind, key))
        return entry

    async def put(self, kind: Kind, key: str, entry: Entry, *, begun: float | None = None) -> None:
        met = [
            (at, soft)
            for at, selector, soft in self._purges
            if at >= (math.inf if begun is None else begun) and selects(selector, entry)
        ]
        if any(not soft for _, soft in met):
            return
        self._forget((kind, key))
        stale_since = max((at for at, _ in met), default=0.0)
        labels = tuple(dict.fromkeys(entry.labels))
        self._kept[kind, key] = structs.replace(
            entry, stored=self._clock(), stale_since=stale_since, labels=labels
        )
        self._bytes += _size(entry)
        while self._bytes > self._budget:
            self._forget(next(iter(self._kept)))

    async def remove(self, kind: Kind, key: str) -> None:
        self._forget((kind, key))

    async def label(self, kind: Kind, key: str, labels: Iterable[str]) -> None:
        entry = self._kept.get((kind, key))
        if entry is not None:
            union = tuple(dict.fromkeys((*entry.labels, *labels)))
            self._kept[kind, key] = structs.replace(entry, labels=union)

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        now = self._clock()
        recent = [purge for purge in self._purges if purge[0] > now - _PURGES_KEPT]
        self._purges = [*recent, (now, selector, soft)]
        counts: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        for place, entry in list(self._kept.items()):
            if selects(selector, entry):
                counts[place[0]] += 1
                if soft:
                    self._kept[place] = structs.replace(entry, stale_since=now)
                else:
                    self._forget(place)
        return counts

    async def labels(self, prefix: str, at_most: int) -> Sequence[str]:
        carried = {label for entry in self._kept.values() for label in entry.labels}
        return sorted(label for label in carried if label.startswith(prefix))[:at_most]

    async def stats(self) -> Mapping[Kind, Shelved]:
        found = {}
        for kind in KINDS:
            sizes = [_size(entry) for (one, _), entry in self._kept.items() if one == kind]
            found[kind] = Shelved(
                entries=len(sizes),
                bytes=sum(sizes),
                budget=self._budget,
                hits=self._hits[kind],
                misses=self._misses[kind],
            )
        return found

    async def verify(self) -> Mapping[Kind, Repairs]:
        kept = Counter(kind for kind, _ in self._kept)
        return {kind: Repairs(entries=kept[kind]) for kind in KINDS}

    async def close(self) -> None:
        self._kept.clear()
        self._bytes = 0

    def _forget(self, place: tuple[Kind, str]) -> None:
        entry = self._kept.pop(place, None)
        if entry is not None:
            self._bytes -= _size(entry)


def selects(selector: Selector, entry: Entry) -> bool:
    """Whether a purge means this entry."""
    match selector:
        case Everything():
            return True
        case Labelled(label):
            return label in entry.labels
        case Prefixed(prefix):
            return any(label.startswith(prefix) for label in entry.labels)


def _size(entry: Entry) -> int:
    return len(entry.body) + len(entry.head)
