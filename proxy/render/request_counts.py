"""How often a key was requested, counted by all workers of the machine together.

A mapped file of fixed slots: each holds a part of a key's hash, and a count up to 255. Where two
keys share a slot the later one starts again, and where two workers count at the same moment one
request is lost: something is taken for less popular than it is, and no more.
"""

import mmap
import os
from pathlib import Path

_SLOT_COUNT = 65_536
_TAG_BYTES = 7
_SLOT_BYTES = _TAG_BYTES + 1
_MAX_COUNT = 255


class RequestCounts:
    def __init__(self, path: Path | None) -> None:
        """Open or create the file; without a path only this process is counted. Raises OSError."""
        size = _SLOT_COUNT * _SLOT_BYTES
        if path is None:
            self._slots = mmap.mmap(-1, size)
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
        try:
            os.ftruncate(descriptor, size)
            self._slots = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)

    def add(self, key: str) -> int:
        """Count a request for a key, in hexadecimal; return how many there were."""
        digest = bytes.fromhex(key[:18])
        offset = int.from_bytes(digest[:2]) * _SLOT_BYTES
        tag = digest[2:]
        end = offset + _TAG_BYTES
        count = self._slots[end] if self._slots[offset:end] == tag else 0
        count = min(count + 1, _MAX_COUNT)
        self._slots[offset : end + 1] = tag + bytes((count,))
        return count
