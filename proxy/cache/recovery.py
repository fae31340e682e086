"""Recover from a cache folder that is full, read-only, gone, replaced or damaged.

The server runs without the kinds of entries that it cannot read or write, logs that once, and
retries automatically. A damaged index is discarded with its files, and rebuilt empty.
"""

import contextlib
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from proxy.cache.directory import CacheDirectory
from proxy.cache.disk_table import DiskTable
from proxy.cache.files import BodyFiles
from proxy.cache.sqlite import StorageError, database_path, inode
from proxy.cache.store import All, Kind

_log = logging.getLogger(__name__)

T = TypeVar("T")
Operation = Literal["read", "write"]

_MIN_FREE_BYTES = 1024 * 1024  # an index cannot be opened on a disk with less
_DISCARDED = ".discarded-"


class RecoverableTable:
    """The table of one kind, opened when needed and again after it was lost.

    All methods block and run on threads, except `mark_used` and `report`.
    """

    def __init__(
        self,
        directory: CacheDirectory,
        kind: Kind,
        budget: int,
        *,
        backoff_seconds: float,
        clock: Callable[[], float],
    ) -> None:
        """``backoff_seconds``: from a failed attempt to open the table until the next one."""
        self.budget = budget
        self._directory = directory
        self._kind: Kind = kind
        self._backoff_seconds = backoff_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._table: DiskTable | None = None
        self._users: dict[DiskTable, int] = {}
        self._corrupt_inode: int | None = None
        self._failure: tuple[float, StorageError] | None = None  # retry time, monotonic; why
        self._may_free_space = True
        self._reported: dict[Operation, str] = {}

    def call(self, operation: Operation, work: Callable[[DiskTable], T]) -> T:
        """Call ``work`` with the open table. Raises StorageError."""
        try:
            with self._in_use() as table:
                result = work(table)
        except StorageError as error:
            self.report(operation, str(error))
            raise
        self.report(operation, "")
        return result

    def call_or_rebuild(self, work: Callable[[DiskTable], T]) -> T:
        """Call ``work``; if the index proves to be damaged, again on a new one."""
        try:
            return self.call("write", work)
        except StorageError as error:
            if not error.corrupt:
                raise
        return self.call("write", work)

    def clear(self) -> int:
        """Remove all entries in constant time; return how many. Raises StorageError."""
        count = self.call_or_rebuild(DiskTable.stats).entries
        self._directory.open()
        try:
            with self._lock, self._directory.lock():
                self._discard_folder()
        except OSError as error:
            raise StorageError(error.strerror or str(error)) from error
        self.call_or_rebuild(partial(DiskTable.record_purge, selector=All(), soft=False))
        self._directory.notify_changed(self._kind, None)
        return count

    def mark_used(self, key: str) -> None:
        table = self._table
        if table is not None:
            table.mark_used(key)

    def close(self) -> None:
        """Close the table; nothing may be using it."""
        if self._table is not None:
            with contextlib.suppress(StorageError):
                self._table.flush()
            self._table.close()

    def report(self, operation: Operation, error: str) -> None:
        """Log a failure (empty: success) if it differs from the last one."""
        if self._reported.get(operation, "") == error:
            return
        self._reported[operation] = error
        if error:
            _log.warning("cache %s failed: kind=%s, %s", operation, self._kind, error)
        else:
            _log.warning("cache %s recovered: kind=%s", operation, self._kind)

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[DiskTable]:
        with self._lock:
            self._directory.open()
            if self._table is not None and not self._table.is_in_place():
                self._retire(self._table)
            table = self._table = self._table or self._open()
            self._users[table] = self._users.get(table, 0) + 1
        try:
            yield table
        except StorageError as error:
            if error.corrupt:
                with self._lock:
                    self._corrupt_inode = table.inode
                    self._retire(table)
            raise
        finally:
            with self._lock:
                self._users[table] -= 1
                if not self._users[table]:
                    del self._users[table]
                    if table is not self._table:
                        table.close()

    def _retire(self, table: DiskTable) -> None:
        """Stop using the table; its last user closes it."""
        if table is self._table:
            self._table = None
            if table not in self._users:
                table.close()

    def _open(self) -> DiskTable:
        if self._failure is not None and time.monotonic() < self._failure[0]:
            raise self._failure[1]
        try:
            with self._directory.lock():
                table = self._open_or_rebuild()
        except (StorageError, OSError) as error:
            failure = error if isinstance(error, StorageError) else StorageError(str(error))
            self._failure = time.monotonic() + self._backoff_seconds, failure
            raise failure from error
        self._failure, self._may_free_space = None, True
        return table

    def _open_or_rebuild(self) -> DiskTable:
        open_table = partial(
            DiskTable,
            self._folder,
            self._kind,
            self.budget,
            on_change=partial(self._directory.notify_changed, self._kind),
            clock=self._clock,
        )
        if self._corrupt_inode is not None and self._corrupt_inode == self._index_inode():
            self._rebuild("it is damaged")
        try:
            return open_table()
        except StorageError as error:
            if self._may_free_space and (error.disk_full or _is_full(self._directory.path)):
                self._may_free_space = False  # once: if others fill the disk, freeing does not help
                BodyFiles(self._folder).free_space(_MIN_FREE_BYTES)
            elif error.corrupt:
                self._rebuild(str(error))
            else:
                raise
        return open_table()

    @property
    def _folder(self) -> Path:
        return self._directory.path / self._kind

    def _index_inode(self) -> int | None:
        return inode(database_path(self._folder))

    def _rebuild(self, reason: str) -> None:
        _log.warning("cache index rebuilt empty: kind=%s, %s", self._kind, reason)
        self._discard_folder()

    def _discard_folder(self) -> None:
        folder = self._folder
        self._corrupt_inode = None
        folder.rename(folder.with_name(f"{folder.name}{_DISCARDED}{secrets.token_hex(4)}"))
        for old in folder.parent.glob(f"{folder.name}{_DISCARDED}*"):
            # In the background: it may be a hundred thousand files.
            try:
                threading.Thread(target=shutil.rmtree, args=(old, True), daemon=True).start()
            except RuntimeError as error:  # the system has no room for a thread now
                _log.warning("discarded cache folder not removed until the next one: %s", error)


def _is_full(path: Path) -> bool:
    """SQLite reports an I/O error, not a full disk, if it cannot open an index there."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize < _MIN_FREE_BYTES
