"""A service in this process, from a real origin to a real cache, and a clock that can be turned."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from render_processes import until

from proxy.app import create_service
from proxy.buffers import OutputBuffer, SharedBuffer
from proxy.cache.disk import CacheConfig, DiskStore
from proxy.cache.freshness import FreshnessConfig
from proxy.cache.lru import HotStore
from proxy.cache.negative import Refusals
from proxy.cache.originals import Supply
from proxy.image_request import ImageRequest, ResponseOptions
from proxy.limits import Limits
from proxy.operations.plan import Plan
from proxy.operations.resize import Resize
from proxy.originals import SourceRef
from proxy.render.messages import Outfit
from proxy.render.pool import Pool
from proxy.render.protocol import Lane, Task, Work, registry
from proxy.render.tasks import WORKS
from proxy.service import ImageResult
from proxy.singleflight import SingleFlight
from proxy.sources.http import HttpSource
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import SsrfPolicy

Argument = TypeVar("Argument")
Result = TypeVar("Result")

RULES = FreshnessConfig(stale_while_revalidate=1000, stale_if_error=5000, ttl_jitter=0)


class Here(Pool):
    """Does the work at once, in this very process."""

    def __init__(self) -> None:
        super().__init__(Path())
        self.done: Counter[str] = Counter()
        self.lanes: set[Lane] = set()
        self.during: Callable[[], Any] | None = None

    @property
    def rendered(self) -> int:
        return self.done["render"]

    @property
    def asked(self) -> int:
        return self.done["look"]

    async def run(
        self,
        work: Task[Argument, Result],
        argument: Argument,
        originals: Sequence[SharedBuffer | OutputBuffer] = (),
        *,
        lane: Lane = "live",
        seconds: float = 10.0,
    ) -> Result:
        self.done[work.name] += 1
        self.lanes.add(lane)
        if self.during is not None:
            await self.during()
        known: Work[Any, Any] = registry(WORKS)[work.name]
        blobs = [SharedBuffer(os.dup(one.descriptor)) for one in originals]
        result: Result = known.does(blobs, argument, "heavy")
        return result


class World:
    """A service with all it needs, and a clock that a test can turn."""

    def __init__(
        self, folder: Path, rules: FreshnessConfig = RULES, *, shared: Path | None = None
    ) -> None:
        """``shared`` is where it meets others, which have the same folder for their cache."""
        self.now = 1_000_000.0
        self.dialer = HttpClient(SsrfPolicy(allow_nets=["127.0.0.1"]))
        source = HttpSource(self.dialer, Limits(), retries=0)
        disk = DiskStore(CacheConfig(dir=str(folder)), clock=self.clock)
        self.store = HotStore(disk, 10_000_000)
        flights = SingleFlight(folder / "flights")
        self.pool = Here()
        self.service = create_service(
            origins=Supply(source, self.store, flights, rules, clock=self.clock),
            store=self.store,
            pool=self.pool,
            context=Outfit(Limits()),
            flights=flights,
            negative=Refusals(rules.negative_ttl, self.clock),
            shared_dir=shared,
            clock=self.clock,
        )

    async def close(self) -> None:
        await self.service.close()
        await self.store.close()
        await self.dialer.close()

    def clock(self) -> float:
        self.now += 1e-6
        return self.now

    async def ask(self, url: str, width: int = 40, *labels: str) -> ImageResult:
        plan = Plan((Resize(width_in_px=width),))
        answer = await self.service.get_or_render(
            ImageRequest(SourceRef(url), plan, ResponseOptions(tags=labels))
        )
        await until(lambda: not self.service._refresh)
        return answer

    async def states(self, *urls: str) -> list[str]:
        return [(await self.ask(url)).state for url in urls]
