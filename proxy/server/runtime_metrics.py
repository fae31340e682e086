"""Report once a second how this worker is doing: its queue, its memory, its event loop."""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from proxy.render.pool import RenderPool
from proxy.telemetry.metrics import Metrics

logger = logging.getLogger("framekeep.server.runtime_metrics")

_INTERVAL_SECONDS = 1.0


@asynccontextmanager
async def report_runtime_metrics(metrics: Metrics, pool: RenderPool) -> AsyncIterator[None]:
    """Report while the block runs, and once more at its end."""
    runtime = RuntimeMetrics(metrics, pool)
    task = asyncio.create_task(runtime.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        runtime.report()


class RuntimeMetrics:
    def __init__(self, metrics: Metrics, pool: RenderPool) -> None:
        self._metrics = metrics
        self._pool = pool
        self._reported: Counter[str] = Counter()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            expected = loop.time() + _INTERVAL_SECONDS
            await asyncio.sleep(_INTERVAL_SECONDS)
            try:
                self.report(lag=loop.time() - expected)
            except OSError as error:  # no file descriptor is left, for instance
                logger.warning("runtime metrics not reported: %s", error)

    def report(self, lag: float = 0.0) -> None:
        """Set the gauges and flush all metrics; ``lag`` is how late the event loop was.

        Raises OSError.
        """
        metrics, pool = self._metrics, self._pool
        metrics.render_queue_length.set(pool.waiting)
        metrics.renders_in_progress.set(pool.running)
        metrics.event_loop_lag.set(max(0.0, lag))
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
        metrics.resident_memory.set(pages * os.sysconf("SC_PAGESIZE"))
        for outcome, count in (pool.outcomes - self._reported).items():
            metrics.record_renders(outcome, count)
        self._reported = pool.outcomes.copy()
        metrics.flush()
