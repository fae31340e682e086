"""A second level behind the cache of each machine: a bucket that several machines share.

- Read through: what is not in the local cache is read from the bucket, with a short timeout. A
  request asks several times for what is nowhere, but the bucket once.
- Write behind: entries are queued and written later; no request waits for it.
- A bucket that fails or is slow is not used for a while.
- A purge is an object, too. Every machine looks for new ones every few seconds and applies them to
  its own cache. Entries of the bucket from before a purge are not used. An entry lives for 30 days,
  and so does a purge: older ones are removed from the bucket.
- An object is an entry in its envelope: key and digests are checked at every read.
"""

import asyncio
import contextlib
import logging
import re
import secrets
import struct
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct, structs

from proxy.buffers import SharedBuffer
from proxy.cache.circuit_breaker import CircuitBreaker
from proxy.cache.config import SharedCacheConfig
from proxy.cache.envelope import CorruptEntry, Envelope
from proxy.cache.purge_log import PurgeLog
from proxy.cache.store import Cache, CacheStats, ChangeToken, Entry, Kind, Selector, VerifyReport
from proxy.compat.msgspec import DECODE_ERRORS
from proxy.errors import StoreUnavailable
from proxy.runtime.background import BackgroundTasks, TaskFailed, cancel, describe
from proxy.runtime.components import OK, Components, ComponentStatus
from proxy.sources.net.object_store import open_bucket

if TYPE_CHECKING:
    from obstore.store import ObjectStore

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
_CONNECT_TIMEOUT_SECONDS = 2.0
_CLOSE_TIMEOUT_SECONDS = 2.0

_PREFIX = "v2"  # another version of envelopes or purges gets another prefix
_PURGES = f"{_PREFIX}/purges"
_PURGE_NAME = re.compile(rf"{_PURGES}/[0-9]{{10}}\.[0-9]{{6}}-[0-9a-f]{{8}}")
_LAST_PURGE_KEY = "last purge of the shared cache"  # of the local record with the latest names

_LISTENER = "purge_listener"

_MISS_SECONDS = 5.0  # how long the bucket is not asked again for what it did not have
_MAX_MISSES = 4096

Encode = Callable[[], bytes]


class _Purge(Struct, frozen=True):
    at: float
    selector: Selector
    soft: bool


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
        self._bucket = _Bucket(config)
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
        if not self._purges.selects(entry, now if started_at is None else started_at):
            self._write_behind(kind, key, structs.replace(entry, stored_at=now))

    async def add_tags(self, kind: Kind, key: str, tags: Iterable[str]) -> None:
        await self._local.add_tags(kind, key, tags)
        entry = await self._local.get(kind, key)
        if entry is not None:
            self._write_behind(kind, key, entry)

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        counts = await self._local.purge(selector, soft=soft)
        purge = _Purge(self._clock(), selector, soft)
        name = f"{_purges_from(purge.at)}-{secrets.token_hex(4)}"
        self._purges.record(selector, purge.at)
        self._note_recent(name)
        try:
            async with asyncio.timeout(self._config.write_timeout_seconds):
                await self._bucket.put(name, msgspec.msgpack.encode(purge))
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
                data = await self._bucket.get(_object_name(kind, key))
        except (TimeoutError, BucketError) as error:
            self._breaker.open(describe(error))
            return None
        if data is None:
            return None
        try:
            entry = await asyncio.to_thread(_decode, kind, key, data)
        except CorruptEntry as error:
            _log.warning("shared cache entry ignored: kind=%s, %s", kind, error)
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
        name = _object_name(kind, key)
        queue = self._queues[zlib.crc32(name.encode()) % _WRITERS]
        with contextlib.suppress(asyncio.QueueFull):
            queue.put_nowait((name, lambda: _encode(kind, key, entry)))

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
        marker = await self._local.get("record", _LAST_PURGE_KEY)
        applied = dict.fromkeys(marker.head.decode().split("\n") if marker is not None else ())
        applied_before = _late(max(applied, default=""))
        # The name of a purge that is dated in the future must not hide those that come before it.
        latest = _purges_from(now + _CLOCK_SKEW_SECONDS)
        newest = max((name for name in self._recent_purges if name < latest), default="")
        names = await self._bucket.list(_PURGES, _late(newest) or _purges_from(horizon))
        new = [name for name in names if name not in self._recent_purges and self._is_purge(name)]
        for start in range(0, len(new), _PURGE_READS):
            batch = new[start : start + _PURGE_READS]
            for name, data in zip(
                batch, await asyncio.gather(*map(self._bucket.get, batch)), strict=True
            ):
                purge = self._decode_purge(name, data)
                if purge is None:
                    continue
                if name not in applied and name > applied_before:
                    await self._local.purge(purge.selector, soft=purge.soft)
                self._purges.record(purge.selector, purge.at)
                self._note_recent(name)
        recent = sorted(name for name in self._recent_purges if name < latest)
        if recent and recent[-1] > max(applied, default=""):
            names = [name for name in recent if name > _late(recent[-1])]
            await self._local.put("record", _LAST_PURGE_KEY, Entry(b"", "\n".join(names).encode()))

    def _decode_purge(self, name: str, data: bytes | None) -> _Purge | None:
        if data is None:  # removed meanwhile
            return None
        try:
            purge = msgspec.msgpack.decode(data, type=_Purge)
        except DECODE_ERRORS:
            purge = None
        if purge is None or not name.startswith(f"{_purges_from(purge.at)}-"):
            self._ignore(name)
            return None
        return purge

    def _is_purge(self, name: str) -> bool:
        if _PURGE_NAME.fullmatch(name):
            return True
        self._ignore(name)
        return False

    def _ignore(self, name: str) -> None:
        """Log and count, once, an object that is no purge and lies where purges do."""
        if name not in self._ignored and len(self._ignored) < _MAX_RECENT_PURGES:
            self._ignored.add(name)
            error = TaskFailed(f"object of the bucket ignored, it is no purge: {name!r}")
            self._background.record_failure(_LISTENER, error)

    def _note_recent(self, name: str) -> None:
        self._recent_purges[name] = None
        if len(self._recent_purges) > _MAX_RECENT_PURGES:
            del self._recent_purges[next(iter(self._recent_purges))]

    async def _remove_old_purges(self) -> None:
        """Remove the purges that no entry is old enough for."""
        until = _purges_from(max(0.0, self._clock() - _MAX_AGE_SECONDS))
        try:
            names = await self._bucket.list(_PURGES, until=until)
            old = [name for name in names if _PURGE_NAME.fullmatch(name)][:_MAX_REMOVED_PURGES]
            if old:
                await self._bucket.delete(old)
        except BucketError as error:  # its credentials need not allow this
            _log.info("old purges not removed from the bucket: %s", error)


