"""A second level behind the cache of each machine: a bucket that several machines share.

- Read through: what is not in the local cache is read from the bucket, with a short timeout. A
  request asks several times for what is nowhere, but the bucket once. A read that takes longer than
  most is sent twice; see `proxy.cache.hedged_reads`.
- Write behind: entries are queued and written later; no request waits for it. What is lost is
  counted; see `proxy.cache.write_behind`.
- A bucket that fails too often is not read for a while, and writes wait; see
  `proxy.cache.failure_rate_breaker`. One slow read changes nothing.
- A purge is an object, too; see `proxy.cache.purge_sync`. Entries of the bucket that were worked on
  before a purge are not used. Which those are, the bucket's clock says, not that of a machine.
- What is not signed with a key of the fleet, or is odd, is ignored and counted; see
  `proxy.cache.shared_objects`.
"""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from proxy.cache.bucket import Bucket, BucketError, ObjectBucket
from proxy.cache.config import CLOSE_SECONDS, SharedCacheConfig
from proxy.cache.envelope import CorruptEntry
from proxy.cache.failure_rate_breaker import FailureRateBreaker
from proxy.cache.hedged_reads import HedgedReads
from proxy.cache.peers import PurgePeers
from proxy.cache.purge_objects import (
    PURGE_FOLDER,
    PurgeCodec,
    PurgeRow,
    is_batch_name,
    is_purge_name,
)
from proxy.cache.purge_sync import PurgeSync
from proxy.cache.shared_entries import SharedEntries
from proxy.cache.shared_objects import PREFIX, EntryCodec, NotAuthentic, ObjectSigner
from proxy.cache.sqlite import StorageError
from proxy.cache.store import (
    Cache,
    CacheStats,
    ChangeToken,
    Entry,
    Kind,
    PrepareLatePurge,
    Selector,
    SharedCounts,
    VerifyReport,
)
from proxy.cache.write_behind import WRITERS, PendingWrite, WriteBehind
from proxy.errors import StoreUnavailable
from proxy.runtime.background import BackgroundTasks, TaskFailed, cancel, describe
from proxy.runtime.caller import current_caller
from proxy.runtime.components import OK, Components, ComponentStatus

_log = logging.getLogger(__name__)

SHARED_KINDS: frozenset[Kind] = frozenset(("rendition", "record", "detection"))
_MAX_ENTRY_BYTES = 32 * 1024 * 1024
_COMPACT_EVERY_SECONDS = 300.0
_LOG_EVERY_SECONDS = 60.0
_FIRST_SYNC_SECONDS = 2.0  # for which the first requests wait for the purges of other machines
_MAX_IGNORED = 10_000

_LISTENER, _READER = "purge_listener", "shared_cache_reader"

_MISS_SECONDS = 5.0  # how long the bucket is not asked again for what it did not have
_MAX_MISSES = 4096

_PROBE_NAME = f"{PREFIX}/probe"
"""An object that does not exist; who asks for it learns whether the bucket answers."""


