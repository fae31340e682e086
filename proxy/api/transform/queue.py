"""A durable queue: one file for each item, kept until the item is acknowledged.

The name of a file says how often its item was attempted, its time of modification when the item is
due. So a process learns what there is to do without reading a single item. To work on an item it
claims it by locking the file. The kernel releases the lock when the process ends, however it ends,
so another process can claim the item.
"""

import contextlib
import fcntl
import heapq
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

_RECOUNT_SECONDS = 1.0
"""How long the size of the queue is taken as known, though other processes change it."""


class DurableQueueFull(Exception):
    """The queue has no room for another item; the message names the limit and its setting."""


class ScheduledItem(NamedTuple):
    """``due_at`` is in Unix seconds."""

    due_at: float
    name: str


class QueueItem:
    """An item that this process has claimed, until it releases, acknowledges or forgets it.

    ``attempts`` that were made before have failed.
    """

    def __init__(self, queue: "DurableQueue", path: Path, descriptor: int) -> None:
        self._queue = queue
        self._path = path
        self._descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)

    @property
    def id(self) -> str:
        return self._path.name.partition(".")[0]

    @property
    def attempts(self) -> int:
        count = self._path.name.partition(".")[2]
        return int(count) if count.isascii() and count.isdigit() else 0

    def read(self) -> bytes:
        return self._path.read_bytes()

    def replace(self, data: bytes) -> None:
        """Store other data in the item. Raises DurableQueueFull, or OSError; nothing changed."""
        descriptor = self._queue.write_file(self._path, data, replaced=self._size())
        self._close()
        self._descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)

    def retry_at(self, due_at: float) -> ScheduledItem:
        """Count a failed attempt, and let any process claim the item when it is due."""
        name = f"{self.id}.{self.attempts + 1}"
        os.utime(self._descriptor, (due_at, due_at))
        self._path = self._path.rename(self._path.with_name(name))
        self.release()
        return ScheduledItem(due_at, name)

    def ack(self) -> None:
        """Remove the item: it is done."""
        size = self._size()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
            self._queue.count_removed(size)
        self.release()

    def release(self) -> None:
        """Let another claim the item."""
        self._close()

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size


class DurableQueue:
    """A directory of items. Every method blocks on the disk: call it from a thread.

    The limits are those of the directory. Several processes that put at the same time may exceed
    them by what they put within a second.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_items: int,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``clock`` is in Unix seconds."""
        self._directory = directory
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._items = self._bytes = 0
        self._counted_at = float("-inf")

    def put(self, data: bytes) -> ScheduledItem:
        """Store an item, which is due immediately. Raises DurableQueueFull, or OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = uuid4().hex
        os.close(self.write_file(self._directory / name, data))
        return ScheduledItem(self._clock(), name)

    def claim(self, name: str) -> QueueItem | None:
        """Claim an item; None if another process works on it, or it is done. Raises OSError."""
        path = self._directory / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        item = QueueItem(self, path, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Between open and lock it may have been removed, or renamed for its next attempt.
            is_current = os.path.samestat(os.fstat(descriptor), path.stat())
        except (BlockingIOError, FileNotFoundError):
            is_current = False
        if not is_current:
            item.release()
            return None
        return item

    def schedule(self, limit: int) -> list[ScheduledItem]:
        """List up to that many items, the first to be due first. Raises OSError."""
        return heapq.nsmallest(
            limit, (ScheduledItem(due_at, name) for name, due_at, _ in self._scan())
        )

    def write_file(self, path: Path, data: bytes, *, replaced: int | None = None) -> int:
        """Write the file of an item, and return its locked descriptor.

        ``replaced`` is the size of the file that it replaces, if there is one.
        Raises DurableQueueFull, or OSError.
        """
        items, added = (1, len(data)) if replaced is None else (0, len(data) - replaced)
        self._reserve(items, added)
        unfinished = path.with_name(f".{uuid4().hex}")
        descriptor = -1
        try:
            descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with open(descriptor, "wb", closefd=False) as file:
                file.write(data)
            os.fsync(descriptor)
            unfinished.rename(path)
        except OSError:
            if descriptor >= 0:
                os.close(descriptor)
                unfinished.unlink(missing_ok=True)
            self._add(-items, -added)
            raise
        return descriptor

    def count_removed(self, size: int) -> None:
        """Note that an item of that size was removed."""
        self._add(-1, -size)

    def _reserve(self, items: int, size: int) -> None:
        """Count what is about to be written. Raises DurableQueueFull, or OSError."""
        with self._lock:
            if time.monotonic() - self._counted_at > _RECOUNT_SECONDS:
                sizes = [size for _, _, size in self._scan()]
                self._items, self._bytes = len(sizes), sum(sizes)
                self._counted_at = time.monotonic()
            if self._items + items > self._max_items:
                raise DurableQueueFull(
                    f"queue has its maximum of {self._max_items} items "
                    "(FRAMEKEEP_TRANSFORM_WEBHOOK_MAX_QUEUED_DELIVERIES)"
                )
            if self._bytes + size > self._max_bytes:
                raise DurableQueueFull(
                    f"queue would have more than {self._max_bytes} bytes "
                    "(FRAMEKEEP_TRANSFORM_WEBHOOK_MAX_QUEUED_BYTES)"
                )
            self._items += items
            self._bytes += size

    def _add(self, items: int, size: int) -> None:
        with self._lock:
            self._items += items
            self._bytes += size

    def _scan(self) -> Iterator[tuple[str, float, int]]:
        """Yield name, time of modification and size of the finished files."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    yield entry.name, status.st_mtime, status.st_size
