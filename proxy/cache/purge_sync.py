"""Learn the purges of all machines from the bucket, and tell them of ours.

- One process of a machine reads the bucket, every few seconds: the one that holds a lock in the
  cache folder. It writes what it learns to the purge log, which all workers of the machine look
  into, and purges the cache of the machine.
- A purge is noted in the log before anything else. If the bucket cannot be written, it is written
  as soon as that is possible again.
- What is listed is read, whatever its name or date, unless it was read before. What vanishes in
  between was joined into a batch, which the next listing has.
- A machine that was cut off for so long that CDNs may have fetched old images from it meanwhile
  tells the CDNs itself what it has learned.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec import structs

from proxy.cache.bucket import BucketError, ObjectBucket, StoredObject
from proxy.cache.envelope import CorruptEntry
from proxy.cache.purge_log import PurgeLog
from proxy.cache.purge_objects import (
    PURGE_FOLDER,
    PurgeCodec,
    PurgeRow,
    Stamp,
    is_batch_name,
    is_purge_name,
    new_batch_name,
    new_purge_name,
    object_id,
    split_rows,
)
from proxy.cache.shared_objects import NotAuthentic
from proxy.cache.sqlite import StorageError, inode, translate_errors
from proxy.cache.store import KINDS, All, Cache, Kind, PrepareLatePurge, Selector
from proxy.errors import ConfigError
from proxy.runtime.private_folder import create_private_folder

T = TypeVar("T")

_log = logging.getLogger(__name__)

_WAITS, _WAIT_SECONDS = 20, 0.1  # for another process to read the purges
_CLOSE_SECONDS = 2.0
_READS = 32  # at the same time
_MAX_DUE = 10_000
"""A machine that has missed more purges than that starts with an empty cache."""

_MAX_LISTINGS = 5  # in one synchronization, if objects are joined meanwhile

COMPACT_OBJECTS = 1000
_COMPACT_SECONDS = 86_400.0
_KEEP_SECONDS = 600.0
"""An object is joined into a batch when it is that old: by then most machines have read it."""

_MAX_BATCHES = 32


class PurgeSync:
    """``clock`` is in Unix seconds; only times of this machine are compared with it."""

    def __init__(
        self,
        local: Cache,
        bucket: ObjectBucket,
        codec: PurgeCodec,
        folder: Path | None,
        *,
        timeout_seconds: float,
        known_after_seconds: float,
        ignore: Callable[[str, str], None],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``folder`` is that of the cache; without it the log lies in the memory of this process.

        ``ignore`` is called with the name of each object that is no purge, and the reason.
        ``known_after_seconds`` is when every machine that reaches the bucket knows a purge.
        """
        self._local = local
        self._bucket = bucket
        self._codec = codec
        self._folder = None if folder is None else folder / "purges"
        self._timeout_seconds = timeout_seconds
        self._known_after_seconds = known_after_seconds
        self._ignore = ignore
        self._clock = clock
        self._monotonic = monotonic
        self._log = PurgeLog(None if self._folder is None else self._folder / "log.sqlite")
        self._thread = ThreadPoolExecutor(1, "purge-log")
        self._lock: int | None = None
        self._connected_at = clock()
        self._syncing = asyncio.Lock()
        self.on_late: PrepareLatePurge | None = None
        self.on_sent: Callable[[Sequence[PurgeRow]], None] = lambda _: None
        """Called with purges of this machine that reached the bucket later than their request."""

    async def selects(self, tags: Sequence[str], started: float) -> bool:
        """Whether a purge selects what has these tags and was worked on since then.

        ``started`` is a lower bound of the bucket's clock. Raises StorageError.
        """
        return await self._call(lambda: self._log.selects(tags, started))

    async def known_until(self, began: float) -> float:
        """By the bucket's clock, how old data of this machine may be then. Raises StorageError."""
        return await self._call(lambda: self._log.known_until(began))

    async def is_current(self) -> bool:
        """Whether this machine has read the purges of all machines a moment ago."""
        synced_at = await self._call(lambda: self._log.synced_at)
        return 0 <= self._clock() - synced_at <= self._known_after_seconds

    async def purge(self, selectors: Sequence[Selector], *, soft: bool) -> Counter[Kind]:
        """Purge the cache of this machine, and note that for the others; then call `send_pending`.

        Nothing that they select is read from the bucket from now on. Return how many entries of
        each kind were purged. Raises StorageError or StoreUnavailable.
        """
        counts: Counter[Kind] = Counter(dict.fromkeys(KINDS, 0))
        for rows in split_rows(PurgeRow(selector, soft) for selector in selectors):
            numbers = await self._call(partial(self._log.add_pending, new_purge_name(), rows))
            for row in rows:
                counts.update(await self._local.purge(row.selector, soft=soft))
            await self._call(partial(self._log.mark_done, numbers))
        return counts

    async def send_pending(self) -> list[PurgeRow]:
        """Write the purges of this machine to the bucket; return them with their stamps.

        Raises BucketError, TimeoutError or StorageError; what could not be written stays noted.
        """
        sent: list[PurgeRow] = []
        while names := await self._call(self._log.pending):
            for name in names:
                rows = await self._call(partial(self._log.pending_rows, name))
                if rows is None:  # another process was faster
                    continue
                async with asyncio.timeout(self._timeout_seconds):
                    await self._bucket.put(name, self._codec.encode(name, rows))
                    found = await self._bucket.get(name)
                if found is None:
                    raise BucketError(f"{name} is not there after it was written")
                await self._merge(name, rows, found)
                sent += self._stamped(name, found)
        return sent

    async def sync(self) -> bool:
        """Learn all purges; return whether they are known.

        Another process of this machine may be the one that reads them; then wait for it a moment.
        Raises BucketError, TimeoutError, StorageError or StoreUnavailable.
        """
        for _ in range(_WAITS):
            if await self._call(self._lead):
                break
            if await self.is_current():
                return True
            await asyncio.sleep(_WAIT_SECONDS)
        else:
            return False
        async with self._syncing:
            began = self._monotonic()
            late = self._clock() - self._connected_at > self._known_after_seconds
            if sent := await self.send_pending():
                self.on_sent(sent)
            for _ in range(_MAX_LISTINGS):
                names, complete = await self._read_new()
                await self._apply_due(late=late)
                if complete:
                    break
            else:
                raise BucketError("purges vanish while they are read")
            await self._call(lambda: self._finish(names, began))
            self._connected_at = self._clock()
        return True

    async def learn(self, name: str, data: bytes) -> None:
        """Apply purges that another machine sends, as a batch with their stamps, at once.

        Raises NotAuthentic, CorruptEntry, StorageError or StoreUnavailable.
        """
        rows = self._codec.decode(name, data)
        await self._call(partial(self._log.merge, name, rows, second=0))
        await self._apply_due(late=False, only={structs.replace(row, stamp=None) for row in rows})

    async def compact(self) -> None:
        """Join older purges into batches: once a day, or where there are many.

        Raises BucketError, TimeoutError or StorageError.
        """
        if self._lock is None and self._folder is not None:
            return
        async with self._syncing:
            async with asyncio.timeout(self._timeout_seconds):
                listed = await self._bucket.list(PURGE_FOLDER)
            objects = {name: at for name, at in listed.items() if is_purge_name(name)}
            if not objects:
                return
            now = max(objects.values())
            await self._call(lambda: self._log.observe(now, self._monotonic()))
            now = max(now, await self._call(lambda: self._log.store_time().at(self._monotonic())))
            loose = {name: at for name, at in objects.items() if not is_batch_name(name)}
            old = [name for name, at in loose.items() if now - at > _KEEP_SECONDS]
            batches = [name for name in objects if is_batch_name(name)]
            is_due = bool(old) and now - min(loose.values()) > _COMPACT_SECONDS
            if not is_due and len(old) < COMPACT_OBJECTS:
                return
            joined = [*old, *(batches if len(batches) >= _MAX_BATCHES else ())]
            unknown = set(await self._call(lambda: self._log.unknown(joined)))
            joined = [name for name in joined if name not in unknown]
            await self._join(joined, everything=len(batches) >= _MAX_BATCHES)

    async def close(self) -> None:
        def close() -> None:
            self._log.close()
            lock, self._lock = self._lock, None
            if lock is not None:
                os.close(lock)

        closed = asyncio.get_running_loop().run_in_executor(self._thread, close)
        with contextlib.suppress(TimeoutError):  # a disk that hangs
            async with asyncio.timeout(_CLOSE_SECONDS):
                await closed
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _join(self, names: Sequence[str], *, everything: bool) -> None:
        """Write what these objects say as batches, then delete them."""
        if everything:
            rows = await self._call(lambda: list(self._log.rows()))
        else:
            rows = []
            for start in range(0, len(names), _READS):
                for name, found in await self._read(names[start : start + _READS]):
                    rows += [] if found is None else self._stamped(name, found)
        for some in split_rows(rows):
            name = new_batch_name()
            async with asyncio.timeout(self._timeout_seconds):
                await self._bucket.put(name, self._codec.encode(name, some))
            await self._call(partial(self._log.merge, name, some, second=0, apply=False))
        if rows:
            async with asyncio.timeout(self._timeout_seconds):
                await self._bucket.delete(names)

    async def _read_new(self) -> tuple[list[str], bool]:
        """Merge what is new in the bucket; return what is listed, and whether all could be read."""
        async with asyncio.timeout(self._timeout_seconds):
            listed = await self._bucket.list(PURGE_FOLDER)
        names = []
        for name in listed:
            if is_purge_name(name):
                names.append(name)
            else:
                self._ignore(name, "it is no purge")
        complete = True
        new = await self._call(lambda: self._log.unknown(names))
        for start in range(0, len(new), _READS):
            for name, found in await self._read(new[start : start + _READS]):
                if found is None:
                    complete = False
                elif (rows := self._decode(name, found)) is not None:
                    await self._merge(name, rows, found)
        return names, complete

    async def _read(self, names: Sequence[str]) -> list[tuple[str, StoredObject | None]]:
        async with asyncio.timeout(self._timeout_seconds):
            found = await asyncio.gather(*map(self._bucket.get, names))
        return list(zip(names, found, strict=True))

    async def _merge(self, name: str, rows: Sequence[PurgeRow], found: StoredObject) -> None:
        second, now = int(found.written_at), self._monotonic()

        def merge() -> None:
            self._log.merge(name, rows, second=second)
            self._log.observe(second, now)

        await self._call(merge)

    async def _apply_due(self, *, late: bool, only: Collection[PurgeRow] | None = None) -> None:
        """Purge the cache of this machine by what was learned. Raises StoreUnavailable."""
        due = await self._call(lambda: self._log.due(_MAX_DUE + 1))
        if only is not None:  # the others may be late, and CDNs must be told of them
            due = {number: row for number, row in due.items() if row in only}
        if not due:
            return
        if too_many := len(due) > _MAX_DUE:
            _log.warning("cache emptied: more than %d purges were missed", _MAX_DUE)
            due = await self._call(lambda: self._log.due(sys.maxsize))
        selected = dict.fromkeys([PurgeRow(All(), soft=False)] if too_many else due.values())
        finish = [
            await self.on_late([row.selector for row in selected if row.soft == soft], soft)
            for soft in sorted({row.soft for row in selected})
            if late and self.on_late is not None
        ]
        for row in selected:
            await self._local.purge(row.selector, soft=row.soft)
        await self._call(lambda: self._log.mark_done(due))
        for one in finish:
            await one()

    def _decode(self, name: str, found: StoredObject) -> list[PurgeRow] | None:
        try:
            return self._codec.decode(name, found.data)
        except (CorruptEntry, NotAuthentic) as error:
            self._ignore(name, str(error))
            return None

    def _stamped(self, name: str, found: StoredObject) -> list[PurgeRow]:
        stamp = Stamp(int(found.written_at), (object_id(name),))
        rows = self._decode(name, found) or []
        return [row if row.stamp else structs.replace(row, stamp=stamp) for row in rows]

    def _lead(self) -> bool:
        """Whether this process reads the bucket for this machine."""
        if self._folder is None:
            return True
        path = self._folder / "lock"
        if self._lock is not None and os.fstat(self._lock).st_ino == inode(path):
            return True
        self._prepare()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        if self._lock is not None:
            os.close(self._lock)
        self._lock = descriptor
        return True

    def _finish(self, names: Sequence[str], began: float) -> None:
        self._log.keep_objects(names)
        self._log.add_sync(began, self._monotonic())
        self._log.set_synced(self._clock())

    def _prepare(self) -> None:
        """Make the folder of the log where it is missing. Raises StorageError."""
        if self._folder is None:
            return
        try:
            create_private_folder(self._folder.parent)
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except ConfigError as error:
            raise StorageError(str(error)) from error
        except OSError as error:
            raise StorageError(f"{self._folder}: {error.strerror}") from error

    async def _call(self, work: Callable[[], T]) -> T:
        """Do the work on the thread of the log. Raises StorageError."""

        def prepared() -> T:
            with translate_errors():
                if self._folder is not None and not self._folder.is_dir():
                    self._prepare()
                self._log.open()
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, prepared)
