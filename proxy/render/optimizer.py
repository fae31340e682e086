"""Decide which renditions are made once more, in fewer bytes, and when there is time for that.

What is requested often enough waits in a queue of each worker. One key after the other is worked
on, and only while no request of this worker waits for a render process: where one does, the work is
cancelled and tried again later. Every attempt is remembered for a while that doubles each time, so
that what fails or cannot be stored does not take all the time there is.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal, get_args

from proxy.render.config import OptimizationConfig
from proxy.render.pool import RenderPool
from proxy.render.request_counts import RequestCounts
from proxy.runtime.background import BackgroundTasks, cancel

Outcome = Literal["improved", "unchanged", "failed", "skipped", "interrupted", "dropped"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""``skipped``: the rendition was purged, replaced or optimized meanwhile. ``interrupted``: a
request needed the CPU. ``dropped``: the queue was full."""

_MAX_QUEUE = 256
_MAX_ATTEMPTS = 16_384
_PATIENCE_SECONDS = 0.02
"""How long a request may wait for a render process before it counts: mostly one is idle."""

_STOP_SECONDS = 1.0
"""After so long at the latest, a worker that stops is noticed."""

_MIN_RETRY_SECONDS, _MAX_RETRY_SECONDS = 60.0, 86_400.0
_INTERRUPTED_SECONDS = 1.0


class Optimizer:
    """``outcomes`` counts how attempts ended, ``saved_bytes`` what they made smaller."""

    def __init__(
        self,
        config: OptimizationConfig,
        pool: RenderPool,
        counts: RequestCounts,
        background: BackgroundTasks,
        *,
        stopping: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``clock`` is in seconds."""
        self.config = config
        self._pool = pool
        self._counts = counts
        self._background = background
        self._stopping = stopping
        self._clock = clock
        self._queue: OrderedDict[str, Callable[[], Awaitable[Outcome]]] = OrderedDict()
        self._current = ""
        self._attempts: OrderedDict[str, tuple[int, float]] = OrderedDict()
        """How many there were, and when the next one may start."""
        self._task: asyncio.Task[None] | None = None
        self.outcomes: Counter[Outcome] = Counter()
        self.saved_bytes = 0

    def __len__(self) -> int:
        return len(self._queue) + bool(self._current)

    @property
    def is_enabled(self) -> bool:
        return self.config.mode != "off"

    def count_request(self, key: str) -> bool:
        """Count a request for a first rendition; return whether it is time for a better one."""
        count = self._counts.add(key)
        needed = 1 if self.config.mode == "all" else self.config.after_requests
        if count < needed or key in self._queue or key == self._current:
            return False
        _, retry_at = self._attempts.get(key, (0, 0.0))
        return self._clock() >= retry_at and not self._stopping()

    def start(self, key: str, work: Callable[[], Awaitable[Outcome]]) -> None:
        """Do the work when there is time."""
        if len(self._queue) >= _MAX_QUEUE:
            self._finish(key, "dropped")
            return
        self._queue[key] = work
        if self._task is None:
            self._task = self._background.restart("optimization", self._work)
            self._task.add_done_callback(self._on_done)

    async def close(self) -> None:
        """Cancel what is running, and forget what waits."""
        self._queue.clear()
        if self._task is not None:
            await cancel(self._task)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            self._task = None

    async def _work(self) -> None:
        while self._queue and not self._stopping():
            if not self._pool.load.is_idle:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_STOP_SECONDS):
                        await self._pool.load.wait_for(lambda load: load.is_idle)
                continue
            self._current, work = self._queue.popitem(last=False)
            try:
                self._finish(self._current, await self._run(work))
            except BaseException:
                self._finish(self._current, "failed")
                raise
            finally:
                self._current = ""
        self._queue.clear()
        self._task = None  # not later: what is queued from now on needs another task

    async def _run(self, work: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Do the work, and cancel it where a request waits for a render process."""
        task = asyncio.ensure_future(work())
        urgent = asyncio.ensure_future(self._wait_urgent())
        try:
            while not (task.done() or urgent.done() or self._stopping()):
                await asyncio.wait(
                    (task, urgent),
                    timeout=_STOP_SECONDS,
                    return_when=asyncio.FIRST_COMPLETED,
                )
        finally:
            task.cancel()
            urgent.cancel()
            await asyncio.wait((task, urgent))
        return "interrupted" if task.cancelled() else task.result()

    async def _wait_urgent(self) -> None:
        """Wait until a request has to wait for a render process."""
        load = self._pool.load
        while True:
            await load.wait_for(lambda load: load.has_urgent_tasks)
            await asyncio.sleep(_PATIENCE_SECONDS)
            if load.has_urgent_tasks:
                return

    def _finish(self, key: str, outcome: Outcome) -> None:
        self.outcomes[outcome] += 1
        attempts, _ = self._attempts.get(key, (0, 0.0))
        was_cut = outcome in ("interrupted", "dropped")
        first = _INTERRUPTED_SECONDS if was_cut else _MIN_RETRY_SECONDS
        seconds = min(_MAX_RETRY_SECONDS, first * 2.0 ** min(attempts, 20))
        self._attempts[key] = attempts + 1, self._clock() + seconds
        self._attempts.move_to_end(key)
        if len(self._attempts) > _MAX_ATTEMPTS:
            self._attempts.popitem(last=False)
