"""Bytes behind a file descriptor: what an original is, from the socket to the renderer.

An original is streamed into anonymous memory (or lies in a file of the cache) and handed to the
render process as a descriptor that is mapped there: it is never copied through a pipe. The
descriptor is closed when the last reference goes; many flights may share one blob.
"""

import fcntl
import hashlib
import mmap
import os
import weakref

_CHUNK = 1 << 20

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE

Buffer = bytes | bytearray | memoryview | mmap.mmap


class SharedBuffer:
    """Immutable bytes behind a descriptor that this object owns."""

    def __init__(self, descriptor: int, digest: str = "") -> None:
        """Take over an open descriptor of a file that nobody will write to any more.

        ``digest`` is the SHA-256 of its bytes where that is known already.
        """
        self.descriptor = descriptor
        self._digest = digest
        self.size = os.fstat(descriptor).st_size
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def of(cls, data: Buffer) -> "SharedBuffer":
        """A blob of bytes that are at hand."""
        writer = SharedBufferWriter()
        writer.write(data)
        return writer.finish()

    def __len__(self) -> int:
        return self.size

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal."""
        if not self._digest:
            # Read, never mapped: a file of the cache that is cut meanwhile is no bus error.
            hashed, offset = hashlib.sha256(), 0
            while chunk := os.pread(self.descriptor, _CHUNK, offset):
                hashed.update(chunk)
                offset += len(chunk)
            self._digest = hashed.hexdigest()
        return self._digest

    def view(self) -> Buffer:
        """The bytes, mapped read-only; the mapping outlives the blob."""
        if not self.size:
            return b""  # an empty file cannot be mapped
        return mmap.mmap(self.descriptor, self.size, access=mmap.ACCESS_READ)

    def read(self) -> bytes:
        """The bytes, copied."""
        return os.pread(self.descriptor, self.size, 0)


class OutputBuffer:
    """Anonymous memory that another process writes a result of known size into."""

    def __init__(self, size: int) -> None:
        """``size``: bytes at most; none are taken before they are written."""
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        self.descriptor = os.memfd_create("room", flags)
        self._close = weakref.finalize(self, os.close, self.descriptor)
        os.ftruncate(self.descriptor, size)
        self.size = size

    def sealed(self, size: int) -> SharedBuffer:
        """The first bytes, which nobody can change or cut short any more; the room is used up.

        Raises ValueError for more than there are, OSError while somebody may still write.
        """
        if size > self.size:
            raise ValueError(f"{size} bytes are more than there is room for")
        os.ftruncate(self.descriptor, size)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)
        self._close.detach()
        return SharedBuffer(self.descriptor)


class OutputWriter:
    """Writes into a room from its beginning on, in the process that it was handed to."""

    def __init__(self, room: SharedBuffer) -> None:
        self._room = room
        self._at = 0

    def write(self, chunk: Buffer) -> None:
        # Not through a mapping: each page would be cleared first.
        rest = memoryview(chunk).cast("B")
        while rest:
            written = os.pwrite(self._room.descriptor, rest, self._at)
            rest = rest[written:]
            self._at += written


class SharedBufferWriter:
    """Bytes on their way into a blob, in anonymous memory; hashed while they are warm."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("original", os.MFD_CLOEXEC)
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self._hashed = hashlib.sha256()
        self.size = 0

    def write(self, chunk: Buffer) -> None:
        self._hashed.update(chunk)
        rest = memoryview(chunk)
        while rest:
            written = os.write(self._descriptor, rest)
            rest = rest[written:]
            self.size += written

    def finish(self) -> SharedBuffer:
        """The blob; the writer is used up."""
        self._close.detach()
        return SharedBuffer(self._descriptor, self._hashed.hexdigest())
