"""Report once a second how this worker is doing: its queue, memory, event loop, and components."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.cache.circuit_breaker import Breaker
from proxy.cache.store import HasCircuitBreakers, HasSharedCounts
from proxy.render.optimizer import Optimizer
from proxy.render.pool import RenderPool
from proxy.runtime.background import BackgroundTasks, cancel
from proxy.runtime.components import NO_COMPONENTS, OK, Components
from proxy.telemetry.metrics import Metrics

_INTERVAL_SECONDS = 1.0


@asynccontextmanager
async def report_runtime_metrics(
    metrics: Metrics,
    pool: RenderPool,
    background: BackgroundTasks,
    components: Components,
    cache: HasCircuitBreakers,
    *,
    optimizer: Optimizer | None = None,
) -> AsyncIterator[None]:
    """Report while the block runs, and once more at its end."""
    runtime = RuntimeMetrics(
        metrics,
        pool,
        background,
        components,
        cache.breakers,
        optimizer=optimizer,
        shared=cache if isinstance(cache, HasSharedCounts) else None,
    )
    task = background.repeat("runtime_metrics", runtime.tick)
    try:
        yield
    finally:
        await cancel(task)
        runtime.report()


class RuntimeMetrics:
    def __init__(
        self,
        metrics: Metrics,
        pool: RenderPool,
        background: BackgroundTasks,
        components: Components = NO_COMPONENTS,
        breakers: Sequence[Breaker] = (),
        *,
        optimizer: Optimizer | None = None,
        shared: HasSharedCounts | None = None,
    ) -> None:
        self._metrics = metrics
        self._pool = pool
        self._background = background
        self._components = components
        self._breakers = breakers
        self._optimizer = optimizer
        self._shared = shared
        self._reported_optimizations: Counter[str] = Counter()
        self._reported_saved_bytes = 0
        self._reported_skips: Counter[str] = Counter()
        self._reported: Counter[str] = Counter()
        self._reported_failures: Counter[str] = Counter()

    async def tick(self) -> None:
        """Wait a second, and report. Raises OSError, for example without a free descriptor."""
        loop = asyncio.get_running_loop()
        expected = loop.time() + _INTERVAL_SECONDS
        await asyncio.sleep(_INTERVAL_SECONDS)
        self.report(lag=loop.time() - expected)

    def report(self, lag: float = 0.0) -> None:
        """Set the gauges and flush all metrics; ``lag`` is how late the event loop was.

        Raises OSError.
        """
        metrics, pool = self._metrics, self._pool
        for priority, length in pool.load.queue_lengths.items():
            metrics.render_queue_length[priority].set(length)
            metrics.render_queue_wait[priority].set(pool.wait_seconds(priority))
        metrics.renders_in_progress.set(pool.load.running)
        metrics.event_loop_lag.set(max(0.0, lag))
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
        metrics.resident_memory.set(pages * os.sysconf("SC_PAGESIZE"))
        for outcome, count in (pool.outcomes - self._reported).items():
            metrics.record_renders(outcome, count)
        self._reported = pool.outcomes.copy()
        failures = self._background.failures
        for task, count in (failures - self._reported_failures).items():
            metrics.record_task_failures(task, count)
        self._reported_failures = failures.copy()
        skips = Counter({breaker.store: breaker.skipped for breaker in self._breakers})
        for store, count in (skips - self._reported_skips).items():
            metrics.record_cache_skips(store, count)
        self._reported_skips = skips
        for breaker in self._breakers:
            metrics.stores.set_breaker(breaker.store, breaker.state)
        if self._shared is not None:
            metrics.stores.set_shared_cache(*self._shared.shared_counts)
        if self._optimizer is not None:
            self._report_optimizations(self._optimizer)
        for name, look in self._components.items():
            metrics.set_component(name, up=look() == OK)
        metrics.flush()

    def _report_optimizations(self, optimizer: Optimizer) -> None:
        outcomes = Counter[str](optimizer.outcomes)
        for outcome, count in (outcomes - self._reported_optimizations).items():
            self._metrics.record_optimizations(outcome, count)
        self._reported_optimizations = outcomes
        self._metrics.record_saved_bytes(optimizer.saved_bytes - self._reported_saved_bytes)
        self._reported_saved_bytes = optimizer.saved_bytes
