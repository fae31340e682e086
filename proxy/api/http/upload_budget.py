"""Bound the memory for request bodies: so many bytes at a time for all APIs of a worker.

A request that finds no free bytes waits with its body unread, so that its client waits too and not
our memory.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from starlette.requests import Request

from proxy.errors import Overloaded


class UploadBudget:
    def __init__(self, max_bytes: int, *, timeout_seconds: float = 10.0) -> None:
        self._max_bytes = max_bytes
        self._free_bytes = max_bytes
        self._timeout_seconds = timeout_seconds
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def reserve(self, request: Request, max_bytes: int) -> AsyncIterator[None]:
        """Reserve the bytes of a request's body, ``max_bytes`` where its length is unknown.

        First come, first served. Raises Overloaded after ``timeout_seconds``.
        """
        length = request.headers.get("content-length", "")
        known = length.isascii() and length.isdigit() and len(length) < 18
        size = min(int(length) if known else max_bytes, max_bytes, self._max_bytes)
        await self._acquire(size)
        try:
            yield
        finally:
            self._release(size)

    async def _acquire(self, size: int) -> None:
        if not self._waiters and size <= self._free_bytes:
            self._free_bytes -= size
            return
        granted = asyncio.get_running_loop().create_future()
        self._waiters.append((size, granted))
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await granted
        except BaseException as error:
            if granted.done() and not granted.cancelled():
                self._release(size)  # it was granted in the moment of the timeout or cancellation
            else:
                with suppress(ValueError):  # it is gone when a release has skipped it
                    self._waiters.remove((size, granted))
                self._release(0)
            if isinstance(error, TimeoutError):
                raise Overloaded(
                    f"no upload memory was free for {self._timeout_seconds:g} s",
                    retry_after=5,
                    detail=f"FRAMEKEEP_API_MAX_INFLIGHT_UPLOAD_BYTES is {self._max_bytes}",
                ) from error
            raise

    def _release(self, size: int) -> None:
        self._free_bytes += size
        while self._waiters and self._waiters[0][0] <= self._free_bytes:
            needed, granted = self._waiters.popleft()
            if not granted.done():
                self._free_bytes -= needed
                granted.set_result(None)
