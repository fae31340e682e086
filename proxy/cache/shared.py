"""A second level behind the cache of each machine: a bucket that several machines share.

- Read through: what is not in the local cache is read from the bucket, with a short timeout. A
  request asks several times for what is nowhere, but the bucket once.
- Write behind: entries are queued and written later; no request waits for it.
- A bucket that fails or is slow is not used for a while.
- A purge is an object, too; see `proxy.cache.purge_sync`. Entries of the bucket that were worked on
  before a purge are not used. Which those are, the bucket's clock says, not that of a machine.
- What is not signed with a key of the fleet, or is odd, is ignored and counted; see
  `proxy.cache.shared_objects`.
"""

import asyncio
import contextlib
import logging
import time
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec import structs

from proxy.cache.bucket import Bucket, BucketError
from proxy.cache.circuit_breaker import CircuitBreaker
from proxy.cache.config import SharedCacheConfig
from proxy.cache.envelope import CorruptEntry
from proxy.cache.purge_objects import PurgeCodec
from proxy.cache.purge_sync import PurgeSync
from proxy.cache.shared_objects import (
    EntryCodec,
    NotAuthentic,
    ObjectSigner,
    SharedEntry,
    entry_name,
)
from proxy.cache.sqlite import StorageError
from proxy.cache.store import (
    Cache,
    CacheStats,
    ChangeToken,
    Entry,
    Kind,
    PrepareLatePurge,
    Selector,
    VerifyReport,
)
from proxy.errors import StoreUnavailable
from proxy.runtime.background import BackgroundTasks, TaskFailed, cancel, describe
from proxy.runtime.components import OK, Components, ComponentStatus

_log = logging.getLogger(__name__)

_SHARED_KINDS: frozenset[Kind] = frozenset(("rendition", "record", "detection"))
_MAX_ENTRY_BYTES = 32 * 1024 * 1024
_COMPACT_EVERY_SECONDS = 300.0
_WRITERS = 4
_CLOSE_TIMEOUT_SECONDS = 2.0
_FIRST_SYNC_SECONDS = 2.0  # for which the first requests wait for the purges of other machines
_MAX_IGNORED = 10_000

_LISTENER, _READER = "purge_listener", "shared_cache_reader"

_MISS_SECONDS = 5.0  # how long the bucket is not asked again for what it did not have
_MAX_MISSES = 4096

Work = Callable[[], Awaitable[None]]


