"""Whether somebody else has asked for the same just now, in any worker of the machine.

A file of places: each holds what was asked for last there, when, and when before that. Where two
things share a place the later one takes it, and where two workers write at the same moment one of
them counts: then somebody is thought to be alone who is not, which costs a little time, no more.
"""

import hashlib
import os
import struct
import time
import weakref
from collections.abc import Callable
from pathlib import Path

_PLACES = 65_536
_PLACE = struct.Struct("8sdd")
_NEVER = float("-inf")


class Asked:
    """``clock`` is in seconds, and one for all processes."""

    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Open the file, or make it; without a path this process is alone. Raises OSError."""
        if path is None:
            self._descriptor = os.memfd_create("asked", os.MFD_CLOEXEC)
        else:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(path, flags, 0o600)
        weakref.finalize(self, os.close, self._descriptor)
        self._clock = clock

    def note(self, name: str) -> None:
        """It is asked for."""
        at, mark = _found(name)
        last, _ = self._times(at, mark)
        os.pwrite(self._descriptor, _PLACE.pack(mark, self._clock(), last), at)

    def twice(self, name: str, seconds: float) -> bool:
        """Whether the last two times that it was asked for lie no further apart than that."""
        last, before = self._times(*_found(name))
        return before > _NEVER and last - before <= seconds

    def _times(self, at: int, mark: bytes) -> tuple[float, float]:
        held, last, before = _PLACE.unpack(
            os.pread(self._descriptor, _PLACE.size, at).ljust(_PLACE.size, b"\0")
        )
        return (last, before) if held == mark else (_NEVER, _NEVER)


def _found(name: str) -> tuple[int, bytes]:
    """Where its place is, and what tells it from others there."""
    hashed = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return int.from_bytes(hashed[:8]) % _PLACES * _PLACE.size, hashed[8:]
