"""A second level behind the cache of each machine: a bucket that several machines share.

- Read through: what is not in the local cache is read from the bucket, with a short timeout. A
  request asks several times for what is nowhere, but the bucket once.
- Write behind: entries are queued and written later; no request waits for it.
- A bucket that fails or is slow is not used for a while.
- A purge is an object, too. Every machine looks for new ones every few seconds and applies them to
  its own cache. Entries of the bucket from before a purge are not used. An entry lives for 30 days,
  and so does a purge: older ones are removed from the bucket.
- What is not signed with a key of the fleet, or is odd, is ignored and counted; see
  `proxy.cache.shared_objects`.
"""

import asyncio
import contextlib
import logging
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from msgspec import structs

from proxy.cache.bucket import Bucket, BucketError, StoredObject
from proxy.cache.circuit_breaker import CircuitBreaker
from proxy.cache.config import SharedCacheConfig
from proxy.cache.envelope import CorruptEntry
from proxy.cache.purge_log import PurgeLog
from proxy.cache.shared_objects import (
    NotAuthentic,
    ObjectCodec,
    SharedPurge,
    entry_name,
    is_purge_name,
    new_purge_name,
    purge_folders,
    purge_time,
    purges_from,
)
from proxy.cache.store import Cache, CacheStats, ChangeToken, Entry, Kind, Selector, VerifyReport
from proxy.errors import StoreUnavailable
from proxy.runtime.background import BackgroundTasks, TaskFailed, cancel, describe
from proxy.runtime.components import OK, Components, ComponentStatus

_log = logging.getLogger(__name__)

_SHARED_KINDS: frozenset[Kind] = frozenset(("rendition", "record", "detection"))
_MAX_AGE_SECONDS = 30 * 86_400.0  # older entries are not used, so older purges can be forgotten
_MAX_ENTRY_BYTES = 32 * 1024 * 1024
_CLOCK_SKEW_SECONDS = 5.0  # by which the clocks of the machines may differ
_LATE_PURGE_SECONDS = 60.0  # by which a purge may be listed after one with a later time
_MAX_RECENT_PURGES = 10_000  # whose names are remembered: more than come in a minute
_PURGE_READS = 32  # at the same time
_CLEANUP_SECONDS = 3600.0
_MAX_REMOVED_PURGES = 10_000  # in one cleanup
_WRITERS = 4
_CLOSE_TIMEOUT_SECONDS = 2.0

_LAST_PURGE_KEY = "last purge of the shared cache"  # of the local record with the latest names

_LISTENER, _READER = "purge_listener", "shared_cache_reader"

# A machine whose clock is ahead dates its purges in the future, up to so far. That they are looked
# for only now and then costs less than it would to list one folder more each time.
_MAX_AHEAD_SECONDS = 2 * 86_400.0
_LOOK_AHEAD_SECONDS = 60.0
_MAX_FUTURE_PURGES = 100

_MISS_SECONDS = 5.0  # how long the bucket is not asked again for what it did not have
_MAX_MISSES = 4096

Encode = Callable[[], bytes]


