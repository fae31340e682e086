"""A bound on bytes that are held at the same time. Where they are all in use, callers wait."""

import asyncio
from collections import deque
from contextlib import suppress
from threading import RLock

from proxy.errors import Overloaded
from proxy.runtime.caller import current_caller

_RETRY_AFTER_SECONDS = 5


class ByteBudget:
    """First come, first served. Bytes may be released in any thread."""

    def __init__(self, max_bytes: int, what: str) -> None:
        """``what`` names the bytes and their setting in the error of a wait that timed out."""
        self._max_bytes = max_bytes
        self._free_bytes = max_bytes
        self._what = what
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._lock = RLock()  # reentrant: a finalizer that releases may run at any time

    @property
    def used_bytes(self) -> int:
        return self._max_bytes - self._free_bytes

    def try_acquire(self, size: int) -> bool:
        """Take the bytes if they are free and nobody waits for them."""
        with self._lock:
            if self._waiters or size > self._free_bytes:
                return False
            self._free_bytes -= size
            return True

    async def acquire(self, size: int) -> int:
        """Wait for the bytes, or for the whole budget if they are more; returns how many it took.

        Raises Overloaded at the deadline of the current caller.
        """
        size = min(size, self._max_bytes)
        if self.try_acquire(size):
            return size
        granted = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiters.append((size, granted))
        self.release(0)  # what was released before the waiter was in the queue
        deadline = current_caller().deadline
        try:
            with deadline.waiting(self._timeout_error):
                async with deadline.timeout():
                    await granted
        except BaseException as error:
            if granted.done() and not granted.cancelled():
                self.release(size)  # it was granted at the moment of the cancellation
            else:
                with self._lock, suppress(ValueError):  # it is gone when a release granted it
                    self._waiters.remove((size, granted))
                self.release(0)
            if isinstance(error, TimeoutError):
                raise self._timeout_error() from error
            raise
        return size

    def release(self, size: int) -> None:
        """Give bytes back."""
        with self._lock:
            self._free_bytes += size
            while self._waiters and self._waiters[0][0] <= self._free_bytes:
                needed, granted = self._waiters.popleft()
                self._free_bytes -= needed
                with suppress(RuntimeError):  # the loop is closed: nobody waits
                    granted.get_loop().call_soon_threadsafe(self._grant, granted, needed)

    def _grant(self, granted: asyncio.Future[None], size: int) -> None:
        if granted.done():
            self.release(size)
        else:
            granted.set_result(None)

    def _timeout_error(self) -> Overloaded:
        return Overloaded(
            f"no room for {self._what}: {self._max_bytes} bytes are in use",
            retry_after=_RETRY_AFTER_SECONDS,
        )
