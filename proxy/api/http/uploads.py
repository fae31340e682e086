"""Hold request bodies: ``max_bytes`` for all APIs of a worker together, most of them on disk.

A few bodies are in memory. More are in files without a name, which the kernel removes with the last
descriptor, however this process ends. Where the disk fails, requests wait for memory; where its
``max_bytes`` are in use, they wait for room. They wait with their body unread, so that the client
keeps it.
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
from proxy.buffers import Buffer, SharedBuffer, SharedBufferWriter
from proxy.runtime.byte_budget import ByteBudget
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
        self._disk = ByteBudget(max_bytes, setting)
        self.memory = ByteBudget(min(max_memory_bytes, max_bytes), "uploads in memory")
        self._disk_failed_at = -_DISK_RETRY_SECONDS

    @asynccontextmanager
    async def accept(
        self, request: Request, client: str, max_bytes: int
    ) -> AsyncIterator["UploadRoom"]:
        """Serve a call of a client, with room for a body of up to ``max_bytes``.

        Raises Overloaded if there is no room before the deadline of the call.
        """
        length = announced_length(request)
        size = max_bytes if length is None else min(length, max_bytes)
        with serving(Caller(client, Deadline(self._deadline_seconds))):
            budget = self.memory
            if not self.memory.try_acquire(size):
                if time.monotonic() - self._disk_failed_at >= _DISK_RETRY_SECONDS:
                    budget = self._disk
                size = await budget.acquire(size)
            room = UploadRoom(self, size, on_disk=budget is self._disk)
            try:
                yield room
            finally:
                budget.release(size)
                self.memory.release(room.moved_bytes)

    def open_file(self) -> SharedBufferWriter:
        """A file without a name. Raises OSError."""
        return SharedBufferWriter(_open_unnamed(self._folder))

    def report_disk(self, error: OSError) -> None:
        """Do not use the disk for a while."""
        self._disk_failed_at = time.monotonic()
        logger.warning("uploads wait for memory, the disk fails (%s): %s", self._folder, error)


class UploadRoom:
    """Room for the body of one request; ``moved_bytes`` had to move to memory from the disk."""

    def __init__(self, uploads: Uploads, size: int, *, on_disk: bool) -> None:
        self._uploads = uploads
        self._size = size
        self._on_disk = on_disk
        self.moved_bytes = 0

    async def receive(self, request: Request, max_bytes: int) -> SharedBuffer:
        """Read the body into the room while it arrives. Raises the errors of `stream_body`."""
        writer = await self._write(None, b"")
        pending = bytearray()
        async for chunk in stream_body(request, max_bytes):
            if not self._on_disk:
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

    async def _write(self, writer: SharedBufferWriter | None, data: Buffer) -> SharedBufferWriter:
        """Write to the file, else to memory; returns the writer to go on with."""
        if not self._on_disk:
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
            self.moved_bytes += await self._uploads.memory.acquire(self._size)
            self._on_disk = False
            in_memory = SharedBufferWriter()
            in_memory.write(writer.read(size) if writer is not None else b"")
            in_memory.write(data)
            return in_memory
        return writer


def _open_unnamed(folder: Path) -> int:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:  # some file systems have no files without a name
        descriptor, name = tempfile.mkstemp(prefix=".upload-", dir=folder)
        Path(name).unlink()
        return descriptor
