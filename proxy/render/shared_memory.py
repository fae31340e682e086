"""Share buffers in memory between the workers of a machine.

The owner writes an entry into a folder that all workers name alike: at which socket the buffer can
be had, and what it is. Another worker asks there and gets a descriptor of that very memory; its own
buffer stays valid when the owner closes the first. Only finished buffers are accepted, which nobody
can change any more.

Processes cannot open each other's descriptors in ``/proc`` for this: a worker is closed to other
processes, because render processes have the same user (`proxy.render.libc.deny_inspection`).
"""

import asyncio
import contextlib
import fcntl
import os
import socket
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from proxy.buffers import SharedBuffer
from proxy.compat.msgspec import DECODE_ERRORS

T = TypeVar("T")

_BACKLOG = 64
_MAX_KEY_BYTES = 256
_TIMEOUT_SECONDS = 1.0
"""For the owner to answer: it only has to get a turn."""


class _Entry(Struct, frozen=True):
    socket: str
    info: msgspec.Raw


class SharedMemoryRegistry:
    """Buffers by key. A failure to share is not an error: the other worker finds nothing."""

    def __init__(self, folder: Path | None, kind: str) -> None:
        """Without a folder nothing is shared. ``kind`` is a prefix of file names."""
        self._folder = folder
        self._kind = kind
        self._published: dict[str, SharedBuffer] = {}
        self._listener: socket.socket | None = None

    def publish(self, key: str, buffer: SharedBuffer, info: Struct) -> None:
        """Let other workers have the sealed buffer, until it is withdrawn."""
        if self._folder is None:
            return
        encoded_info = msgspec.Raw(msgspec.msgpack.encode(info))
        temporary = self._folder / f"{self._kind}-by-{os.getpid()}"
        with contextlib.suppress(OSError):
            entry = _Entry(self._listen(self._folder), encoded_info)
            self._published[key] = buffer
            temporary.write_bytes(msgspec.msgpack.encode(entry))
            temporary.rename(self._folder / f"{self._kind}-{key}")

    def withdraw(self, key: str) -> None:
        """Let no other worker have the buffer from now on."""
        if self._published.pop(key, None) is not None and self._folder is not None:
            with contextlib.suppress(OSError):
                (self._folder / f"{self._kind}-{key}").unlink()

    async def open(self, key: str, info_type: type[T]) -> tuple[SharedBuffer, T] | None:
        """The buffer that another process published under this key, and its info."""
        if self._folder is None:
            return None
        try:
            data = (self._folder / f"{self._kind}-{key}").read_bytes()
            entry = msgspec.msgpack.decode(data, type=_Entry)
            info = msgspec.msgpack.decode(entry.info, type=info_type)
            descriptor = await _request(self._folder / Path(entry.socket).name, key)
            if descriptor is None:
                return None
            buffer = SharedBuffer(descriptor)
            sealed = fcntl.fcntl(buffer.descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_WRITE
        except (OSError, *DECODE_ERRORS):
            return None
        return (buffer, info) if sealed else None

    def close(self) -> None:
        """Withdraw everything."""
        for key in [*self._published]:
            self.withdraw(key)
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            with contextlib.suppress(OSError):
                Path(self._listener.getsockname()).unlink()
            self._listener.close()
            self._listener = None

    def _listen(self, folder: Path) -> str:
        """The name of the socket in the folder. Raises OSError."""
        name = f"w{os.getpid()}"  # short: so is the path that a socket may have
        if self._listener is None:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                listener.setblocking(False)
                listener.bind(str(folder / name))
                listener.listen(_BACKLOG)
            except OSError:
                listener.close()
                raise
            self._listener = listener
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)
        return name

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            loop = asyncio.get_running_loop()
            loop.add_reader(connection, self._answer, loop, connection)

    def _answer(self, loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
        loop.remove_reader(connection)
        with connection, contextlib.suppress(OSError, UnicodeDecodeError):
            buffer = self._published.get(connection.recv(_MAX_KEY_BYTES).decode("ascii"))
            if buffer is not None:
                socket.send_fds(connection, [b"1"], [buffer.descriptor])


async def _request(path: Path, key: str) -> int | None:
    """A descriptor of the owner's buffer, or None. Raises OSError, also for a time-out."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.setblocking(False)
        connection.connect(str(path))
        connection.send(key.encode("ascii"))
        answered = asyncio.Event()
        loop.add_reader(connection, answered.set)
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await answered.wait()
        finally:
            loop.remove_reader(connection)
        _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return descriptors[0] if descriptors else None
