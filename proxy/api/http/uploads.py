"""Hold request bodies: ``max_bytes`` for all APIs of a worker together, most of them on disk.

A few bodies are in memory. More are in files without a name, which the kernel removes with the last
descriptor, however this process ends. Where the disk fails, requests wait for memory; where its
``max_bytes`` are in use, they wait for room, which bodies take as they arrive. They wait with the
rest of their body unread, so that the client keeps it.
"""

import asyncio
import logging
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.requests import Request

from proxy.api.http.request_body import announced_length, stream_body
from proxy.api.http.upload_budget import UploadBudget
from proxy.buffers import Buffer, SharedBuffer, SharedBufferWriter
from proxy.runtime.caller import Caller, Deadline, serving

logger = logging.getLogger("framekeep.api.uploads")

MAX_MEMORY_BYTES = 16 * 1024 * 1024
"""Bodies in memory. Below it, no upload waits for a disk."""

_DISK_RETRY_SECONDS = 10.0
"""Time after which a disk that failed is tried again."""

_THREAD_BYTES = 256 * 1024
"""What a thread writes at a time: less would cost more to hand over than to write."""


class Uploads:
    """Accepts the calls of all APIs of a worker that may have an image in their body."""

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        deadline_seconds: float,
        max_memory_bytes: int = MAX_MEMORY_BYTES,
    ) -> None:
        """``folder`` has room for bodies of ``max_bytes``. A call has ``deadline_seconds``."""
        self._folder = folder
        self._deadline_seconds = deadline_seconds
        setting = "uploads (FRAMEKEEP_API_MAX_INFLIGHT_UPLOAD_BYTES)"
        self.disk = UploadBudget(max_bytes, setting)
        self.memory = UploadBudget(min(max_memory_bytes, max_bytes), "uploads in memory")
        self._disk_failed_at = -_DISK_RETRY_SECONDS

    @asynccontextmanager
    async def accept(
        self, request: Request, client: str, max_bytes: int
    ) -> AsyncIterator["UploadRoom"]:
        """Serve a call of a client that may have a body of up to ``max_bytes``."""
        length = announced_length(request)
        size = max_bytes if length is None else min(length, max_bytes)
        on_disk = self.disk_works and not self.memory.fits(client, size)
        with serving(Caller(client, Deadline(self._deadline_seconds))):
            room = UploadRoom(self, client, on_disk=on_disk)
            try:
                yield room
            finally:
                room.release()

    @property
    def disk_works(self) -> bool:
        """Whether the disk has not failed a moment ago."""
        return time.monotonic() - self._disk_failed_at >= _DISK_RETRY_SECONDS

    def open_file(self) -> SharedBufferWriter:
        """A file without a name. Raises OSError."""
        return SharedBufferWriter(_open_unnamed(self._folder))

    def report_disk(self, error: OSError) -> None:
        """Do not use the disk for a while."""
        self._disk_failed_at = time.monotonic()
        logger.warning("uploads wait for memory, the disk fails (%s): %s", self._folder, error)


class UploadRoom:
    """Room for the body of one request."""

    def __init__(self, uploads: Uploads, client: str, *, on_disk: bool) -> None:
        self._uploads = uploads
        self._in_memory = uploads.memory.open(client)
        self._on_disk = uploads.disk.open(client)
        self._uses_disk = on_disk

    def release(self) -> None:
        self._in_memory.release()
        self._on_disk.release()

    async def receive(self, request: Request, max_bytes: int) -> SharedBuffer:
        """Read the body into the room while it arrives.

        Raises the errors of `stream_body`, or Overloaded if there is no room before the deadline.
        """
        writer = await self._write(None, b"")
        pending = bytearray()
        async for chunk in stream_body(request, max_bytes):
            writer = await self._make_room(writer, len(chunk))
            if not self._uses_disk:
                writer.write(chunk)
                continue
            pending += chunk
            if len(pending) >= _THREAD_BYTES:
                writer = await self._write(writer, pending)
                pending = bytearray()
        return (await self._write(writer, pending)).finish()

    async def store(self, data: Buffer) -> SharedBuffer:
        """Store what was found in the body."""
        return (await self._write(None, data)).finish()

    async def _make_room(self, writer: SharedBufferWriter, size: int) -> SharedBufferWriter:
        """Take room for more bytes; what is in memory moves to the disk where memory is short."""
        if self._uses_disk:
            await self._on_disk.take(size)
            return writer
        if self._in_memory.try_take(size):
            return writer
        if not self._uploads.disk_works:
            await self._in_memory.take(size)
            return writer
        await self._on_disk.take(writer.size + size)
        self._uses_disk = True
        return await self._write(None, writer.read(writer.size))

    async def _write(self, writer: SharedBufferWriter | None, data: Buffer) -> SharedBufferWriter:
        """Write to the file, else to memory; returns the writer to go on with."""
        if not self._uses_disk:
            writer = writer or SharedBufferWriter()
            if len(data) > _THREAD_BYTES:  # to hash it takes a while
                await asyncio.to_thread(writer.write, data)
            else:
                writer.write(data)
            return writer
        size = writer.size if writer is not None else 0
        try:
            if writer is None:
                writer = await asyncio.to_thread(self._uploads.open_file)
            if data:
                await asyncio.to_thread(writer.write, data)
        except OSError as error:
            self._uploads.report_disk(error)
            return await self._move_to_memory(writer, size, data)
        return writer

    async def _move_to_memory(
        self, writer: SharedBufferWriter | None, size: int, data: Buffer
    ) -> SharedBufferWriter:
        """Go on in memory with the first bytes of the writer and the data."""
        await self._in_memory.take(self._on_disk.held_bytes)
        self._on_disk.release()
        self._uses_disk = False
        in_memory = SharedBufferWriter()
        in_memory.write(writer.read(size) if writer is not None else b"")
        in_memory.write(data)
        return in_memory


def _open_unnamed(folder: Path) -> int:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o400)
    except OSError:  # some file systems have no files without a name
        descriptor, name = tempfile.mkstemp(prefix=".upload-", dir=folder)
        Path(name).unlink()
        os.fchmod(descriptor, 0o400)
        return descriptor
