"""The entries most asked for, in memory, never older than what is kept behind them.

Each copy watches its key from before it was read. It is answered only while nothing has changed
there, so a purge or a newer entry of any process is seen at once. Nothing is awaited for a hit. In
the same way it is known for a moment that something is not kept: on the way to a new picture that
is asked several times, by each step for itself.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from proxy.buffers import SharedBuffer
from proxy.cache.store import Entry, Kind, Repairs, Selector, Shelved, Store

_TRUSTED = 10.0  # seconds; then a copy is read again, should the folder itself have been replaced

_OPEN = 8
_LARGEST_OPEN = 8_000_000
"""How many bodies in files are held open, and of how many bytes each: what was removed meanwhile
takes that much of the disk until it is let go of."""

_ABSENT = 1.0  # seconds for which it goes without saying that nothing was kept
_MOST_ABSENT = 4096


class _Copy(NamedTuple):
    """``size``: bytes of memory."""

    entry: Entry
    still: Callable[[], bool]
    until: float
    size: int


class HotStore:
    """Copies of small entries, at most so many bytes of them; the longest unused go first.

    Of originals the last few are held open: to look for one and compare it with its digest is half
    of what a further size costs an HTTP worker.

    ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        behind: Store,
        budget: int,
        *,
        largest: int = 512 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``largest``: bytes of an entry; what is larger costs little more from disk."""
        self._behind = behind
        self._budget = budget
        self._largest = largest
        self._clock = clock
        self._copies: OrderedDict[tuple[Kind, str], _Copy] = OrderedDict()
        self._bytes = 0
        self._open: OrderedDict[tuple[Kind, str], None] = OrderedDict()
        self._absent: OrderedDict[tuple[Kind, str], tuple[Callable[[], bool], float]]
        self._absent = OrderedDict()

    def watch(self, *places: tuple[Kind, str]) -> Callable[[], bool] | None:
        """Whether what is kept is still the same, whenever asked; None: that cannot be known."""
        return self._behind.watch(*places)

    def touch(self, kind: Kind, key: str) -> None:
        """Say that the entry was of use, though it was not read from here."""
        self._behind.touch(kind, key)

    def peek(self, kind: Kind, key: str) -> Entry | None:
        """The entry, if a copy is at hand that is still right."""
        copy = self._copies.get((kind, key))
        if copy is None:
            return None
        if copy.until < self._clock() or not copy.still():
            self._forget((kind, key))
            return None
        self._copies.move_to_end((kind, key))
        if (kind, key) in self._open:
            self._open.move_to_end((kind, key))
        self._behind.touch(kind, key)
        return copy.entry

    async def get(self, kind: Kind, key: str) -> Entry | None:
        found = self.peek(kind, key)
        if found is not None:
            return found
        if self._is_absent(kind, key):
            return None
        still = self._behind.watch((kind, key))  # before the read: a later change is noticed
        entry = await self._behind.get(kind, key)
        if still is not None and entry is not None:
            self._copy(kind, key, entry, still)
        elif still is not None:
            self._note_absent(kind, key, still)
        return entry

    async def put(self, kind: Kind, key: str, entry: Entry, *, begun: float | None = None) -> None:
        await self._behind.put(kind, key, entry, begun=begun)

    async def remove(self, kind: Kind, key: str) -> None:
        await self._behind.remove(kind, key)

    async def label(self, kind: Kind, key: str, labels: Iterable[str]) -> None:
        await self._behind.label(kind, key, labels)

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        return await self._behind.purge(selector, soft=soft)

    async def labels(self, prefix: str, at_most: int) -> Sequence[str]:
        return await self._behind.labels(prefix, at_most)

    async def stats(self) -> Mapping[Kind, Shelved]:
        return await self._behind.stats()

    async def verify(self) -> Mapping[Kind, Repairs]:
        return await self._behind.verify()

    async def close(self) -> None:
        self._copies.clear()
        self._open.clear()
        self._bytes = 0
        await self._behind.close()

    def _is_absent(self, kind: Kind, key: str) -> bool:
        noted = self._absent.get((kind, key))
        return noted is not None and self._clock() < noted[1] and noted[0]()

    def _note_absent(self, kind: Kind, key: str, still: Callable[[], bool]) -> None:
        self._absent[kind, key] = still, self._clock() + _ABSENT
        self._absent.move_to_end((kind, key))
        if len(self._absent) > _MOST_ABSENT:
            self._absent.popitem(last=False)

    def _copy(self, kind: Kind, key: str, entry: Entry, still: Callable[[], bool]) -> None:
        held_open = isinstance(entry.body, SharedBuffer)
        size = len(entry.head) + (0 if held_open else len(entry.body))
        if len(entry.body) > (_LARGEST_OPEN if held_open else self._largest) or size > self._budget:
            return
        self._forget((kind, key))
        until = self._clock() + _TRUSTED
        self._copies[kind, key] = _Copy(entry, still, until, size)
        self._bytes += size
        while self._bytes > self._budget:
            self._forget(next(iter(self._copies)))
        if held_open:
            self._open[kind, key] = None
            if len(self._open) > _OPEN:
                self._forget(next(iter(self._open)))

    def _forget(self, place: tuple[Kind, str]) -> None:
        self._open.pop(place, None)
        copy = self._copies.pop(place, None)
        if copy is not None:
            self._bytes -= copy.size
