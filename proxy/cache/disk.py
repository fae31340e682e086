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
from proxy.cache.group_commit import GroupCommit
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
from proxy.cache.write_queue import Place, QueuedWrite, WriteQueue
from proxy.errors import StoreUnavailable

T = TypeVar("T")

_log = logging.getLogger(__name__)

_WRITE_WAIT_SECONDS = 1.0
"""A request waits so long for its entry to be written, where too much waits to be written already.
A disk that is slower writes behind the answer; see `IoThreads.run_behind`."""

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
        self._queue = WriteQueue(max_pending_bytes, self._start_batch)
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

        self._groups = {
            kind: GroupCommit(
                self._run_behind, partial(self._put_all, table), max_waiting=_MAX_QUEUE
            )
            for kind, table in self._tables.items()
        }

    @property
    def breakers(self) -> Sequence[CircuitBreaker]:
        return (self._breaker,)

    def change_token(self, *keys: tuple[Kind, str]) -> ChangeToken | None:
        return self._directory.change_token(*keys)

    def mark_used(self, kind: Kind, key: str) -> None:
        self._tables[kind].mark_used(key)

    async def get(self, kind: Kind, key: str) -> Entry | None:
        table = self._tables[kind]
        pending = self._queue.get((kind, key))
        if pending is not None:
            table.mark_used(key)
            return pending
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
        if self._put_behind(kind, key, entry, started_at):
            return
        await self.flush(_WRITE_WAIT_SECONDS)  # what was put earlier is written earlier
        with self._errors(kind):
            await self._groups[kind].put(NewEntry(key, entry, started_at))

    def _put_behind(self, kind: Kind, key: str, entry: Entry, started_at: float | None) -> bool:
        """Leave the entry to the next batch; false if it must be written now."""
        if self._breaker.error:
            return False
        # Before the token is taken: copies of what was stored before are not served any more.
        self._directory.notify_changed(kind, key)
        is_current = self._directory.change_token((kind, key))
        if is_current is None:
            return False
        now = self._clock()
        since = now if started_at is None else started_at
        if self._directory.all_changed_since(since):
            return False  # the index knows whether a purge selects it
        stored = structs.replace(entry, stored_at=now, soft_purged_at=0.0)
        return self._queue.add((kind, key), QueuedWrite(stored, since, is_current))

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
        await asyncio.to_thread(self._close)

    def _put_all(self, table: RecoverableTable, entries: Sequence[NewEntry]) -> None:
        table.call("write", partial(DiskTable.put_all, entries=entries))

    def _start_batch(self, batch: Mapping[Place, QueuedWrite]) -> None:
        try:
            self._writes.start(partial(self._write_batch, batch), self._queue.on_written)
        except DiskBusy as error:
            for kind in {kind for kind, _ in batch}:
                self._report(self._tables[kind], "write", error)
            asyncio.get_running_loop().call_soon(self._queue.on_written)

    def _write_batch(self, batch: Mapping[Place, QueuedWrite]) -> None:
        for kind, table in self._tables.items():
            entries = [
                NewEntry(key, write.entry, write.started_at)
                for (of_kind, key), write in batch.items()
                if of_kind == kind
            ]
            if entries:
                with suppress(StorageError):  # the table has logged it
                    self._put_all(table, entries)

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
        with self._errors(kind):
            await self._run_behind(partial(self._tables[kind].call, "write", work))

    async def _run_behind(self, work: Callable[[], None]) -> None:
        await self._writes.run_behind(work, wait_seconds=_WRITE_WAIT_SECONDS)

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
