"""The folder that a cache lies in: ours alone, or not used."""

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from proxy.cache.invalidation import Generations


class Unfit(Exception):
    """The folder cannot be used; the sentence says what to do about it."""


class Folder:
    """An open folder: its lock, and the word of change that its processes share."""

    def __init__(self, path: Path) -> None:
        """Make sure that the folder is there, is ours, and is closed to others.

        Raises Unfit, or OSError.
        """
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = path.stat()
        if about.st_uid != os.geteuid():
            raise Unfit(f"{path} belongs to user {about.st_uid}, we are {os.geteuid()}")
        if stat.S_IMODE(about.st_mode) & 0o077:
            if any(path.iterdir()):
                raise Unfit(f"{path} is open to other users; empty it, or run: chmod 700 {path}")
            path.chmod(0o700)  # nobody can have put anything there yet
        self.path = path
        self._inode = about.st_ino
        self.generations = Generations(path / "generations")

    def in_place(self) -> bool:
        """Whether the path still leads here."""
        try:
            return self.path.stat().st_ino == self._inode and self.generations.in_place()
        except OSError:
            return False

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock against other processes and threads. Raises OSError."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.path / "lock", flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
