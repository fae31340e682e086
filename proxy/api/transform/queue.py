"""A durable queue: one file for each item, kept until the item is acknowledged.

A process claims an item by locking its file. The kernel releases the lock when the process ends,
however it ends, so another process can claim the item.
"""

import contextlib
import fcntl
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4


class DurableQueueFull(Exception):
    """The queue has no room for another item; the message names the limit."""


class QueueItem:
    """An item that this process has claimed, until it releases, acknowledges or forgets it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._close = weakref.finalize(self, os.close, descriptor)

    @property
    def name(self) -> str:
        return self._path.name

    def read(self) -> bytes:
        return self._path.read_bytes()

    def ack(self) -> None:
        """Remove the item: it is done."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self.release()

    def release(self) -> None:
        """Let another claim the item."""
        self._close()


class DurableQueue:
    """A directory of items. Every method blocks on the disk: call it from a thread."""

    def __init__(self, directory: Path, *, max_items: int = 1000, max_bytes: int = 2**30) -> None:
        self._directory = directory
        self._max_items = max_items
        self._max_bytes = max_bytes

    def put(self, data: bytes) -> QueueItem:
        """Store an item, claimed by this process. Raises DurableQueueFull, or OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        sizes = [size for _, size in self._items()]
        if len(sizes) >= self._max_items:
            raise DurableQueueFull(f"queue has its maximum of {self._max_items} items")
        if sum(sizes) + len(data) > self._max_bytes:
            raise DurableQueueFull(f"queue would have more than {self._max_bytes} bytes")
        name = uuid4().hex
        unfinished, path = self._directory / f".{name}", self._directory / name
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with open(descriptor, "wb", closefd=False) as file:
                file.write(data)
            os.fsync(descriptor)
            unfinished.rename(path)
        except OSError:
            os.close(descriptor)
            unfinished.unlink(missing_ok=True)
            raise
        return QueueItem(path, descriptor)

    def claim(self) -> Iterator[QueueItem]:
        """Claim every item that no process has claimed, the oldest first. Raises OSError."""
        for path, _ in self._items():
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            if os.fstat(descriptor).st_nlink == 0:  # acknowledged between open and lock
                os.close(descriptor)
                continue
            yield QueueItem(path, descriptor)

    def _items(self) -> list[tuple[Path, int]]:
        """List the finished files with their sizes, the oldest first."""
        items: list[tuple[float, Path, int]] = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    items.append((status.st_mtime, Path(entry.path), status.st_size))
        return [(path, size) for _, path, size in sorted(items)]
