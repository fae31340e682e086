"""Share buffers in memory between the workers of a machine.

The owner writes an entry into a folder that all workers name alike: which process holds the bytes,
behind which descriptor. Another worker opens that very memory through ``/proc``; its own buffer
stays valid when the owner closes the first. An entry may be out of date, because its owner has
exited or has another file behind that descriptor by now. The memory is therefore checked by its
inode, and by its seals, which only finished buffers have.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from proxy.buffers import SharedBuffer
from proxy.compat.msgspec import DECODE_ERRORS

T = TypeVar("T")


class _Entry(Struct, frozen=True):
    pid: int
    descriptor: int
    inode: int
    info: msgspec.Raw


class SharedMemoryRegistry:
    """Buffers by key. A failure to share is not an error: the other worker finds nothing."""

    def __init__(self, folder: Path | None, kind: str) -> None:
        """Without a folder nothing is shared. ``kind`` is a prefix of file names."""
        self._folder = folder
        self._kind = kind

    def publish(self, key: str, buffer: SharedBuffer, info: Struct) -> None:
        """Let other workers open the sealed buffer, for as long as it is open here."""
        if self._folder is None:
            return
        inode = os.fstat(buffer.descriptor).st_ino
        encoded_info = msgspec.Raw(msgspec.msgpack.encode(info))
        entry = _Entry(os.getpid(), buffer.descriptor, inode, encoded_info)
        temporary = self._folder / f"{self._kind}-by-{os.getpid()}"
        with contextlib.suppress(OSError):
            temporary.write_bytes(msgspec.msgpack.encode(entry))
            temporary.rename(self._folder / f"{self._kind}-{key}")

    def withdraw(self, key: str) -> None:
        """Let no other worker open the buffer from now on."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / f"{self._kind}-{key}").unlink()

    def open(self, key: str, info_type: type[T]) -> tuple[SharedBuffer, T] | None:
        """The buffer that another process published under this key, and its info."""
        if self._folder is None:
            return None
        try:
            data = (self._folder / f"{self._kind}-{key}").read_bytes()
            entry = msgspec.msgpack.decode(data, type=_Entry)
            info = msgspec.msgpack.decode(entry.info, type=info_type)
            path = f"/proc/{entry.pid}/fd/{entry.descriptor}"
            buffer = SharedBuffer(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
            inode = os.fstat(buffer.descriptor).st_ino
            sealed = fcntl.fcntl(buffer.descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
        except (OSError, *DECODE_ERRORS):
            return None
        return (buffer, info) if sealed and inode == entry.inode else None
