"""A durable queue: one file for each item, kept until the item is acknowledged.

The name of a file says how often its item was attempted, its time of modification when the item is
due. So a process learns what there is to do without reading a single item. To work on an item it
claims it by locking the file. The kernel releases the lock when the process ends, however it ends,
so another process can claim the item.

The name also says whose item it is and where it goes (`ItemGroup`), so that they can take turns.
A process that is killed while it writes leaves an unfinished file. It counts, and is swept later.
"""

import contextlib
import fcntl
import heapq
import os
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

CLIENT_SHARE = 2
"""A client may have at most one of this many parts of the queue."""

_UNFINISHED_SECONDS = 60.0
"""Age of a file after which it is no longer being written."""

_RECOUNT_SECONDS = 1.0
"""How long the size of the queue is taken as known, though other processes change it."""


class DurableQueueFull(Exception):
    """The queue has no room for another item; the message names the limit and its setting."""


class ItemGroup(NamedTuple):
    """Whose an item is, and where it goes; empty where that does not matter."""

    client: str = ""
    receiver: str = ""

    @property
    def digests(self) -> tuple[str, str]:
        """The two as they are in names of files."""
        return _short_digest(self.client), _short_digest(self.receiver)


NO_GROUP = ItemGroup()


class ScheduledItem(NamedTuple):
    """``due_at`` is in Unix seconds."""

    due_at: float
    name: str

    @property
    def client(self) -> str:
        """The digest of whose item it is; empty where it is nobody's."""
        return self.name.partition(".")[0].split("-")[0] if "-" in self.name else ""

    @property
    def receiver(self) -> str:
        """The digest of where it goes; empty where it goes nowhere."""
        return self.name.partition(".")[0].split("-")[1] if "-" in self.name else ""


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
        """The same at every attempt."""
        return self._stem.rpartition("-")[2]

    @property
    def _stem(self) -> str:
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
        name = f"{self._stem}.{self.attempts + 1}"
        os.utime(self._descriptor, (due_at, due_at))
        self._path = self._path.rename(self._path.with_name(name))
        self.release()
        return ScheduledItem(due_at, name)

    def ack(self) -> None:
        """Remove the item: it is done."""
        size = self._size()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
            self._queue.count_removed(self._path.name, size)
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
        self._items: Counter[str] = Counter()  # by client
        self._bytes: Counter[str] = Counter()
        self._counted_at = float("-inf")

    def put(self, data: bytes, group: ItemGroup = NO_GROUP) -> ScheduledItem:
        """Store an item, which is due immediately. Raises DurableQueueFull, or OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = uuid4().hex if group == NO_GROUP else "-".join((*group.digests, uuid4().hex))
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
        """List up to that many items, of each client those that are due first. Raises OSError."""
        by_client: dict[str, list[ScheduledItem]] = {}
        for name, due_at, _ in self._scan():
            if not name.startswith("."):
                item = ScheduledItem(due_at, name)
                by_client.setdefault(item.client, []).append(item)
        share = limit // max(1, len(by_client)) or 1
        first = [item for items in by_client.values() for item in heapq.nsmallest(share, items)]
        return sorted(first)[:limit]

    def sweep(self) -> int:
        """Remove what killed processes left unfinished; returns how many files. Raises OSError."""
        oldest = self._clock() - _UNFINISHED_SECONDS
        unfinished = [
            (name, size)
            for name, changed_at, size in self._scan()
            if name.startswith(".") and changed_at < oldest
        ]
        return sum(self._remove_unfinished(name, size) for name, size in unfinished)

    def _remove_unfinished(self, name: str, size: int) -> bool:
        path = self._directory / name
        with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its writer holds the lock
            path.unlink()
            self.count_removed(name, size)
            return True
        return False

    def write_file(self, path: Path, data: bytes, *, replaced: int | None = None) -> int:
        """Write the file of an item, and return its locked descriptor.

        ``replaced`` is the size of the file that it replaces, if there is one.
        Raises DurableQueueFull, or OSError.
        """
        items, added = (1, len(data)) if replaced is None else (0, len(data) - replaced)
        client = ScheduledItem(0, path.name).client
        self._reserve(client, items, added)
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
            self._add(client, -items, -added)
            raise
        return descriptor

    def count_removed(self, name: str, size: int) -> None:
        """Note that a file of that name and size was removed."""
        self._add(ScheduledItem(0, name).client, -1, -size)

    def _reserve(self, client: str, items: int, size: int) -> None:
        """Count what is about to be written. Raises DurableQueueFull, or OSError."""
        with self._lock:
            if time.monotonic() - self._counted_at > _RECOUNT_SECONDS:
                self._recount()
            counted = (self._items.total() + items, self._bytes.total() + size)
            self._check(*counted, self._max_items, self._max_bytes, "queue")
            if client:
                counted = (self._items[client] + items, self._bytes[client] + size)
                limits = (-(-self._max_items // CLIENT_SHARE), self._max_bytes // CLIENT_SHARE)
                self._check(*counted, *limits, "share of one key in the queue")
            self._items[client] += items
            self._bytes[client] += size

    def _recount(self) -> None:
        """Count all files, also unfinished ones: they take the same room."""
        self._items.clear()
        self._bytes.clear()
        for name, _, size in self._scan():
            client = ScheduledItem(0, name).client
            self._items[client] += 1
            self._bytes[client] += size
        self._counted_at = time.monotonic()

    def _check(self, items: int, size: int, max_items: int, max_bytes: int, what: str) -> None:
        if items > max_items:
            raise DurableQueueFull(
                f"{what} has its maximum of {max_items} items "
                "(FRAMEKEEP_TRANSFORM_WEBHOOK_MAX_QUEUED_DELIVERIES)"
            )
        if size > max_bytes:
            raise DurableQueueFull(
                f"{what} would have more than {max_bytes} bytes "
                "(FRAMEKEEP_TRANSFORM_WEBHOOK_MAX_QUEUED_BYTES)"
            )

    def _add(self, client: str, items: int, size: int) -> None:
        with self._lock:
            self._items[client] += items
            self._bytes[client] += size

    def _scan(self) -> Iterator[tuple[str, float, int]]:
        """Yield name, time of modification and size; a dot begins the names of unfinished files."""
        with contextlib.suppress(FileNotFoundError), os.scandir(self._directory) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    yield entry.name, status.st_mtime, status.st_size


def _short_digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12] if text else ""
