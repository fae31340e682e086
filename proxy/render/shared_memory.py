"""Blobs in memory that the workers of a machine lend each other.

Who lends writes a note into a folder that all of them name alike: which process holds the bytes,
behind which descriptor. Who borrows opens that very memory through ``/proc`` and has a blob of its
own, which stays when the lender lets go. A note that is wrong, since its lender has gone or holds
something else there by now, is as good as none: the memory is recognised by its inode, and by its
seals, which only finished blobs have.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from proxy.buffers import SharedBuffer

T = TypeVar("T")


class _Note(Struct, frozen=True):
    process: int
    descriptor: int
    inode: int
    about: msgspec.Raw


class Loans:
    """What this process lends and borrows. A failure to lend or to borrow is not told."""

    def __init__(self, folder: Path | None, kind: str) -> None:
        """Without a folder nothing is lent. ``kind`` is what is lent, in file names."""
        self._folder = folder
        self._kind = kind

    def lend(self, name: str, blob: SharedBuffer, about: Struct) -> None:
        """Let others have the sealed blob for as long as it lives here, and what is said of it."""
        if self._folder is None:
            return
        inode = os.fstat(blob.descriptor).st_ino
        told = msgspec.Raw(msgspec.msgpack.encode(about))
        note = _Note(os.getpid(), blob.descriptor, inode, told)
        aside = self._folder / f"{self._kind}-by-{os.getpid()}"
        with contextlib.suppress(OSError):
            aside.write_bytes(msgspec.msgpack.encode(note))
            aside.rename(self._folder / f"{self._kind}-{name}")

    def take_back(self, name: str) -> None:
        """Let nobody else have it."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / f"{self._kind}-{name}").unlink()

    def borrow(self, name: str, kind: type[T]) -> tuple[SharedBuffer, T] | None:
        """What another process lends under this name, and what it says of it."""
        if self._folder is None:
            return None
        try:
            written = (self._folder / f"{self._kind}-{name}").read_bytes()
            note = msgspec.msgpack.decode(written, type=_Note)
            about = msgspec.msgpack.decode(note.about, type=kind)
            memory = f"/proc/{note.process}/fd/{note.descriptor}"
            blob = SharedBuffer(os.open(memory, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
            inode = os.fstat(blob.descriptor).st_ino
            sealed = fcntl.fcntl(blob.descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
        except (OSError, msgspec.DecodeError):
            return None
        return (blob, about) if sealed and inode == note.inode else None