def _object_name(kind: Kind, key: str) -> str:
    return f"{_PREFIX}/{kind}/{key[:2]}/{key}"


def _purges_from(at: float) -> str:
    """Return how the names of purges at that Unix time start; names sort by time."""
    return f"{_PURGES}/{at:017.6f}"


def _late(name: str) -> str:
    """Return the start of the names of purges that may be listed after this one."""
    if not name:
        return ""
    at = float(name.removeprefix(f"{_PURGES}/").partition("-")[0])
    return _purges_from(max(0.0, at - _LATE_PURGE_SECONDS))


_STORED_AT = struct.Struct(">d")


def _encode(kind: Kind, key: str, entry: Entry) -> bytes:
    """Return the entry in its envelope; the time when it was stored precedes its head."""
    dated = structs.replace(entry, head=_STORED_AT.pack(entry.stored_at) + entry.head)
    body = entry.body.read() if isinstance(entry.body, SharedBuffer) else entry.body
    return Envelope.wrap(kind, key, dated).encode() + body


def _decode(kind: Kind, key: str, data: bytes) -> Entry:
    """Raise CorruptEntry if the object is not the entry that was stored under this key."""
    envelope, body = Envelope.decode(data, kind, key)
    (stored_at,) = _STORED_AT.unpack_from(envelope.head)
    entry = envelope.unwrap(body, stored_at=stored_at)
    return structs.replace(entry, head=entry.head[_STORED_AT.size :])


class BucketError(Exception):
    """The bucket could not be read or written."""


class _Bucket:
    """The bucket; errors of its library become BucketError."""

    def __init__(self, config: SharedCacheConfig) -> None:
        self._store: ObjectStore = open_bucket(
            config.url,
            timeout_seconds=config.write_timeout_seconds,
            connect_timeout_seconds=_CONNECT_TIMEOUT_SECONDS,
        )

    async def get(self, name: str) -> bytes | None:
        """Return the object; None if there is none, or if it is too large for an entry."""
        import obstore  # noqa: PLC0415 - an extra

        try:
            found = await obstore.get_async(self._store, name)
            if found.meta["size"] > 2 * _MAX_ENTRY_BYTES:
                return None
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            return None
        except obstore.exceptions.BaseError as error:
            raise _bucket_error(error) from error

    async def put(self, name: str, data: bytes) -> None:
        import obstore  # noqa: PLC0415 - an extra

        try:
            await obstore.put_async(self._store, name, data)
        except (OSError, obstore.exceptions.BaseError) as error:
            raise _bucket_error(error) from error

    async def delete(self, names: Sequence[str]) -> None:
        import obstore  # noqa: PLC0415 - an extra

        try:
            await obstore.delete_async(self._store, names)
        except (OSError, obstore.exceptions.BaseError) as error:
            raise _bucket_error(error) from error

    async def list(self, folder: str, since: str = "", until: str = "\U0010ffff") -> list[str]:
        """Return the names in the folder that sort after ``since`` and before ``until``, in order.

        Names come in order from most stores, and in pages. What follows ``until`` is not read.
        """
        import obstore  # noqa: PLC0415 - an extra

        names: list[str] = []
        try:
            pages: Any = obstore.list(self._store, folder, offset=since or None)
            async for page in pages:
                names.extend(one["path"] for one in page if one["path"] < until)
                if page and page[-1]["path"] >= until:
                    break
        except (OSError, obstore.exceptions.BaseError) as error:
            raise _bucket_error(error) from error
        return sorted(names)


def _bucket_error(error: Exception) -> BucketError:
    return BucketError(str(error).partition("\n")[0])
