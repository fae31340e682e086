"""A service in this process with a real cache, and a clock that a test can set."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from render_processes import wait_until

from proxy.app import create_service
from proxy.buffers import OutputBuffer, SharedBuffer
from proxy.cache.config import CacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.freshness import FreshnessConfig
from proxy.cache.host_pauses import CachedHostPauses
from proxy.cache.memory_layer import MemoryCacheLayer
from proxy.cache.negative import NegativeCache
from proxy.cache.origin_cache import OriginCache
from proxy.cache.store import Cache
from proxy.image_request import ImageRequest, ResponseOptions
from proxy.limits import Limits
from proxy.operations.plan import Plan
from proxy.operations.resize import Resize
from proxy.originals import SourceRef
from proxy.render.config import OptimizationConfig
from proxy.render.handlers import HANDLERS
from proxy.render.ipc import TaskHandler, TaskType, handlers_by_name
from proxy.render.optimizer import Optimizer
from proxy.render.pool import RenderPool
from proxy.render.request_counts import RequestCounts
from proxy.render.scheduling import Priority
from proxy.render.tasks import RenderContext
from proxy.runtime.background import BackgroundTasks
from proxy.runtime.singleflight import SingleFlight
from proxy.service import ImageResult
from proxy.sources.http import HttpSource
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import SsrfPolicy

Argument = TypeVar("Argument")
Result = TypeVar("Result")

FRESHNESS = FreshnessConfig(stale_while_revalidate=1000, stale_if_error=5000, ttl_jitter=0)


class InProcessPool(RenderPool):
    """Runs tasks at once, in this process."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.run_counts: Counter[str] = Counter()
        self.priorities: set[Priority] = set()
        self.on_run: Callable[[], Any] | None = None
        self.on_argument: Callable[[object], None] = lambda _: None

    @property
    def render_count(self) -> int:
        return self.run_counts["render"]

    @property
    def detect_count(self) -> int:
        return self.run_counts["detect"]

    async def run(
        self,
        task: TaskType[Argument, Result],
        argument: Argument,
        buffers: Sequence[SharedBuffer | OutputBuffer] = (),
        *,
        priority: Priority = "interactive",
        cpu_seconds: float = 10.0,
    ) -> Result:
        self.run_counts[task.name] += 1
        self.priorities.add(priority)
        self.on_argument(argument)
        if self.on_run is not None:
            await self.on_run()
        handler: TaskHandler[Any, Any] = handlers_by_name(HANDLERS)[task.name]
        copies = [SharedBuffer(os.dup(buffer.descriptor)) for buffer in buffers]
        result: Result = handler.function(copies, argument, "expensive")
        return result


class ServiceHarness:
    """A service and its components; ``now`` is its clock in seconds."""

    def __init__(
        self,
        folder: Path,
        freshness: FreshnessConfig = FRESHNESS,
        *,
        shared_dir: Path | None = None,
        add_layer: Callable[[Cache], Cache] = lambda cache: cache,
        optimization: OptimizationConfig | None = None,
        max_pending_bytes: int = 0,
    ) -> None:
        """Harnesses with the same ``folder`` and ``shared_dir`` act as workers of one server.

        ``add_layer`` puts something in front of the cache of the machine.
        """
        self.now = 1_000_000.0
        self.http_client = HttpClient(SsrfPolicy(allow_nets=["127.0.0.1"]))
        # Patient: a machine that is busy with other things fails no test.
        config = CacheConfig(dir=str(folder), disk_timeout_seconds=60)
        disk = DiskStore(config, clock=self.clock, max_pending_bytes=max_pending_bytes)
        self.store = add_layer(MemoryCacheLayer(disk, 10_000_000))
        pauses = CachedHostPauses(self.store, self.clock)
        source = HttpSource(self.http_client, Limits(), max_retries=0, pauses=pauses)
        single_flight = SingleFlight(folder / "flights", written=self.store.written)
        self.pool = InProcessPool()
        self.optimizer = Optimizer(
            optimization or OptimizationConfig(),
            self.pool,
            RequestCounts(None),
            BackgroundTasks(),
            clock=self.clock,
        )
        self.service = create_service(
            origins=OriginCache(source, self.store, single_flight, freshness, clock=self.clock),
            cache=self.store,
            pool=self.pool,
            context=RenderContext(Limits()),
            single_flight=single_flight,
            negative=NegativeCache(freshness.negative_ttl, self.clock),
            shared_dir=shared_dir,
            optimizer=self.optimizer,
            clock=self.clock,
        )

    async def close(self) -> None:
        await self.service.close()
        await self.store.close()
        await self.http_client.close()

    def clock(self) -> float:
        self.now += 1e-6
        return self.now

    async def get(self, url: str, width: int = 40, *tags: str) -> ImageResult:
        plan = Plan((Resize(width_in_px=width),))
        result = await self.service.get_or_render(
            ImageRequest(SourceRef(url), plan, ResponseOptions(tags=tags))
        )
        await wait_until(lambda: not self.service._refresh)
        return result

    async def states(self, *urls: str) -> list[str]:
        return [(await self.get(url)).state for url in urls]
