"""Bytes behind a file descriptor, which processes share without copying.

An original is streamed into anonymous memory (or is a file of the cache) and passed to a render
process as a descriptor, which maps it: it is never copied through a pipe. The descriptor is closed
with the last reference to the buffer; many requests may share one buffer.

Nobody who is given a finished buffer can change or shorten it: memory is sealed, and a file is
handed over with a descriptor that only reads.
"""

import fcntl
import hashlib
import mmap
import os
import weakref

_CHUNK_BYTES = 1 << 20

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE

_MEMORY_FLAGS = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING

Buffer = bytes | bytearray | memoryview | mmap.mmap


class SharedBuffer:
    """Immutable bytes behind a descriptor, which this object closes."""

    def __init__(self, descriptor: int, digest: str = "") -> None:
        """Take over an open descriptor of a file that is complete.

        ``digest`` is the SHA-256 of its bytes where that is known already.
        """
        self.descriptor = descriptor
        self._digest = digest
        self.size = os.fstat(descriptor).st_size
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def from_bytes(cls, data: Buffer) -> "SharedBuffer":
        writer = SharedBufferWriter()
        writer.write(data)
        return writer.finish()

    def __len__(self) -> int:
        return self.size

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes, in hexadecimal."""
        if not self._digest:
            # Read, not mapped: a cache file that is truncated meanwhile must not be a bus error.
            sha256, offset = hashlib.sha256(), 0
            while chunk := os.pread(self.descriptor, _CHUNK_BYTES, offset):
                sha256.update(chunk)
                offset += len(chunk)
            self._digest = sha256.hexdigest()
        return self._digest

    @property
    def is_unchanged(self) -> bool:
        """Whether the file still has its size; a cache file may be cut by whoever can write it."""
        return os.fstat(self.descriptor).st_size == self.size

    def view(self) -> Buffer:
        """The bytes, mapped read-only; the mapping outlives the buffer.

        For render processes: where the file is cut while it is mapped, the kernel ends the process.
        """
        if not self.size:
            return b""  # an empty file cannot be mapped
        return mmap.mmap(self.descriptor, self.size, access=mmap.ACCESS_READ)

    def read(self, size: int | None = None) -> bytes:
        """A copy of the bytes, or of the first ``size`` of them."""
        return os.pread(self.descriptor, self.size if size is None else size, 0)


class OutputBuffer:
    """Anonymous memory into which another process writes a result of bounded size."""

    def __init__(self, size: int) -> None:
        """``size`` is the maximum in bytes; memory is allocated when it is written."""
        self.descriptor = os.memfd_create("output", _MEMORY_FLAGS)
        self._close = weakref.finalize(self, os.close, self.descriptor)
        os.ftruncate(self.descriptor, size)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_GROW)
        self.size = size

    def seal(self, size: int) -> SharedBuffer:
        """The first ``size`` bytes, which no process can change or truncate from now on.

        This object cannot be used afterwards. Raises ValueError if there are fewer bytes, OSError
        while the memory is still mapped for writing.
        """
        if size > self.size:
            raise ValueError(f"output buffer too small: {size} bytes of {self.size}")
        os.ftruncate(self.descriptor, size)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)
        self._close.detach()
        return SharedBuffer(self.descriptor)


class OutputWriter:
    """Writes into an `OutputBuffer` from its start, in the process that received it."""

    def __init__(self, output: SharedBuffer) -> None:
        self._output = output
        self._offset = 0

    def write(self, chunk: Buffer) -> None:
        # Not through a mapping, because the kernel would clear each page first.
        rest = memoryview(chunk).cast("B")
        while rest:
            written = os.pwrite(self._output.descriptor, rest, self._offset)
            rest = rest[written:]
            self._offset += written


class SharedBufferWriter:
    """Writes a new buffer, and hashes the bytes as they come."""

    def __init__(self, descriptor: int | None = None) -> None:
        """Take over a descriptor of an empty file; without one, write in anonymous memory.

        Raises OSError where the file cannot be opened once more, for reading only.
        """
        self._read_only: int | None = None
        if descriptor is None:
            self._descriptor = os.memfd_create("original", _MEMORY_FLAGS)
        else:
            self._descriptor = descriptor
        self._close = weakref.finalize(self, os.close, self._descriptor)
        if descriptor is not None:
            self._read_only = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
            self._close_read_only = weakref.finalize(self, os.close, self._read_only)
        self._sha256 = hashlib.sha256()
        self.size = 0

    def write(self, chunk: Buffer) -> None:
        self._sha256.update(chunk)
        rest = memoryview(chunk)
        while rest:
            written = os.write(self._descriptor, rest)
            rest = rest[written:]
            self.size += written

    def read(self, size: int) -> bytes:
        """A copy of the first bytes that were written."""
        return os.pread(self._descriptor, size, 0)

    def finish(self) -> SharedBuffer:
        """The buffer, which nobody can change; this object cannot be used afterwards."""
        if self._read_only is not None:
            self._close()
            self._close_read_only.detach()
            return SharedBuffer(self._read_only, self._sha256.hexdigest())
        fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, _SEALS)
        self._close.detach()
        return SharedBuffer(self._descriptor, self._sha256.hexdigest())
