"""Sheets of numbers that the workers of a machine count on, each on its own.

A sheet is a small mapped file. Counting is an addition in memory, whatever else goes on; what was
counted outlives the worker, however that ends; and any worker can add up what all have counted.

1. Who counts on a sheet holds a lock on it, which the kernel takes back with the process.
2. A new worker takes the first sheet that nobody holds, counts and all, so numbers never run
   backwards and there are never more sheets than workers at one time.
3. What is true only of a living worker (its gauges) is read from sheets that somebody holds.
"""

import fcntl
import mmap
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path


class Sheet:
    """``values`` are the numbers, as doubles; they are written by this process alone."""

    def __init__(self, folder: Path | None, name: str, size: int) -> None:
        """Take a sheet of ``size`` numbers in the folder, or one for this process alone.

        Sheets of one name have one size and one meaning. Raises OSError.
        """
        self._folder = folder
        self._name = name
        self._path: Path | None = None
        self._descriptor = -1
        if folder is not None:
            self._path, self._descriptor = _taken(folder, name)
            os.ftruncate(self._descriptor, size * 8)
        self._map = mmap.mmap(self._descriptor, size * 8)
        self.values = memoryview(self._map).cast("d")

    def close(self) -> None:
        """Leave the sheet to the next worker."""
        self.values.release()
        self._map.close()
        if self._path is not None:
            os.close(self._descriptor)

    def all(self) -> Iterator[tuple["memoryview[float]", bool]]:
        """The numbers of every sheet, and whether a worker holds it. Raises OSError."""
        yield self.values, True
        if self._folder is None:
            return
        for path in self._folder.glob(f"{self._name}-*"):
            if path == self._path:
                continue
            with path.open("rb") as file:
                numbers = memoryview(file.read()).cast("d")
                if len(numbers) == len(self.values):  # else its worker is about to begin
                    yield numbers, not _locked(file.fileno(), fcntl.LOCK_SH)


def _taken(folder: Path, name: str) -> tuple[Path, int]:
    for number in count():
        path = folder / f"{name}-{number}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if _locked(descriptor, fcntl.LOCK_EX):
            return path, descriptor
        os.close(descriptor)
    raise AssertionError


def _locked(descriptor: int, kind: int) -> bool:
    """False when somebody holds the sheet."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
