"""Downloads of originals, limited one by one and all together."""

import asyncio
import weakref
from types import TracebackType
from typing import Self

from proxy.buffers import Buffer, SharedBufferWriter
from proxy.byte_budget import ByteBudget
from proxy.errors import Overloaded, SourceTooLarge
from proxy.originals import Original, OriginMetadata

MAX_INFLIGHT_BYTES = 256 * 1024 * 1024


class DownloadBudget:
    """Memory for originals in flight: from their first byte until nothing needs them any more.

    ``max_bytes`` is for one original, ``max_inflight_bytes`` for all at a time. A download for
    which there is no memory waits; only an original of unknown size can be refused on the way.
    """

    def __init__(self, max_bytes: int, max_inflight_bytes: int = MAX_INFLIGHT_BYTES) -> None:
        self._max_bytes = max_bytes
        self.memory = ByteBudget(
            max_inflight_bytes, "originals in flight (FRAMEKEEP_SOURCES_MAX_INFLIGHT_BYTES)"
        )

    async def wait_for_room(self) -> None:
        """Wait until there is memory, before a source is asked: a wait would count as its own.

        Raises Overloaded at the deadline of the current caller.
        """
        self.memory.release(await self.memory.acquire(1))

    def start(self) -> "Download":
        return Download(self)

    def check_size(self, size: int) -> None:
        """Raise SourceTooLarge for an original of more bytes than one may have."""
        if size > self._max_bytes:
            raise SourceTooLarge(
                f"original too large: larger than {self._max_bytes} bytes "
                "(FRAMEKEEP_LIMITS_MAX_SOURCE_BYTES)"
            )


class Download:
    """One original being downloaded, and its memory."""

    def __init__(self, budget: DownloadBudget) -> None:
        self._budget = budget
        self._writer = SharedBufferWriter()
        self._reserved = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._budget.memory.release(self._reserved)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._writer.size

    async def expect(self, size: int) -> None:
        """Wait for memory of the size that a source announces; 0 where it announces none.

        Raises SourceTooLarge, or Overloaded at the deadline of the current caller.
        """
        self._budget.check_size(size)
        self._reserved += await self._budget.memory.acquire(size)

    def expect_in_thread(
        self, size: int, loop: asyncio.AbstractEventLoop, timeout_seconds: float
    ) -> None:
        """The same for a thread beside the event loop."""
        self._budget.check_size(size)
        waiting = asyncio.run_coroutine_threadsafe(self._budget.memory.acquire(size), loop)
        try:
            self._reserved += waiting.result(timeout_seconds)
        except TimeoutError as error:
            waiting.cancel()
            raise Overloaded(f"no memory for originals within {timeout_seconds:g} s") from error

    def write(self, chunk: Buffer) -> None:
        """Raise SourceTooLarge, or Overloaded if more was not expected and there is no memory."""
        size = self.size + len(chunk)
        self._budget.check_size(size)
        if size > self._reserved:
            if not self._budget.memory.try_acquire(size - self._reserved):
                raise Overloaded(
                    "no memory for an original of unknown size; try again "
                    "(FRAMEKEEP_SOURCES_MAX_INFLIGHT_BYTES)"
                )
            self._reserved = size
        self._writer.write(chunk)

    def finish(self, metadata: OriginMetadata) -> Original:
        """Complete the original, which has its memory as long as it exists."""
        body = self._writer.finish()
        weakref.finalize(body, self._budget.memory.release, min(body.size, self._reserved))
        self._reserved -= min(body.size, self._reserved)
        return Original(body, body.digest, metadata)
