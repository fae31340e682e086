"""Work that must be done even if this process ends: one file for each piece, kept until it is done.

A file is locked by the process that works on it. The kernel drops the lock when that process dies,
however it dies, and whoever looks next takes the work up.
"""

import contextlib
import fcntl
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4


class Full(Exception):
    """There is no room for another piece of work; the message says which bound was met."""


class Piece:
    """A piece of work that this process has claimed, until it says otherwise or forgets it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._close = weakref.finalize(self, os.close, descriptor)

    @property
    def name(self) -> str:
        return self._path.name

    def read(self) -> bytes:
        return self._path.read_bytes()

    def done(self) -> None:
        """Forget it; nobody will take it up again."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self.leave()

    def leave(self) -> None:
        """Let somebody else take it up."""
        self._close()


class Spool:
    """A folder of such files. Every call blocks on the disk: make it from a thread."""

    def __init__(self, folder: Path, *, most: int = 1000, most_bytes: int = 2**30) -> None:
        """``most`` pieces of ``most_bytes`` in all may wait at a time."""
        self._folder = folder
        self._most = most
        self._most_bytes = most_bytes

    def put(self, data: bytes) -> Piece:
        """Keep a piece of work, claimed by us. Raises Full, or OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sizes = [size for _, size in self._waiting()]
        if len(sizes) >= self._most:
            raise Full(f"{self._most} pieces of work are waiting already")
        if sum(sizes) + len(data) > self._most_bytes:
            raise Full(f"more than {self._most_bytes} bytes of work would be waiting")
        name = uuid4().hex
        unfinished, path = self._folder / f".{name}", self._folder / name
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
        return Piece(path, descriptor)

    def claim(self) -> Iterator[Piece]:
        """Everything that nobody works on; each piece is ours as it comes. Raises OSError."""
        for path, _ in self._waiting():
            try:
                descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            if os.fstat(descriptor).st_nlink == 0:  # it was done while we took the lock
                os.close(descriptor)
                continue
            yield Piece(path, descriptor)

    def _waiting(self) -> list[tuple[Path, int]]:
        """What is in the folder, the oldest first, with its size; nothing where there is none."""
        found: list[tuple[float, Path, int]] = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    about = entry.stat(follow_symlinks=False)
                    found.append((about.st_mtime, Path(entry.path), about.st_size))
        return [(path, size) for _, path, size in sorted(found)]