class SharedCache:
    """The cache ``local``, with the bucket behind it. ``clock`` is in Unix seconds."""

    def __init__(
        self,
        local: Cache,
        config: SharedCacheConfig,
        *,
        background: BackgroundTasks | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raise ValueError if the bucket cannot be opened."""
        self._local = local
        self._config = config
        self._clock = clock
        self._bucket = Bucket(config.url, timeout_seconds=config.write_timeout_seconds)
        self._codec = ObjectCodec(config.keys)
        self._breaker = CircuitBreaker("bucket", config.backoff_seconds)
        self.breakers = (*local.breakers, self._breaker)
        # Writes of one object must stay in order, so they always wait in the same queue.
        self._queues: list[asyncio.Queue[tuple[str, Encode]]] = [
            asyncio.Queue(max(1, config.max_write_queue // _WRITERS)) for _ in range(_WRITERS)
        ]
        self._background = background or BackgroundTasks()
        self._purges = PurgeLog()
        self._recent_purges: dict[str, None] = {}
        """The names that are known and may be listed again; the latest stay."""
        self._ignored: set[str] = set()
        self._misses: OrderedDict[tuple[Kind, str], float] = OrderedDict()
        self._look_ahead_at = 0.0  # monotonic
        self._removed_until = 0.0
        self._knows_purges = False
        self._purge_error = ""
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def components(self) -> Components:
        return {_LISTENER: self._listener_status}

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
            repeat("purge_cleanup", self._remove_old_purges, every_seconds=_CLEANUP_SECONDS),
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
        self.start()
        entry = await self._local.get(kind, key)
        if entry is not None or kind not in _SHARED_KINDS or not self._is_usable():
            return entry
        if self._was_missed(kind, key):
            return None
        started_at = self._clock()
        remote = await self._get_remote(kind, key)
        if remote is None:
            self._remember_miss(kind, key)
        else:
            await self._local.put(kind, key, remote, started_at=started_at)
        return remote

    async def get_local(self, kind: Kind, key: str) -> Entry | None:
        return await self._local.get(kind, key)

    async def put(
        self, kind: Kind, key: str, entry: Entry, *, started_at: float | None = None
    ) -> None:
        self.start()
        self._misses.pop((kind, key), None)
        await self._local.put(kind, key, entry, started_at=started_at)
        now = self._clock()
        # A purge of another machine may have come since, and is not known here yet.
        stored_at = now if started_at is None else min(now, started_at)
        if not self._purges.selects(entry, stored_at):
            self._write_behind(kind, key, structs.replace(entry, stored_at=stored_at))

    async def add_tags(self, kind: Kind, key: str, tags: Iterable[str]) -> None:
        await self._local.add_tags(kind, key, tags)
        entry = await self._local.get(kind, key)
        if entry is not None:
            self._write_behind(kind, key, entry)

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        counts = await self._local.purge(selector, soft=soft)
        purge = SharedPurge(self._clock(), selector, soft)
        name = new_purge_name(purge.at)
        self._purges.record(selector, purge.at)
        self._note_recent(name)
        try:
            async with asyncio.timeout(self._config.write_timeout_seconds):
                await self._bucket.put(name, self._codec.encode_purge(name, purge))
        except (TimeoutError, BucketError) as error:
            raise StoreUnavailable(
                "purge done on this machine only; repeat the request", detail=str(error)
            ) from error
        return counts

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
        await self._local.close()

    def _was_missed(self, kind: Kind, key: str) -> bool:
        """Whether the bucket did not have the entry a moment ago: a request asks several times."""
        return time.monotonic() < self._misses.get((kind, key), 0.0)

    def _remember_miss(self, kind: Kind, key: str) -> None:
        self._misses[kind, key] = time.monotonic() + _MISS_SECONDS
        self._misses.move_to_end((kind, key))
        if len(self._misses) > _MAX_MISSES:
            self._misses.popitem(last=False)

    def _is_usable(self) -> bool:
        return self._knows_purges and self._breaker.allows()

    async def _get_remote(self, kind: Kind, key: str) -> Entry | None:
        try:
            async with asyncio.timeout(self._config.read_timeout_seconds):
                found = await self._bucket.get(entry_name(kind, key))
        except (TimeoutError, BucketError) as error:
            self._breaker.open(describe(error))
            return None
        if found is None:
            return None
        try:
            entry = await asyncio.to_thread(self._codec.decode_entry, kind, key, found.data)
        except (CorruptEntry, NotAuthentic) as error:
            self._ignore(_READER, entry_name(kind, key), str(error))
            return None
        age = self._clock() - entry.stored_at
        if not -_CLOCK_SKEW_SECONDS <= age <= _MAX_AGE_SECONDS:
            return None
        # Whether the purge was a hard or a soft one makes no difference here.
        since = entry.stored_at - _CLOCK_SKEW_SECONDS
        return None if self._purges.selects(entry, since) else entry

    def _write_behind(self, kind: Kind, key: str, entry: Entry) -> None:
        """Queue the entry for the bucket. If the queue is full it stays local."""
        if kind not in _SHARED_KINDS or len(entry.body) > _MAX_ENTRY_BYTES:
            return
        name = entry_name(kind, key)
        queue = self._queues[zlib.crc32(name.encode()) % _WRITERS]
        with contextlib.suppress(asyncio.QueueFull):
            queue.put_nowait((name, lambda: self._codec.encode_entry(kind, key, entry)))

    async def _write_next(self, queue: asyncio.Queue[tuple[str, Encode]]) -> None:
        name, encode = await queue.get()
        try:
            if self._breaker.allows():
                async with asyncio.timeout(self._config.write_timeout_seconds):
                    await self._bucket.put(name, await asyncio.to_thread(encode))
        except (TimeoutError, BucketError) as error:
            self._breaker.open(describe(error))
        finally:
            queue.task_done()

    async def _poll_purges(self) -> None:
        # A machine that does not know the latest purges must not use what they may select.
        knows_purges = False
        try:
            async with asyncio.timeout(self._config.write_timeout_seconds):
                await self._apply_purges()
            knows_purges, self._purge_error = True, ""
        except (TimeoutError, BucketError, StoreUnavailable) as error:
            self._purge_error = describe(error)
            self._breaker.open(self._purge_error)
        finally:
            self._knows_purges = knows_purges

    async def _apply_purges(self) -> None:
        """Read the purges of all machines, and apply those that are new to the local cache.

        Another worker of this machine may have applied them to the same cache: their names are in a
        record there.
        """
        now = self._clock()
        horizon = max(0.0, now - _MAX_AGE_SECONDS)
        self._purges.forget(horizon)
        self._purges.clamp(now + _CLOCK_SKEW_SECONDS)
        # The name of a purge that is dated in the future must not hide those that come before it.
        latest = purges_from(now + _CLOCK_SKEW_SECONDS)
        applied = await self._read_applied()
        applied_before = _late(max((name for name in applied if name < latest), default=""))
        newest = max((name for name in self._recent_purges if name < latest), default="")
        names = await self._list_purges(_late(newest) or purges_from(horizon), now)
        new = [name for name in names if name not in self._recent_purges and self._is_purge(name)]
        for start in range(0, len(new), _PURGE_READS):
            batch = new[start : start + _PURGE_READS]
            for name, found in zip(
                batch, await asyncio.gather(*map(self._bucket.get, batch)), strict=True
            ):
                purge = self._decode_purge(name, found)
                if purge is None or found is None:
                    continue
                if name not in applied and name > applied_before:
                    await self._local.purge(purge.selector, soft=purge.soft)
                # A clock that was ahead must not outdate what is stored until then.
                self._purges.record(purge.selector, min(purge.at, found.written_at, now))
                self._note_recent(name)
        await self._write_applied(applied, latest)

    async def _list_purges(self, since: str, now: float) -> list[str]:
        """The names from then on: of each day, and from time to time those of tomorrow."""
        until = now + _CLOCK_SKEW_SECONDS
        if time.monotonic() >= self._look_ahead_at:
            self._look_ahead_at = time.monotonic() + _LOOK_AHEAD_SECONDS
            until = now + _MAX_AHEAD_SECONDS
        folders = purge_folders(purge_time(since), until)
        lists = await asyncio.gather(*(self._bucket.list(folder, since) for folder in folders))
        return [name for names in lists for name in names]

    async def _read_applied(self) -> set[str]:
        marker = await self._local.get("record", _LAST_PURGE_KEY)
        names = marker.head.decode(errors="replace").split("\n") if marker is not None else ()
        return set(filter(is_purge_name, names))

    async def _write_applied(self, applied: set[str], latest: str) -> None:
        recent = sorted(self._recent_purges)
        past = [name for name in recent if name < latest]
        names = [name for name in past if name > _late(past[-1])] if past else []
        names += [name for name in recent if name >= latest][-_MAX_FUTURE_PURGES:]
        if not applied.issuperset(names):
            await self._local.put("record", _LAST_PURGE_KEY, Entry(b"", "\n".join(names).encode()))

    def _decode_purge(self, name: str, found: StoredObject | None) -> SharedPurge | None:
        if found is None:  # removed meanwhile
            return None
        try:
            return self._codec.decode_purge(name, found.data)
        except (CorruptEntry, NotAuthentic) as error:
            self._ignore(_LISTENER, name, str(error))
            return None

    def _is_purge(self, name: str) -> bool:
        if is_purge_name(name):
            return True
        self._ignore(_LISTENER, name, "it is no purge")
        return False

    def _ignore(self, task: str, name: str, reason: str) -> None:
        """Log and count, once, an object that no machine of the fleet has written."""
        if name not in self._ignored and len(self._ignored) < _MAX_RECENT_PURGES:
            self._ignored.add(name)
            error = TaskFailed(f"object of the bucket ignored, {reason}: {name!r}")
            self._background.record_failure(task, error)

    def _note_recent(self, name: str) -> None:
        self._recent_purges[name] = None
        if len(self._recent_purges) > _MAX_RECENT_PURGES:
            del self._recent_purges[next(iter(self._recent_purges))]

    async def _remove_old_purges(self) -> None:
        """Remove the purges that no entry is old enough for."""
        until = max(0.0, self._clock() - _MAX_AGE_SECONDS)
        since = self._removed_until or max(0.0, until - _MAX_AGE_SECONDS)
        try:
            for folder in purge_folders(since, until):
                names = await self._bucket.list(folder, until=purges_from(until))
                old = list(filter(is_purge_name, names))[:_MAX_REMOVED_PURGES]
                if old:
                    await self._bucket.delete(old)
        except BucketError as error:  # its credentials need not allow this
            _log.info("old purges not removed from the bucket: %s", error)
        else:
            self._removed_until = until


def _late(name: str) -> str:
    """Return the start of the names of purges that may be listed after this one."""
    return purges_from(max(0.0, purge_time(name) - _LATE_PURGE_SECONDS)) if name else ""
