"""Word of change between the processes of a machine: a small file of counters beside the cache.

Each key has a counter, shared with other keys. Whoever changes what is kept under a key gives its
counter a new value *after* the change; whoever holds a copy in memory watches it from *before* the
read that the copy came from, and trusts the copy for as long as the value stays. A new value is
random: two processes that change the same counter at once cannot cancel each other out.

The file is read with ``pread``, not mapped: were it cut short by someone, a mapping would be a bus
error. A read costs half a microsecond.
"""

import contextlib
import os
import weakref
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

_COUNTERS = 4096
_BYTES = 8


class Generations:
    """The counters in one file, open for as long as this lives."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises OSError."""
        self._path = path
        if not path.exists():
            _make(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        # Not closed by hand: the event loop may be reading while a thread replaces this object.
        weakref.finalize(self, os.close, self._descriptor)
        self._inode = os.fstat(self._descriptor).st_ino

    def in_place(self) -> bool:
        """Whether other processes that open the path now would see this very file."""
        try:
            return self._path.stat().st_ino == self._inode
        except OSError:
            return False

    def watch(self, *places: tuple[str, str]) -> Callable[[], bool] | None:
        """Whether the counters of these kinds and keys are what they are now, whenever asked.

        None when they cannot be read.
        """
        slots = [_slot(*place) for place in places]
        noted = self._read(slots)
        if any(len(value) < _BYTES for value in noted):
            return None
        return lambda: self._read(slots) == noted

    def _read(self, slots: Iterable[int]) -> list[bytes]:
        descriptor = self._descriptor
        return [os.pread(descriptor, _BYTES, slot) for slot in slots]

    def change(self, kind: str, key: str) -> None:
        """What is kept under this key has changed."""
        os.pwrite(self._descriptor, os.urandom(_BYTES), _slot(kind, key))

    def change_all(self) -> None:
        """Anything may have changed."""
        os.pwrite(self._descriptor, os.urandom(_COUNTERS * _BYTES), 0)


def _make(path: Path) -> None:
    # Random from the start: a copy in memory from before the folder was emptied is not trusted.
    # Written in full, so that a full disk is no reason later not to tell of a change.
    aside = path.with_name(f"{path.name}-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        with aside.open("xb") as file:
            file.write(os.urandom(_COUNTERS * _BYTES))
        with contextlib.suppress(FileExistsError):  # another process was faster
            path.hardlink_to(aside)
    finally:
        aside.unlink(missing_ok=True)


def _slot(kind: str, key: str) -> int:
    return zlib.crc32(key.encode(), zlib.crc32(kind.encode())) % _COUNTERS * _BYTES
