"""A bound on bytes that are held at the same time. Where they are all in use, callers wait."""

import asyncio
from collections import deque
from contextlib import suppress
from threading import RLock
from typing import NamedTuple

from proxy.errors import Overloaded
from proxy.runtime.caller import current_caller

_RETRY_AFTER_SECONDS = 5


class _Waiter(NamedTuple):
    size: int
    overdraft: int
    granted: asyncio.Future[None]


class ByteBudget:
    """First come, first served. Bytes may be released in any thread."""

    def __init__(self, max_bytes: int, what: str) -> None:
        """``what`` names the bytes and their setting in the error of a wait that timed out."""
        self._max_bytes = max_bytes
        self._free_bytes = max_bytes
        self._what = what
        self._waiters: deque[_Waiter] = deque()
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

    async def acquire(self, size: int, *, overdraft: int = 0) -> int:
        """Wait for the bytes, or for the whole budget if they are more; returns how many it took.

        With an ``overdraft`` it goes first, and so many bytes more than the budget may then be in
        use. Raises Overloaded at the deadline of the current caller.
        """
        size = min(size, self._max_bytes)
        if self.try_acquire(size):
            return size
        waiter = _Waiter(size, overdraft, asyncio.get_running_loop().create_future())
        granted = waiter.granted
        with self._lock:
            if overdraft:
                self._waiters.appendleft(waiter)
            else:
                self._waiters.append(waiter)
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
                    self._waiters.remove(waiter)
                self.release(0)
            if isinstance(error, TimeoutError):
                raise self._timeout_error() from error
            raise
        return size

    def release(self, size: int) -> None:
        """Give bytes back."""
        with self._lock:
            self._free_bytes += size
            while self._waiters:
                needed, overdraft, granted = self._waiters[0]
                if needed > self._free_bytes + overdraft:
                    break
                self._waiters.popleft()
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
