"""The cache folder: private to this user, locked between processes, with shared change counters."""

import contextlib
import fcntl
import os
import struct
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from proxy.cache.sqlite import StorageError
from proxy.cache.store import ChangeToken, Kind
from proxy.errors import ConfigError
from proxy.runtime.private_folder import create_private_folder

_COUNTERS = 4096
_COUNTER_BYTES = 8
_TIME = struct.Struct("!d")
_TIME_OFFSET = _COUNTERS * _COUNTER_BYTES
_GENERATION_OFFSET = _TIME_OFFSET + _TIME.size
"""Where the file has the time of the last change of all entries, and after it one more counter."""


class CacheDirectory:
    """The folder of all kinds. It is opened when needed, and again after it was replaced."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """``clock`` is in Unix seconds."""
        self.path = path
        self._clock = clock
        self._opening = threading.Lock()
        self._inode = -1
        self._counters: ChangeCounters | None = None

    def open(self) -> None:
        """Make sure that the path leads to an open folder of ours. Raises StorageError."""
        with self._opening:
            if self._counters is not None and self._is_in_place(self._counters):
                return
            try:
                inode = create_private_folder(self.path)
                counters = ChangeCounters(self.path / "change-counters")
            except ConfigError as error:
                raise StorageError(str(error)) from error
            except OSError as error:
                raise StorageError(f"{self.path}: {error.strerror}") from error
            self._inode, self._counters = inode, counters

    def _is_in_place(self, counters: "ChangeCounters") -> bool:
        try:
            return self.path.stat().st_ino == self._inode and counters.is_in_place()
        except OSError:
            return False

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the open folder against other processes and threads. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path / "lock", flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def change_token(self, *keys: tuple[Kind, str]) -> ChangeToken | None:
        """Watch these entries from now on; None if the folder is not open."""
        counters = self._counters
        unchanged = None if counters is None else counters.change_token(*keys)
        if unchanged is None:
            return None
        return lambda: self._counters is counters and unchanged()

    def notify_changed(self, kind: Kind, key: str | None) -> None:
        """Invalidate the change tokens of this entry; None: of all entries."""
        counters = self._counters
        if counters is not None and key is None:
            counters.bump_all(self._clock())
        elif counters is not None and key is not None:
            counters.bump(kind, key)

    def all_changed_since(self, at: float) -> bool:
        """Whether all entries may have changed since then, as in a purge."""
        counters = self._counters
        return counters is None or counters.all_changed_at() >= at

    def close(self) -> None:
        self._counters = None


class ChangeCounters:
    """A file of counters, through which the processes of a machine learn of changed entries.

    Many keys share a counter. A writer changes the counter *after* the entry. A reader takes a
    token *before* it reads the entry, and may serve its copy as long as the counter is the same. A
    new value is random, so two processes that change one counter together cannot cancel out.

    The last counter, the generation, is changed after each of the others. While it is the same, so
    are all: a hit reads this one, and those of its entries only after a change of any entry.

    The file is read with ``pread``, which takes half a microsecond. A mapping would be a SIGBUS if
    something truncated the file.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or create it. Raises OSError."""
        self._path = path
        if not path.exists():
            _create_counters(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        # Not closed by hand: the event loop may be reading while a thread replaces this object.
        weakref.finalize(self, os.close, self._descriptor)
        status = os.fstat(self._descriptor)
        self._inode = status.st_ino
        if status.st_size == _GENERATION_OFFSET:  # a file of an earlier version
            self._change_generation()

    def is_in_place(self) -> bool:
        """Whether other processes that open the path get this file. Raises OSError."""
        return self._path.stat().st_ino == self._inode

    def change_token(self, *keys: tuple[str, str]) -> ChangeToken | None:
        """Watch the counters of these kinds and keys; None if they cannot be read."""
        offsets = [_offset(*key) for key in keys]
        generation = self._read(_GENERATION_OFFSET)  # first: see `unchanged`
        before = [self._read(offset) for offset in offsets]
        if any(len(value) < _COUNTER_BYTES for value in (generation, *before)):
            return None

        def unchanged() -> bool:
            nonlocal generation
            now = self._read(_GENERATION_OFFSET)
            if now == generation:
                return True
            after = [self._read(offset) for offset in offsets]
            if len(now) < _COUNTER_BYTES or after != before:
                return False
            generation = now  # read before the counters: a change in between is seen next time
            return True

        return unchanged

    def _read(self, offset: int) -> bytes:
        return os.pread(self._descriptor, _COUNTER_BYTES, offset)

    def bump(self, kind: str, key: str) -> None:
        os.pwrite(self._descriptor, os.urandom(_COUNTER_BYTES), _offset(kind, key))
        self._change_generation()

    def bump_all(self, now: float) -> None:
        """``now`` is in Unix seconds."""
        os.pwrite(self._descriptor, os.urandom(_TIME_OFFSET) + _TIME.pack(now), 0)
        self._change_generation()

    def _change_generation(self) -> None:
        os.pwrite(self._descriptor, os.urandom(_COUNTER_BYTES), _GENERATION_OFFSET)

    def all_changed_at(self) -> float:
        """When all counters were changed last, in Unix seconds; 0.0 if never."""
        data = os.pread(self._descriptor, _TIME.size, _TIME_OFFSET)
        return float(_TIME.unpack(data)[0]) if len(data) == _TIME.size else 0.0


def _create_counters(path: Path) -> None:
    # Random from the start, so that copies from before the folder was emptied are not served.
    # Written in full, so that a full disk cannot prevent a later change.
    temporary = path.with_name(f"{path.name}-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        with temporary.open("xb") as file:
            file.write(os.urandom(_TIME_OFFSET) + _TIME.pack(0.0) + os.urandom(_COUNTER_BYTES))
        with contextlib.suppress(FileExistsError):  # another process was faster
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)


def _offset(kind: str, key: str) -> int:
    return zlib.crc32(key.encode(), zlib.crc32(kind.encode())) % _COUNTERS * _COUNTER_BYTES
