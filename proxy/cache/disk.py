"""The cache on disk, shared by all processes of a machine. Nothing here blocks the event loop."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from proxy.cache.config import CacheConfig
from proxy.cache.directory import CacheDirectory
from proxy.cache.disk_table import DiskTable
from proxy.cache.recovery import RecoverableTable
from proxy.cache.sqlite import StorageError
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
from proxy.errors import StoreUnavailable

T = TypeVar("T")

_READ_TIMEOUT_SECONDS = 2.0  # to make the entry again is faster
_WRITE_TIMEOUT_SECONDS = 10.0  # then the caller goes on, and the write continues
_MAX_QUEUE = 1024  # all requests of a spike read together, and a skipped read costs a render


class DiskStore:
    """Entries below one folder, each kind with its own index and budget.

    Nothing is opened before the first call. ``clock`` is in Unix seconds.
    """

    def __init__(self, config: CacheConfig, *, clock: Callable[[], float] = time.time) -> None:
        self._directory = CacheDirectory(config.directory())
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
        self._reads = IoThreads("cache-read", threads=4, queue=_MAX_QUEUE)
        self._writes = IoThreads("cache-write", threads=2, queue=_MAX_QUEUE)

    def change_token(self, *keys: tuple[Kind, str]) -> ChangeToken | None:
        return self._directory.change_token(*keys)

    def mark_used(self, kind: Kind, key: str) -> None:
        self._tables[kind].mark_used(key)

    async def get(self, kind: Kind, key: str) -> Entry | None:
        table = self._tables[kind]
        call = partial(table.call, "read", partial(DiskTable.get, key=key))
        try:
            return await self._reads.run(call, timeout_seconds=_READ_TIMEOUT_SECONDS)
        except StorageError:
            return None  # the table has logged it
        except DiskBusy as error:
            table.report("read", str(error))
            return None

    async def put(
        self, kind: Kind, key: str, entry: Entry, *, started_at: float | None = None
    ) -> None:
        put = partial(DiskTable.put, key=key, entry=entry, started_at=started_at)
        await self._write(kind, put)

    async def add_tags(self, kind: Kind, key: str, tags: Iterable[str]) -> None:
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
        found = {}
        for kind, table in self._tables.items():
            try:
                call = partial(table.call, "read", DiskTable.stats)
                found[kind] = await self._writes.run(call, timeout_seconds=_WRITE_TIMEOUT_SECONDS)
            except (StorageError, DiskBusy) as error:
                found[kind] = CacheStats(budget=table.budget, error=str(error))
        return found

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._reads.close()
        self._writes.close()
        for table in self._tables.values():
            table.close()
        self._directory.close()

    async def _write(self, kind: Kind, work: Callable[[DiskTable], None]) -> None:
        table = self._tables[kind]
        try:
            await self._writes.run(
                partial(table.call, "write", work), timeout_seconds=_WRITE_TIMEOUT_SECONDS
            )
        except StorageError:
            pass  # the table has logged it
        except DiskBusy as error:
            table.report("write", str(error))

    async def _for_all_kinds(self, work: Callable[[RecoverableTable], T]) -> dict[Kind, T]:
        done = {}
        for kind in KINDS:
            try:
                call = partial(work, self._tables[kind])
                done[kind] = await self._writes.run(call, timeout_seconds=None)
            except (StorageError, DiskBusy) as error:
                raise StoreUnavailable(
                    "cache not available for all kinds; repeat the request", detail=str(error)
                ) from error
        return done


class DiskBusy(Exception):
    """The queue of the disk threads is full, or a call took too long."""


class IoThreads:
    """A few threads with a bounded queue.

    A thread cannot be cancelled, so its slot is released only when its call is really done. A disk
    that hangs blocks these threads and nothing else.
    """

    def __init__(self, name: str, *, threads: int, queue: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._size = threads + queue
        self._slots = threading.BoundedSemaphore(self._size)

    async def run(self, call: Callable[[], T], *, timeout_seconds: float | None) -> T:
        """Return what the call returns.

        Raises DiskBusy if the queue is full, or after ``timeout_seconds``; then the call goes on.
        """
        if not self._slots.acquire(blocking=False):
            raise DiskBusy(f"disk queue full: {self._size} calls")
        try:
            future = self._executor.submit(call)
        except BaseException:
            self._slots.release()
            raise
        future.add_done_callback(self._release_slot)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise DiskBusy(f"disk timeout exceeded after {timeout_seconds} s") from error

    def _release_slot(self, _: Future[T]) -> None:
        self._slots.release()

    def close(self) -> None:
        """Wait for the calls that are running; drop those that are queued."""
        self._executor.shutdown(wait=True, cancel_futures=True)