class SharedCache:
    """The cache ``local``, with the bucket behind it."""

    def __init__(
        self,
        local: Cache,
        config: SharedCacheConfig,
        *,
        folder: Path | None = None,
        background: BackgroundTasks | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``folder`` is that of the local cache, which the processes of a machine share.

        ``clock`` is in Unix seconds. Raises ValueError if the bucket cannot be opened.
        """
        self._local = local
        self._config = config
        self._clock = clock
        self._monotonic = monotonic
        self._bucket = Bucket(config.url, timeout_seconds=config.write_timeout_seconds)
        signer = ObjectSigner(config.keys)
        self._codec = EntryCodec(signer)
        self._purges = PurgeSync(
            local,
            self._bucket,
            PurgeCodec(signer),
            folder,
            timeout_seconds=config.write_timeout_seconds,
            known_after_seconds=self.purges_known_after_seconds,
            ignore=partial(self._ignore, _LISTENER),
            clock=clock,
            monotonic=monotonic,
        )
        self._breaker = CircuitBreaker("bucket", config.backoff_seconds)
        self.breakers = (*local.breakers, self._breaker)
        # Writes of one object must stay in order, so they always wait in the same queue.
        self._queues: list[asyncio.Queue[Work]] = [
            asyncio.Queue(max(1, config.max_write_queue // _WRITERS)) for _ in range(_WRITERS)
        ]
        self._background = background or BackgroundTasks()
        self._ignored: set[str] = set()
        self._misses: OrderedDict[tuple[Kind, str], float] = OrderedDict()
        self._has_tried = asyncio.Event()
        self._purge_error = ""
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def components(self) -> Components:
        return {_LISTENER: self._listener_status}

    @property
    def purges_known_after_seconds(self) -> float:
        """When every machine that reaches the bucket knows a purge."""
        return 2 * self._config.purge_poll_seconds + 5.0

    def _listener_status(self) -> ComponentStatus:
        consequence = "purges of other machines are not applied, the bucket is not used"
        if reason := self._background.failing.get(_LISTENER):
            return ComponentStatus("down", f"{consequence}: {reason}")
        if self._purge_error:  # every machine has this: to stop all of them would help nobody
            return ComponentStatus("degraded", f"{consequence}: {self._purge_error}")
        return OK

    def start(self) -> None:
        """Start to write behind and to look for purges; the first use does it automatically."""
        if self._tasks:
            return
        repeat, seconds = self._background.repeat, self._config.purge_poll_seconds
        self._tasks = [
            repeat(_LISTENER, self._poll_purges, every_seconds=seconds),
            repeat("purge_compaction", self._compact, every_seconds=_COMPACT_EVERY_SECONDS),
            *(
                repeat("shared_cache_writer", partial(self._write_next, queue))
                for queue in self._queues
            ),
        ]

    def change_token(self, *keys: tuple[Kind, str]) -> ChangeToken | None:
        return self._local.change_token(*keys)

    def mark_used(self, kind: Kind, key: str) -> None:
        self._local.mark_used(kind, key)

    async def get(self, kind: Kind, key: str) -> Entry | None:
        await self._wait_started()
        entry = await self._local.get(kind, key)
        if entry is not None or kind not in _SHARED_KINDS or self._was_missed(kind, key):
            return entry
        if not self._breaker.allows():
            return None
        started_at = self._clock()
        remote = await self._get_remote(kind, key)
        if remote is None:
            self._remember_miss(kind, key)
        else:
            await self._local.put(kind, key, remote, started_at=started_at)
        return remote

    async def get_local(self, kind: Kind, key: str) -> Entry | None:
        await self._wait_started()
        return await self._local.get(kind, key)

    async def put(
        self, kind: Kind, key: str, entry: Entry, *, started_at: float | None = None
    ) -> None:
        self.start()
        self._misses.pop((kind, key), None)
        await self._local.put(kind, key, entry, started_at=started_at)
        now = self._clock()
        seconds = 0.0 if started_at is None else now - started_at
        # If the clock was set back meanwhile, the work may have begun at any time.
        began = self._monotonic() - seconds if seconds >= 0 else None
        self._write_behind(kind, key, entry, partial(self._write, kind, key, entry, began))

    async def add_tags(self, kind: Kind, key: str, tags: Iterable[str]) -> None:
        added = tuple(tags)
        await self._local.add_tags(kind, key, added)
        self._write_behind(kind, key, None, partial(self._write_tags, kind, key, added))

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        return await self.purge_all_of([selector], soft=soft)

    async def purge_all_of(
        self, selectors: Sequence[Selector], *, soft: bool = False
    ) -> Mapping[Kind, int]:
        """Purge what any of them selects, on all machines. Raises StoreUnavailable."""
        try:
            counts = await self._purges.purge(selectors, soft=soft)
        except StorageError as error:
            raise StoreUnavailable(
                "cache not available; repeat the request", detail=str(error)
            ) from error
        try:
            await self._purges.send_pending()
        except (TimeoutError, BucketError, StorageError) as error:
            raise StoreUnavailable(
                "purged on this machine only: the shared cache could not be written; the other "
                "machines are told when it can be, or repeat the request",
                detail=describe(error),
            ) from error
        return counts

    def on_late_purges(self, prepare: PrepareLatePurge) -> None:
        """Call ``prepare`` where purges come so late that CDNs must be told again."""
        self._purges.on_late = prepare

    async def tags_with_prefix(self, prefix: str, limit: int) -> Sequence[str] | None:
        return await self._local.tags_with_prefix(prefix, limit)

    async def stats(self) -> Mapping[Kind, CacheStats]:
        self.start()
        return await self._local.stats()

    async def verify(self) -> Mapping[Kind, VerifyReport]:
        return await self._local.verify()

    async def close(self) -> None:
        """Write what is queued, for two seconds at most, and stop."""
        if self._tasks:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT_SECONDS):
                    await asyncio.gather(*(queue.join() for queue in self._queues))
        await cancel(*self._tasks)
        await self._purges.close()
        await self._local.close()

    async def _wait_started(self) -> None:
        """Wait a moment for the purges that came while this machine was down."""
        self.start()
        if not self._has_tried.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_SYNC_SECONDS):
                    await self._has_tried.wait()

    def _was_missed(self, kind: Kind, key: str) -> bool:
        """Whether the bucket did not have the entry a moment ago: a request asks several times."""
        return time.monotonic() < self._misses.get((kind, key), 0.0)

    def _remember_miss(self, kind: Kind, key: str) -> None:
        self._misses[kind, key] = time.monotonic() + _MISS_SECONDS
        self._misses.move_to_end((kind, key))
        if len(self._misses) > _MAX_MISSES:
            self._misses.popitem(last=False)

    async def _get_remote(self, kind: Kind, key: str) -> Entry | None:
        try:
            async with asyncio.timeout(self._config.read_timeout_seconds):
                if not await self._purges.is_current():
                    return None
                found = await self._read(kind, key)
                if found is None or await self._purges.selects(found.entry.tags, found.started):
                    return None
        except (TimeoutError, BucketError) as error:
            self._breaker.open(describe(error))
            return None
        except StorageError as error:  # what was purged is not known
            self._purge_error = describe(error)
            return None
        return found.entry

    async def _read(self, kind: Kind, key: str) -> SharedEntry | None:
        """Return what the bucket has, unless it is damaged. Raises BucketError."""
        found = await self._bucket.get(entry_name(kind, key))
        if found is None:
            return None
        try:
            return await asyncio.to_thread(self._codec.decode, kind, key, found.data)
        except (CorruptEntry, NotAuthentic) as error:
            self._ignore(_READER, entry_name(kind, key), str(error))
            return None

    async def _write(self, kind: Kind, key: str, entry: Entry, began: float | None) -> None:
        started = 0.0 if began is None else await self._purges.known_until(began)
        if began is not None and await self._purges.selects(entry.tags, started):
            return
        encode = partial(self._codec.encode, kind, key, entry, started)
        await self._bucket.put(entry_name(kind, key), await asyncio.to_thread(encode))

    async def _write_tags(self, kind: Kind, key: str, tags: Sequence[str]) -> None:
        """Add tags to what the bucket has, which another machine may have made."""
        found = await self._read(kind, key)
        if found is None or set(tags) <= set(found.entry.tags):
            return
        union = tuple(dict.fromkeys((*found.entry.tags, *tags)))
        entry = structs.replace(found.entry, tags=union)
        encode = partial(self._codec.encode, kind, key, entry, found.started)
        await self._bucket.put(entry_name(kind, key), await asyncio.to_thread(encode))

    def _write_behind(self, kind: Kind, key: str, entry: Entry | None, work: Work) -> None:
        """Queue the write for the bucket. If the queue is full it stays local."""
        if kind not in _SHARED_KINDS:
            return
        if entry is not None and len(entry.body) > _MAX_ENTRY_BYTES:
            return
        queue = self._queues[zlib.crc32(entry_name(kind, key).encode()) % _WRITERS]
        with contextlib.suppress(asyncio.QueueFull):
            queue.put_nowait(work)

    async def _write_next(self, queue: asyncio.Queue[Work]) -> None:
        work = await queue.get()
        try:
            if self._breaker.allows():
                async with asyncio.timeout(self._config.write_timeout_seconds):
                    await work()
        except (TimeoutError, BucketError, StorageError) as error:
            self._breaker.open(describe(error))
        finally:
            queue.task_done()

    async def _poll_purges(self) -> None:
        # A machine that does not know the latest purges must not use what they may select.
        try:
            is_known = await self._purges.sync()
        except (TimeoutError, BucketError, StorageError, StoreUnavailable) as error:
            self._purge_error = describe(error)
            self._breaker.open(self._purge_error)
        else:
            waits = "another process of this machine has not read them"
            self._purge_error = "" if is_known else waits
        finally:
            self._has_tried.set()

    async def _compact(self) -> None:
        try:
            await self._purges.compact()
        except (TimeoutError, BucketError, StorageError) as error:
            # Perhaps its credentials do not allow to delete. More objects are listed then.
            _log.warning("purges of the bucket not joined: %s", describe(error))

    def _ignore(self, task: str, name: str, reason: str) -> None:
        """Log and count, once, an object that no machine of the fleet has written."""
        if name not in self._ignored and len(self._ignored) < _MAX_IGNORED:
            self._ignored.add(name)
            error = TaskFailed(f"object of the bucket ignored, {reason}: {name!r}")
            self._background.record_failure(task, error)
