"""Threads for calls to a disk, which may hang.

A thread cannot be cancelled, so its slot is released only when its call is really done. A disk that
hangs blocks these threads and nothing else.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

from proxy.cache.circuit_breaker import CircuitBreaker

T = TypeVar("T")

_log = logging.getLogger(__name__)


class DiskBusy(Exception):
    """The call was not made, or has no result yet: too many are waiting, or the disk hangs."""


class _Call(Generic[T]):
    """A call that knows since when it runs."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._started_at = 0.0

    def __call__(self) -> T:
        self._started_at = time.monotonic()
        return self._work()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started_at if self._started_at else 0.0


class IoThreads:
    """A few threads with a bounded queue."""

    def __init__(
        self,
        name: str,
        breaker: CircuitBreaker,
        *,
        threads: int,
        queue: int,
        timeout_seconds: float,
    ) -> None:
        """``timeout_seconds`` are for a call, with its time in the queue. Then the disk hangs."""
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._breaker = breaker
        self._timeout_seconds = timeout_seconds
        self._size = threads + queue
        self._slots = threading.BoundedSemaphore(self._size)
        self._futures: set[Future[Any]] = set()
        self._behind = 0

    async def run(self, work: Callable[[], T], *, has_timeout: bool = True) -> T:
        """Return what the call returns.

        Raises DiskBusy if the queue is full, at the timeout, or when the disk turns out to hang.
        """
        call, future = self._submit(work)
        result = asyncio.wrap_future(future)
        try:
            await asyncio.wait(
                (result, self._breaker.opened()),
                timeout=self._timeout_seconds if has_timeout else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if result.done():
                return result.result()
        finally:
            result.cancel()  # ends it if it waits in the queue still
        self._give_up(call, future)
        raise DiskBusy(self._breaker.error or self._timeout_message)

    async def run_behind(self, work: Callable[[], object], *, wait_seconds: float) -> None:
        """Wait for the call for a moment only; then it goes on while the caller does.

        As long as one goes on so, the disk is slow, and nobody waits. Raises DiskBusy if the queue
        is full.
        """
        call, future = self._submit(work)
        if self._behind:
            wait_seconds = 0.0
        result = asyncio.wrap_future(future)
        await asyncio.wait(
            (result, self._breaker.opened()),
            timeout=wait_seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if result.done():
            result.result()
            return
        self._behind += 1
        result.add_done_callback(self._on_end_behind)
        asyncio.get_running_loop().call_later(
            max(0.0, self._timeout_seconds - wait_seconds), self._give_up, call, future
        )

    def start(
        self, work: Callable[[], object], on_end: Callable[[BaseException | None], None]
    ) -> None:
        """Make the call while the caller goes on.

        ``on_end`` is called when it has ended, with its error. Raises DiskBusy if the queue is
        full, or the disk hangs.
        """
        call, future = self._submit(work)
        timer = asyncio.get_running_loop().call_later(
            self._timeout_seconds, self._give_up, call, future
        )

        def end(result: "asyncio.Future[Any]") -> None:
            timer.cancel()
            if result.cancelled():
                on_end(DiskBusy("call to the disk was dropped: the cache is closed"))
                return
            error = result.exception()
            if error is not None:
                _log.error("call to the disk failed", exc_info=error)
            on_end(error)

        asyncio.wrap_future(future).add_done_callback(end)

    def close(self, timeout_seconds: float) -> bool:
        """Drop the calls that are queued, wait for the others; return whether all have ended."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        return not wait(tuple(self._futures), timeout_seconds).not_done

    @property
    def _timeout_message(self) -> str:
        return f"disk timeout exceeded after {self._timeout_seconds:g} s"

    def _submit(self, work: Callable[[], T]) -> tuple[_Call[T], Future[T]]:
        if not self._breaker.allows():
            raise DiskBusy(self._breaker.error)
        if not self._slots.acquire(blocking=False):
            raise DiskBusy(f"disk queue full: {self._size} calls")
        call = _Call(work)
        try:
            future = self._executor.submit(call)
        except BaseException:
            self._slots.release()
            raise
        self._futures.add(future)
        future.add_done_callback(self._on_done)
        return call, future

    def _on_done(self, future: Future[T]) -> None:
        self._futures.discard(future)
        self._slots.release()

    def _on_end_behind(self, result: "asyncio.Future[Any]") -> None:
        self._behind -= 1
        if not result.cancelled():
            result.exception()  # the call itself has logged it

    def _give_up(self, call: _Call[T], future: Future[T]) -> None:
        """Open the breaker if the disk hangs; not if the call only waited in a long queue."""
        if not future.done() and call.seconds >= self._timeout_seconds / 2:
            self._breaker.open(self._timeout_message, future)
