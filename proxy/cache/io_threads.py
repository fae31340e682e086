"""Blocking calls, on a few threads of their own."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Busy(Exception):
    """The threads have too much to do already, or took too long."""


class Threads:
    """A few threads and a short queue.

    A thread cannot be taken back, so its place is given up only when its call is really done: a
    disk that hangs costs these places and no others.
    """

    def __init__(self, name: str, *, threads: int, waiting: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._places = threading.BoundedSemaphore(threads + waiting)

    async def run(self, call: Callable[[], T], *, seconds: float | None) -> T:
        """What the call returns. Raises Busy when it cannot be begun now, or is not done in time.

        A call that is not done in time goes on, and nobody hears of it.
        """
        if not self._places.acquire(blocking=False):
            raise Busy("too much is waiting for the disk")
        try:
            future = self._executor.submit(call)
        except BaseException:
            self._places.release()
            raise
        future.add_done_callback(self._done)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise Busy("the disk is too slow") from error

    def _done(self, _: Future[T]) -> None:
        self._places.release()

    def close(self) -> None:
        """Let what runs finish; what has not begun will not."""
        self._executor.shutdown(wait=True, cancel_futures=True)
