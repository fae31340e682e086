"""Find out whether the same thing was requested twice within seconds, by any worker of the machine.

A file of fixed slots: each holds a key's hash and the times of its last two requests. Where two
keys share a slot the later one takes it, and where two workers write at the same moment one of them
is lost: a repeated request may look like a single one, which costs a little time and no more.
"""

import hashlib
import os
import struct
import time
import weakref
from collections.abc import Callable
from pathlib import Path

_SLOT_COUNT = 65_536
_SLOT = struct.Struct("8sdd")
_NEVER = float("-inf")


class RecentRequests:
    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Open or create the file; without a path only this process is counted. Raises OSError.

        ``clock`` is in seconds, and the same for all processes.
        """
        if path is None:
            self._descriptor = os.memfd_create("recent-requests", os.MFD_CLOEXEC)
        else:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(path, flags, 0o600)
        weakref.finalize(self, os.close, self._descriptor)
        self._clock = clock

    def record(self, key: str) -> None:
        """Note a request for this key."""
        offset, tag = _locate(key)
        last, _ = self._read(offset, tag)
        os.pwrite(self._descriptor, _SLOT.pack(tag, self._clock(), last), offset)

    def repeated_within(self, key: str, seconds: float) -> bool:
        """Whether the last two requests for this key are at most that far apart."""
        last, previous = self._read(*_locate(key))
        return previous > _NEVER and last - previous <= seconds

    def _read(self, offset: int, tag: bytes) -> tuple[float, float]:
        """The times of the last request and of the one before."""
        slot_tag, last, previous = _SLOT.unpack(
            os.pread(self._descriptor, _SLOT.size, offset).ljust(_SLOT.size, b"\0")
        )
        return (last, previous) if slot_tag == tag else (_NEVER, _NEVER)


def _locate(key: str) -> tuple[int, bytes]:
    """The offset of the key's slot, and the tag that distinguishes it from other keys there."""
    digest = hashlib.blake2b(key.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8]) % _SLOT_COUNT * _SLOT.size, digest[8:]