class SharedCache:
    """The cache ``local``, with the bucket behind it."""

    def __init__(
        self,
        local: Cache,
        config: SharedCacheConfig,
        *,
        folder: Path | None = None,
        bucket: ObjectBucket | None = None,
        peers: PurgePeers | None = None,
        background: BackgroundTasks | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``folder`` is that of the local cache, which the processes of a machine share.

        ``bucket`` replaces that of the ``config``; ``peers`` are told of purges at once. ``clock``
        is in Unix seconds. Raises ValueError if the bucket cannot be opened.
        """
        self._local = local
        self._config = config
        self._clock = clock
        self._monotonic = monotonic
        self._bucket = bucket or Bucket(config.url, timeout_seconds=config.write_timeout_seconds)
        self._peers = peers if peers is not None and peers.is_enabled else None
        signer = ObjectSigner(config.keys)
        self._purge_codec = PurgeCodec(signer)
        self._purges = PurgeSync(
            local,
            self._bucket,
            self._purge_codec,
            folder,
            timeout_seconds=config.write_timeout_seconds,
            known_after_seconds=self.purges_known_after_seconds,
            ignore=partial(self._ignore, _LISTENER),
            clock=clock,
            monotonic=monotonic,
        )
        self._purges.on_sent = self._tell_peers_later
        self._entries = SharedEntries(
            local,
            self._bucket,
            EntryCodec(signer),
            self._purges,
            ignore=partial(self._ignore, _READER),
        )
        failures = (TimeoutError, BucketError)
        self._reads = FailureRateBreaker("bucket_reads", config.backoff_seconds, failures)
        # Reads have far less time, so a bucket that is slow for them may be well for writes.
        self._write_breaker = FailureRateBreaker("bucket_writes", config.backoff_seconds, failures)
        self.breakers = (*local.breakers, self._reads, self._write_breaker)
        self._hedged = HedgedReads(config.read_timeout_seconds / 2)
        self._writes = WriteBehind(
            self._entries.write,
            self._write_breaker,
            max_writes=config.max_write_queue,
            timeout_seconds=config.write_timeout_seconds,
        )
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
    def shared_counts(self) -> SharedCounts:
        peers = self._peers
        return SharedCounts(
            self._writes.lost,
            len(self._writes),
            self._hedged.outcomes,
            0 if peers is None else peers.known,
            {} if peers is None else peers.outcomes,
        )

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
            repeat("shared_cache_probe", self._probe_reads),
            repeat("shared_cache_log", self._log_lost, every_seconds=_LOG_EVERY_SECONDS),
            *(
                repeat("shared_cache_writer", partial(self._write_next, number))
                for number in range(WRITERS)
            ),
        ]

    def change_token(self, *keys: tuple[Kind, str]) -> ChangeToken | None:
        return self._local.change_token(*keys)

    def mark_used(self, kind: Kind, key: str) -> None:
        self._local.mark_used(kind, key)

    def written(self) -> "asyncio.Future[None] | None":
        return self._local.written()

    async def flush(self) -> None:
        await self._local.flush()

    async def get(self, kind: Kind, key: str) -> Entry | None:
        await self._wait_started()
        entry = await self._local.get(kind, key)
        if entry is not None or kind not in SHARED_KINDS or self._was_missed(kind, key):
            return entry
        if not self._reads.allows():
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
        stored_at = self._clock()
        await self._local.put(kind, key, entry, started_at=started_at)
        if kind not in SHARED_KINDS:
            return
        if len(entry.body) > _MAX_ENTRY_BYTES:
            self._writes.lose("too_large")
            return
        write = PendingWrite(kind, key, entry.tags, entry, self.began(started_at), stored_at)
        await self._writes.put(write, is_patient=current_caller().is_background)

    def began(self, started_at: float | None) -> float | None:
        """When work began, by the monotonic clock; None where that may be at any time."""
        seconds = 0.0 if started_at is None else self._clock() - started_at
        # If the clock was set back meanwhile, the work may have begun at any time.
        return self._monotonic() - seconds if seconds >= 0 else None

    async def add_tags(self, kind: Kind, key: str, tags: Iterable[str]) -> None:
        added = tuple(tags)
        await self._local.add_tags(kind, key, added)
        if kind in SHARED_KINDS:
            self._writes.add(PendingWrite(kind, key, added, only_tags=True))

    async def wait_written(self) -> None:
        """Wait until no write waits or is being made; `shared_counts` says what was lost."""
        await self._writes.join()

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
            sent = await self._purges.send_pending()
        except (TimeoutError, BucketError, StorageError) as error:
            raise StoreUnavailable(
                "purged on this machine only: the shared cache could not be written; the other "
                "machines are told when it can be, or repeat the request",
                detail=describe(error),
            ) from error
        if self._peers is not None:
            await self._peers.send(sent, self._purge_codec)
        return counts

    async def receive_purges(self, object_id: str, data: bytes) -> bool:
        """Apply purges that a peer sends; return whether they come from this fleet.

        Raises StoreUnavailable.
        """
        name = f"{PURGE_FOLDER}/{object_id}"
        if self._peers is None or not (is_purge_name(name) and is_batch_name(name)):
            return False
        try:
            await self._purges.learn(name, data)
        except (CorruptEntry, NotAuthentic):
            self._peers.outcomes["refused"] += 1
            return False
        except StorageError as error:
            raise StoreUnavailable(
                "cache not available; repeat the request", detail=str(error)
            ) from error
        self._peers.outcomes["received"] += 1
        return True

    def _tell_peers_later(self, rows: Sequence[PurgeRow]) -> None:
        if self._peers is not None:
            self._peers.send_later(rows, self._purge_codec)

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
        """Write what is queued, as long as the bucket takes it and time is left, and stop."""
        if self._tasks:
            await self._writes.close(CLOSE_SECONDS)
        await cancel(*self._tasks)
        self._writes.log_lost()
        if self._peers is not None:
            await self._peers.close()
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
        seconds = self._config.read_timeout_seconds
        try:
            async with asyncio.timeout(seconds):  # the disk of this machine may hang, too
                if not await self._purges.is_current():
                    return None
            with self._reads.call():
                async with asyncio.timeout(seconds):
                    data = await self._hedged.do(partial(self._entries.fetch, kind, key))
            async with asyncio.timeout(seconds):
                return None if data is None else await self._entries.decode(kind, key, data)
        except (TimeoutError, BucketError):
            return None
        except StorageError as error:  # what was purged is not known
            self._purge_error = describe(error)
            return None

    async def _probe_reads(self) -> None:
        """Find out whether the bucket can be read again, so that no request has to."""
        await self._reads.wait_open()
        with contextlib.suppress(TimeoutError, BucketError):
            async with (
                self._reads.patient_call(),
                asyncio.timeout(self._config.read_timeout_seconds),
            ):
                await self._bucket.get(_PROBE_NAME)

    async def _write_next(self, number: int) -> None:
        await asyncio.sleep(await self._writes.write_next(number))

    async def _log_lost(self) -> None:
        self._writes.log_lost()

    async def _poll_purges(self) -> None:
        # A machine that does not know the latest purges must not use what they may select.
        try:
            is_known = await self._purges.sync()
        except (TimeoutError, BucketError, StorageError, StoreUnavailable) as error:
            self._purge_error = describe(error)
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
