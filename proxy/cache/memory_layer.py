"""The most used entries in memory: an LRU layer in front of any store, never staler than the store.

A copy is served only while its change token says that the store is unchanged, so a purge or a newer
entry of any process is seen immediately. A hit awaits nothing. That there is no entry is remembered
in the same way, for a second: several steps of a new request look for it separately. While the
store does not answer, copies stay, and new entries are kept here alone.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec import structs

from proxy.buffers import SharedBuffer
from proxy.cache.circuit_breaker import Breaker
from proxy.cache.store import (
    CacheStats,
    ChangeToken,
    Entry,
    HasCircuitBreakers,
    Kind,
    Selector,
    Store,
    SupportsChangeTokens,
    SupportsStats,
    SupportsTagListing,
    SupportsVerify,
    SupportsWriteBehind,
    VerifyReport,
)

_COPY_SECONDS = 10.0  # then an entry is read again, in case the store itself was replaced
_NEGATIVE_SECONDS = 1.0
_MAX_NEGATIVE = 4096

_COPY_BYTES = 500
"""Of a copy in memory, beside its bytes and tags."""

_MAX_OPEN_FILES = 8
_MAX_OPEN_BYTES = 8_000_000
"""How many bodies in files are held open, and of how many bytes each. A file that was removed
meanwhile takes disk space until it is closed."""


class _Copy(NamedTuple):
    """``size`` is in bytes of memory; ``expires_at`` is monotonic."""

    entry: Entry
    is_current: ChangeToken
    expires_at: float
    size: int


class MemoryCacheLayer:
    """Copies of small entries, up to a budget of bytes; the least recently used go first.

    A large body is not copied, but the files of the last few originals are held open. To find one
    and check its digest is half of what another size costs an HTTP worker.

    The layer has all abilities of a `Cache`. It passes on those of the store, and has a default for
    each that the store lacks. ``clock`` is monotonic, in seconds.
    """

    def __init__(
        self,
        store: Store,
        budget: int,
        *,
        max_entry_bytes: int = 512 * 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``max_entry_bytes``: a larger entry costs little more from disk."""
        self._store = store
        self._changes = store if isinstance(store, SupportsChangeTokens) else _NoChangeTokens()
        self.breakers: Sequence[Breaker] = (
            store.breakers if isinstance(store, HasCircuitBreakers) else ()
        )
        self._budget = budget
        self._max_entry_bytes = max_entry_bytes
        self._clock = clock
        self._copies: OrderedDict[tuple[Kind, str], _Copy] = OrderedDict()
        self._bytes = 0
        self._open_files: OrderedDict[tuple[Kind, str], None] = OrderedDict()
        self._negative: OrderedDict[tuple[Kind, str], tuple[ChangeToken, float]] = OrderedDict()

    def peek(self, kind: Kind, key: str) -> Entry | None:
        """Return the entry from memory, if there is a current copy."""
        copy = self._copies.get((kind, key))
        if copy is None:
            return None
        expired = copy.expires_at < self._clock() and not self._store_hangs()
        if expired or not copy.is_current() or not _is_intact(copy.entry):
            self._drop((kind, key))
            return None
        self._copies.move_to_end((kind, key))
        if (kind, key) in self._open_files:
            self._open_files.move_to_end((kind, key))
        self._changes.mark_used(kind, key)
        return copy.entry

    async def get(self, kind: Kind, key: str) -> Entry | None:
        copy = self.peek(kind, key)
        if copy is not None:
            return copy
        if self._is_negative(kind, key):
            return None
        token = self._changes.change_token((kind, key))  # before the read: later changes are seen
        entry = await self._store.get(kind, key)
        if token is not None and entry is not None:
            self._copy(kind, key, entry, token)
        elif token is not None:
            self._remember_negative(kind, key, token)
        return entry

    async def get_local(self, kind: Kind, key: str) -> Entry | None:
        return await self.get(kind, key)

    async def put(
        self, kind: Kind, key: str, entry: Entry, *, started_at: float | None = None
    ) -> None:
        token = self._changes.change_token((kind, key))
        await self._store.put(kind, key, entry, started_at=started_at)
        if token is not None and isinstance(entry.body, bytes) and self._store_hangs():
            # It was not stored: memory has it until the store answers again.
            self._copy(kind, key, structs.replace(entry, stored_at=time.time()), token)

    async def add_tags(self, kind: Kind, key: str, tags: Iterable[str]) -> None:
        await self._store.add_tags(kind, key, tags)

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        return await self._store.purge(selector, soft=soft)

    async def close(self) -> None:
        self._copies.clear()
        self._open_files.clear()
        self._bytes = 0
        await self._store.close()

    def change_token(self, *keys: tuple[Kind, str]) -> ChangeToken | None:
        return self._changes.change_token(*keys)

    def mark_used(self, kind: Kind, key: str) -> None:
        self._changes.mark_used(kind, key)

    def written(self) -> "asyncio.Future[None] | None":
        return self._store.written() if isinstance(self._store, SupportsWriteBehind) else None

    async def flush(self) -> None:
        if isinstance(self._store, SupportsWriteBehind):
            await self._store.flush()

    async def tags_with_prefix(self, prefix: str, limit: int) -> Sequence[str] | None:
        if isinstance(self._store, SupportsTagListing):
            return await self._store.tags_with_prefix(prefix, limit)
        return None

    async def stats(self) -> Mapping[Kind, CacheStats]:
        return await self._store.stats() if isinstance(self._store, SupportsStats) else {}

    async def verify(self) -> Mapping[Kind, VerifyReport]:
        return await self._store.verify() if isinstance(self._store, SupportsVerify) else {}

    def _store_hangs(self) -> bool:
        return any(breaker.error for breaker in self.breakers)

    def _is_negative(self, kind: Kind, key: str) -> bool:
        found = self._negative.get((kind, key))
        if found is None:
            return False
        is_current, expires_at = found
        return self._clock() < expires_at and is_current()

    def _remember_negative(self, kind: Kind, key: str, token: ChangeToken) -> None:
        self._negative[kind, key] = token, self._clock() + _NEGATIVE_SECONDS
        self._negative.move_to_end((kind, key))
        if len(self._negative) > _MAX_NEGATIVE:
            self._negative.popitem(last=False)

    def _copy(self, kind: Kind, key: str, entry: Entry, token: ChangeToken) -> None:
        is_file = isinstance(entry.body, SharedBuffer)
        size = _COPY_BYTES + len(entry.head) + sum(map(len, entry.tags))
        size += 0 if is_file else len(entry.body)
        max_bytes = _MAX_OPEN_BYTES if is_file else self._max_entry_bytes
        if len(entry.body) > max_bytes or size > self._budget:
            return
        self._drop((kind, key))
        expires_at = self._clock() + _COPY_SECONDS
        self._copies[kind, key] = _Copy(entry, token, expires_at, size)
        self._bytes += size
        while self._bytes > self._budget:
            self._drop(next(iter(self._copies)))
        if is_file:
            self._open_files[kind, key] = None
            if len(self._open_files) > _MAX_OPEN_FILES:
                self._drop(next(iter(self._open_files)))

    def _drop(self, place: tuple[Kind, str]) -> None:
        self._open_files.pop(place, None)
        copy = self._copies.pop(place, None)
        if copy is not None:
            self._bytes -= copy.size


def _is_intact(entry: Entry) -> bool:
    return not isinstance(entry.body, SharedBuffer) or entry.body.is_unchanged


class _NoChangeTokens:
    """For a store that does not notice changes."""

    def change_token(self, *keys: tuple[Kind, str]) -> ChangeToken | None:
        return None

    def mark_used(self, kind: Kind, key: str) -> None:
        pass
