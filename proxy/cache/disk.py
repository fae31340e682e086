"""The cache on disk, shared by all processes of a machine. Nothing here blocks the event loop."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

from msgspec import structs

from proxy.cache.circuit_breaker import CircuitBreaker
from proxy.cache.config import CacheConfig
from proxy.cache.directory import CacheDirectory
from proxy.cache.disk_rows import NewEntry
from proxy.cache.disk_table import DiskTable
from proxy.cache.io_threads import DiskBusy, IoThreads
from proxy.cache.recovery import Operation, RecoverableTable
from proxy.cache.sqlite import BUSY_SECONDS, StorageError
from proxy.cache.store import (
    KINDS,
    All,
    CacheStats,
    ChangeToken,
    Entry,
    Kind,
    Selector,
    VerifyReport,
)
from proxy.cache.write_queue import Batch, QueuedWrite, WriteQueue
from proxy.errors import StoreUnavailable

T = TypeVar("T")

_log = logging.getLogger(__name__)

_WRITE_WAIT_SECONDS = 1.0
"""A request waits so long for its entry to be written, where too much waits to be written already.
A disk that is slower writes behind the answer, and nobody waits for it until it has caught up."""

_CLOSE_TIMEOUT_SECONDS = 10.0
_MAX_QUEUE = 1024  # all requests of a spike read together, and a skipped read costs a render


class DiskStore:
    """Entries below one folder, each kind with its own index and budget.

    Nothing is opened before the first call. ``clock`` is in Unix seconds. `put` does not wait for
    the disk while no more than ``max_pending_bytes`` wait to be written.
    """

    def __init__(
        self,
        config: CacheConfig,
        *,
        clock: Callable[[], float] = time.time,
        max_pending_bytes: int = 0,
    ) -> None:
        self._clock = clock
        self._disk_seconds = config.disk_timeout_seconds + BUSY_SECONDS
        self._queue = WriteQueue(max_pending_bytes, self._start_batch, clock)
        self._slow_batch: Batch | None = None
        self._directory = CacheDirectory(config.directory(), clock)
        self._tables = {
            kind: RecoverableTable(
                self._directory,
                kind,
                budget,
                backoff_seconds=config.disk_backoff_seconds,
                clock=clock,
            )
            for kind, budget in config.budgets().items()
        }
        self._breaker = CircuitBreaker("disk", config.disk_backoff_seconds)
        self._reads, self._writes = (
            IoThreads(
                name,
                self._breaker,
                threads=threads,
                queue=_MAX_QUEUE,
                timeout_seconds=config.disk_timeout_seconds + lock_seconds,
            )
            for name, threads, lock_seconds in (
                ("cache-read", 4, 0.0),
                ("cache-write", 2, BUSY_SECONDS),
            )
        )

    @property
    def breakers(self) -> Sequence[CircuitBreaker]:
        return (self._breaker,)

    def change_token(self, *keys: tuple[Kind, str]) -> ChangeToken | None:
        return self._directory.change_token(*keys)

    def mark_used(self, kind: Kind, key: str) -> None:
        self._tables[kind].mark_used(key)

    async def get(self, kind: Kind, key: str) -> Entry | None:
        queued = self._queue.get((kind, key))
        if queued is None:
            return await self._read(kind, key)
        write, batch = queued
        if write.is_readable:
            self._tables[kind].mark_used(key)
            return write.entry
        found = await self._read(kind, key)
        if found is None or found.stored_at < batch.started_at:  # it is not what was put last
            await self._wait_for(batch)
            found = await self._read(kind, key)
        return found

    async def _read(self, kind: Kind, key: str) -> Entry | None:
        table = self._tables[kind]
        call = partial(table.call, "read", partial(DiskTable.get, key=key))
        try:
            return await self._reads.run(call)
        except StorageError:
            return None  # the table has logged it
        except DiskBusy as error:
            self._report(table, "read", error)
            return None

    async def put(
        self, kind: Kind, key: str, entry: Entry, *, started_at: float | None = None
    ) -> None:
        if not self._breaker.allows():
            return
        write = self._new_write(kind, key, entry, started_at)
        with self._errors(kind):
            batch = self._queue.add((kind, key), write)
            if write.is_current is None or self._queue.is_over_limit:
                await self._wait_for(batch)
                if batch.ended.done():
                    batch.ended.result()

    def _new_write(
        self, kind: Kind, key: str, entry: Entry, started_at: float | None
    ) -> QueuedWrite:
        # Before the token is taken: copies of what was stored before are not served any more.
        self._directory.notify_changed(kind, key)
        is_current = self._directory.change_token((kind, key))
        now = self._clock()
        since = now if started_at is None else started_at
        stored = structs.replace(entry, stored_at=now, soft_purged_at=0.0)
        if is_current is None or self._directory.all_changed_since(since):
            return QueuedWrite(stored, started_at, None)
        return QueuedWrite(stored, since, is_current)

    async def _wait_for(self, batch: Batch) -> None:
        """Wait until the batch has ended, but not for long, and not for a disk known to be slow."""
        slow = self._slow_batch
        if slow is not None and not slow.ended.done():
            return
        await asyncio.wait(
            (batch.ended, self._breaker.opened()),
            timeout=_WRITE_WAIT_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if not batch.ended.done():
            self._slow_batch = batch

    def written(self) -> "asyncio.Future[None] | None":
        return self._queue.written(self._disk_seconds)

    async def flush(self, timeout_seconds: float | None = None) -> None:
        """Wait until everything that was put so far is written, or the disk turns out to hang."""
        written = self._queue.written(timeout_seconds or self._disk_seconds)
        if written is not None and not self._breaker.error:
            await asyncio.wait(
                (written, self._breaker.opened()), return_when=asyncio.FIRST_COMPLETED
            )

    async def add_tags(self, kind: Kind, key: str, tags: Iterable[str]) -> None:
        await self.flush()
        await self._write(kind, partial(DiskTable.add_tags, key=key, tags=tuple(tags)))

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        if selector == All() and not soft:
            return await self._for_all_kinds(RecoverableTable.clear)
        purge = partial(DiskTable.purge, selector=selector, soft=soft)
        return await self._for_all_kinds(lambda table: table.call_or_rebuild(purge))

    async def verify(self) -> Mapping[Kind, VerifyReport]:
        return await self._for_all_kinds(lambda table: table.call_or_rebuild(DiskTable.verify))

    async def tags_with_prefix(self, prefix: str, limit: int) -> Sequence[str]:
        find = partial(DiskTable.tags_with_prefix, prefix=prefix, limit=limit)
        found = await self._for_all_kinds(lambda table: table.call_or_rebuild(find))
        return sorted({tag for tags in found.values() for tag in tags})[:limit]

    async def stats(self) -> Mapping[Kind, CacheStats]:
        await self.flush()
        found = {}
        for kind, table in self._tables.items():
            try:
                call = partial(table.call, "read", DiskTable.stats)
                found[kind] = await self._writes.run(call)
            except (StorageError, DiskBusy) as error:
                found[kind] = CacheStats(budget=table.budget, error=str(error))
        return found

    async def close(self) -> None:
        await self.flush(_CLOSE_TIMEOUT_SECONDS)
        if len(self._queue):
            _log.warning("cache entries not written before the end: %d", len(self._queue))
        await asyncio.to_thread(self._close)

    def _start_batch(self, batch: Batch) -> None:
        try:
            self._writes.start(partial(self._write_batch, batch), self._queue.on_ended)
        except DiskBusy as error:
            for kind in {kind for kind, _ in batch.writes}:
                self._report(self._tables[kind], "write", error)
            asyncio.get_running_loop().call_soon(self._queue.on_ended, error)

    def _write_batch(self, batch: Batch) -> None:
        for kind, table in self._tables.items():
            entries = [
                NewEntry(key, write.entry, write.started_at)
                for (of_kind, key), write in batch.writes.items()
                if of_kind == kind
            ]
            if entries:
                with suppress(StorageError):  # the table has logged it
                    table.call("write", partial(DiskTable.put_all, entries=entries))

    def _close(self) -> None:
        seconds = 0.0 if self._breaker.error else _CLOSE_TIMEOUT_SECONDS
        have_ended = self._reads.close(seconds), self._writes.close(seconds)
        if not all(have_ended):
            _log.warning("cache not closed properly: the disk hangs")
            return
        for table in self._tables.values():
            table.close()
        self._directory.close()

    async def _write(self, kind: Kind, work: Callable[[DiskTable], None]) -> None:
        call = partial(self._tables[kind].call, "write", work)
        with self._errors(kind):
            await self._writes.run_behind(call, wait_seconds=_WRITE_WAIT_SECONDS)

    @contextmanager
    def _errors(self, kind: Kind) -> Iterator[None]:
        """Log what went wrong with a write: it looks like an entry that was evicted."""
        try:
            yield
        except StorageError:
            pass  # the table has logged it
        except DiskBusy as error:
            self._report(self._tables[kind], "write", error)

    def _report(self, table: RecoverableTable, operation: Operation, error: DiskBusy) -> None:
        if not self._breaker.error:  # which has logged it
            table.report(operation, str(error))

    async def _for_all_kinds(self, work: Callable[[RecoverableTable], T]) -> dict[Kind, T]:
        await self.flush()
        done = {}
        for kind in KINDS:
            try:
                call = partial(work, self._tables[kind])
                done[kind] = await self._writes.run(call, has_timeout=False)
            except (StorageError, DiskBusy) as error:
                raise StoreUnavailable(
                    "cache not available for all kinds; repeat the request", detail=str(error)
                ) from error
        return done
