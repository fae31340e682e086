"""The shared cache of a process that fills it: an entry is in the bucket, or it failed."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path

from proxy.cache.bucket import BucketError
from proxy.cache.config import SharedCacheConfig
from proxy.cache.peers import PurgePeers
from proxy.cache.shared import SHARED_KINDS, SharedCache
from proxy.cache.sqlite import StorageError
from proxy.cache.store import Cache, Entry, Kind
from proxy.cache.write_behind import PendingWrite
from proxy.errors import StoreUnavailable
from proxy.runtime.background import BackgroundTasks, describe

_log = logging.getLogger("framekeep.prepare")

_MAX_TRIES = 9
_MAX_PAUSE_SECONDS = 60.0
_MAX_WRITTEN = 100_000


class WriteThroughCache(SharedCache):
    """Waits until the bucket has what is put, for some minutes where it does not answer.

    Unlike other stores it raises StoreUnavailable where an entry could not be written.
    """

    def __init__(
        self,
        local: Cache,
        config: SharedCacheConfig,
        *,
        folder: Path | None = None,
        peers: PurgePeers | None = None,
        background: BackgroundTasks | None = None,
    ) -> None:
        """Raises ValueError if the bucket cannot be opened."""
        super().__init__(local, config, folder=folder, peers=peers, background=background)
        self._written: OrderedDict[tuple[Kind, str], None] = OrderedDict()

    async def put(
        self, kind: Kind, key: str, entry: Entry, *, started_at: float | None = None
    ) -> None:
        self.start()
        self._misses.pop((kind, key), None)
        stored_at = self._clock()
        await self._local.put(kind, key, entry, started_at=started_at)
        if kind in SHARED_KINDS:
            began = self.began(started_at)
            write = PendingWrite(kind, key, entry.tags, entry, began, stored_at)
            await _until_done(partial(self._write, write))

    async def add_tags(self, kind: Kind, key: str, tags: Iterable[str]) -> None:
        added = tuple(tags)
        await self._local.add_tags(kind, key, added)
        if kind in SHARED_KINDS:
            await _until_done(partial(self._write, PendingWrite(kind, key, added, only_tags=True)))

    async def publish(self, kind: Kind, key: str) -> bool:
        """Write the entry of this machine unless the bucket has it; False where there is none.

        Raises StoreUnavailable.
        """
        if (kind, key) in self._written:
            return True
        entry = await self._local.get(kind, key)
        if entry is None:
            return False
        await _until_done(partial(self._publish, kind, key, entry))
        return True

    async def _publish(self, kind: Kind, key: str, entry: Entry) -> None:
        data = await self._entries.fetch(kind, key)
        found = None if data is None else await self._entries.decode(kind, key, data)
        if found is not None and found.head == entry.head:
            self._remember_written(kind, key)
        else:
            now = self._monotonic()
            await self._write(PendingWrite(kind, key, entry.tags, entry, now, self._clock()))

    async def _write(self, write: PendingWrite) -> None:
        async with asyncio.timeout(self._config.write_timeout_seconds):
            await self._entries.write(write)
        if not write.only_tags:
            self._remember_written(write.kind, write.key)

    def _remember_written(self, kind: Kind, key: str) -> None:
        self._written[kind, key] = None
        if len(self._written) > _MAX_WRITTEN:
            self._written.popitem(last=False)


async def _until_done(write: Callable[[], Awaitable[None]]) -> None:
    pause, reason = 1.0, ""
    for attempt in range(_MAX_TRIES):
        if attempt:
            await asyncio.sleep(pause)
            pause = min(pause * 2, _MAX_PAUSE_SECONDS)
        try:
            await write()
        except (TimeoutError, BucketError, StorageError) as error:
            reason = describe(error)
            _log.warning("bucket not written, attempt %d: %s", attempt + 1, reason)
        else:
            return
    raise StoreUnavailable("the shared cache could not be written", detail=reason)
