"""Answer an image request: cached? else, single flight: fetch, render, store."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from proxy.cache.entries import CachedRendition
from proxy.cache.freshness import Expired, Fresh, NegativeHit, OriginRecord, Stale
from proxy.cache.negative import NegativeCache
from proxy.cache.origin_cache import FetchedOriginal, OriginCache, restore_error, source_tags
from proxy.cache.refresh import BackgroundRefresh
from proxy.cache.renditions import RenditionCache, StoredRendition
from proxy.errors import (
    CapacityError,
    DeadlineExceeded,
    ImageError,
    OriginalChanged,
    RenderFailed,
    SourceDenied,
    SourceFailed,
    SourceTimedOut,
)
from proxy.geometry import Size
from proxy.image_request import ImageRequest
from proxy.imaging.results import MIN_SAVING, OPTIMIZABLE, Detection, ImageInfo, Rendition
from proxy.operations.plan import Plan
from proxy.originals import CacheDirectives, OriginalRef, SourceRef
from proxy.render.inspector import Inspector, ProbeResult
from proxy.render.optimizer import Optimizer, Outcome
from proxy.render.plan_renderer import Optimize, PlanRenderer
from proxy.render.scheduling import Priority
from proxy.runtime.background import BackgroundTasks
from proxy.runtime.caller import Caller, Deadline, current_caller, serving
from proxy.runtime.singleflight import SingleFlight
from proxy.telemetry.request_context import record_cache, set_source, stage

_log = logging.getLogger(__name__)


class ImageResult(Struct, frozen=True):
    """A rendition with what a response needs to describe it.

    ``age`` is the time since the last answer of the source, ``ttl`` how long that holds, both in
    seconds; ``made_at`` is in Unix seconds; ``last_modified`` is the source's own HTTP date, or
    empty; ``tags`` are its purge tags; ``directives`` are what the source allows caches to do.
    ``optimization`` says whether one of fewer bytes may take its place, or is this.
    ``is_current`` returns whether the very same result may be served again, and is called each time
    before that; None: it may not.
    """

    rendition: Rendition
    etag: str
    state: Literal["hit", "stale", "miss"]
    age: float
    ttl: float
    made_at: float
    last_modified: str = ""
    tags: tuple[str, ...] = ()
    is_current: Callable[[], bool] | None = None
    directives: CacheDirectives = field(default_factory=CacheDirectives)
    optimization: Literal["", "pending", "done"] = ""


class ImageService:
    """Every request has one deadline, from its first wait to its result: that of its caller."""

    def __init__(
        self,
        *,
        renditions: RenditionCache,
        origins: OriginCache,
        renderer: PlanRenderer,
        inspector: Inspector,
        single_flight: SingleFlight,
        negative: NegativeCache,
        deadline_seconds: float,
        background: BackgroundTasks | None = None,
        optimizer: Optimizer | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``deadline_seconds`` are for work that no request waits for.

        ``clock`` is in Unix seconds.
        """
        self._renditions = renditions
        self._origins = origins
        self._renderer = renderer
        self._inspector = inspector
        self._single_flight = single_flight
        self._negative = negative
        self._deadline_seconds = deadline_seconds
        self._clock = clock
        self._refresh = BackgroundRefresh(background)
        self._optimizer = optimizer

    async def get_or_render(
        self, request: ImageRequest, priority: Priority = "interactive"
    ) -> ImageResult:
        """The rendition from the cache, or a new one. Raises a ProxyError."""
        set_source(request.source)
        with stage("cache_read"):
            # Taken before the cache is read, so that a change in between is noticed.
            is_current = self._renditions.change_token(request.key, request.sources)
            cached, freshness = await self._renditions.get(request.key, request.sources)
        match freshness:
            case NegativeHit(error):
                raise restore_error(error, self._clock())
            case Fresh() if cached:
                self._add_missing_tags(request, cached)
                result = self._result(request, cached, "hit")
                return replace(result, is_current=self._count_hits(request, result, is_current))
            case Stale(revalidate) if cached:
                if revalidate:
                    self._refresh.start(request.key, self._render_in_background(request))
                return self._result(request, cached, "stale")
        try:
            rendered = await self._render_once(request, priority)
        except (SourceFailed, SourceTimedOut, CapacityError) as error:
            if (
                not cached
                or freshness != Expired(usable_on_error=True)
                or isinstance(error, SourceDenied)
            ):
                raise
            return self._result(request, cached, "stale")
        return self._result(request, rendered, rendered.state)

    def announce(self, source: OriginalRef) -> None:
        """Note that several renditions of this source follow, so that all share its decode."""
        self._renderer.announce(source)

    async def get_fresh(self, request: ImageRequest, priority: Priority) -> ImageResult:
        """The rendition from the cache where it is fresh, or a new one; never a stale one.

        All is stored, with the tags of the request, before it returns. Raises a ProxyError.
        """
        stored, freshness = await self._renditions.get(request.key, request.sources)
        if isinstance(freshness, NegativeHit):
            raise restore_error(freshness.error, self._clock())
        if stored is None or freshness != Fresh():
            rendered = await self._render_once(request, priority)
            await self._renditions.flush()
            return self._result(request, rendered, rendered.state)
        if tags := self._renditions.missing_tags(stored, _tags(request, stored)):
            await self._renditions.add_tags(request.key, tags)
        return self._result(request, stored, "hit")

    async def _render_once(self, request: ImageRequest, priority: Priority) -> StoredRendition:
        """Render once for all requests that come meanwhile; none waits for a less urgent flight."""
        async with self._deadline():
            return await self._single_flight.do(
                f"{priority}-{request.key}",
                partial(self._fetch_render_store, request, priority),
                recheck=partial(self._renditions.get_fresh, request.key, request.sources),
            )

    async def _render_in_background(self, request: ImageRequest) -> None:
        """Render for nobody: the request that started it has its answer."""
        with serving(self._background_caller()):
            await self._render_once(request, "background")

    async def _fetch_render_store(
        self, request: ImageRequest, priority: Priority
    ) -> StoredRendition:
        started_at = self._clock()
        cached = await self._renditions.read(request.key)
        if cached and (same := await self._renditions.revalidate(cached, request.sources)):
            return same
        self._renderer.announce(request.source)
        originals, rendition, cost = await self._origins.with_originals(
            request.sources, partial(self._render, request, priority), since=started_at
        )
        # Hits are answered in between: without it they wait twice as long for the event loop.
        await asyncio.sleep(0)
        with stage("cache_write"):
            return await self._renditions.put(
                request.key,
                rendition,
                request.sources,
                originals,
                tags=(*request.response_options.tags, *(cached.tags if cached else ())),
                cost=cost,
                started_at=started_at,
            )

    async def _render(
        self, request: ImageRequest, priority: Priority, originals: Sequence[FetchedOriginal]
    ) -> tuple[Sequence[FetchedOriginal], Rendition, float]:
        """Return the originals, their rendition, and the seconds that it took."""
        digests = [fetched.original.digest for fetched in originals]
        with self._negative.guard(request.plan.canonical, digests):
            rendition, cost = await self._renderer.render(
                self._first_plan(request), request.source, originals, priority
            )
        return originals, rendition, cost

    def _first_plan(self, request: ImageRequest) -> Plan:
        """The plan of the first rendition: what takes long is left for later."""
        plan, optimizer = request.plan, self._optimizer
        is_later = optimizer is not None and optimizer.is_enabled and optimizer.config.webp_first
        if is_later and "webp" in plan.accepted_formats and isinstance(request.source, SourceRef):
            return plan.with_accepted_formats([f for f in plan.accepted_formats if f != "avif"])
        return plan

    def _is_first(self, request: ImageRequest, stored: StoredRendition) -> bool:
        """Whether a rendition of fewer bytes may take the place of this one."""
        return (
            self._optimizer is not None
            and self._optimizer.is_enabled
            and not stored.cached.optimization
            and stored.cached.rendition.format in OPTIMIZABLE
            and isinstance(request.source, SourceRef)
            and stored.record.metadata.directives.allows_storing
        )

    def _count_hits(
        self, request: ImageRequest, result: ImageResult, is_current: Callable[[], bool] | None
    ) -> Callable[[], bool] | None:
        """Count the repeated use of a first rendition, which ends when it is to be replaced."""
        optimizer = self._optimizer
        if optimizer is None or is_current is None or result.optimization != "pending":
            return is_current
        return lambda: is_current() and not optimizer.count_request(request.key)

    async def _optimize(self, request: ImageRequest) -> Outcome:
        """Replace the first rendition by one of fewer bytes, once for all workers."""
        with serving(self._background_caller()):
            async with self._deadline():
                return await self._single_flight.do(
                    f"optimize-{request.key}",
                    partial(self._replace_first, request),
                    recheck=partial(self._check_replaced, request),
                )

    async def _check_replaced(self, request: ImageRequest) -> Outcome | None:
        cached = await self._renditions.read(request.key)
        is_first = cached is not None and not cached.optimization and not cached.soft_purged_at
        return None if is_first else "skipped"

    async def _replace_first(self, request: ImageRequest) -> Outcome:
        started_at = self._clock()
        first = await self._renditions.read(request.key)
        if first is None or self._optimizer is None:
            return "skipped"
        optimize = Optimize(
            self._first_plan(request).accepted_formats, self._optimizer.config.cpu_seconds
        )
        outcome: Outcome = "unchanged"
        try:
            originals, better, cost = await self._origins.with_originals(
                request.sources,
                partial(self._render_optimized, request, first, optimize),
                since=0.0,
            )
        except OriginalChanged:
            return "skipped"
        except (ImageError, DeadlineExceeded, RenderFailed) as error:
            _log.info("optimization failed: %s %s", error, error.detail)
            originals, better, cost, outcome = (), None, 0.0, "failed"
        current = await self._renditions.read(request.key)
        if current is None or not current.is_still(first):
            return "skipped"
        if better is None:
            await self._renditions.mark_useless(request.key, current, started_at=started_at)
            return outcome
        await self._renditions.put(
            request.key,
            better,
            request.sources,
            originals,
            tags=current.tags,
            cost=cost,
            started_at=started_at,
            optimization="done",
        )
        self._optimizer.saved_bytes += len(first.rendition.body) - len(better.body)
        return "improved"

    async def _render_optimized(
        self,
        request: ImageRequest,
        first: CachedRendition,
        optimize: Optimize,
        originals: Sequence[FetchedOriginal],
    ) -> tuple[Sequence[FetchedOriginal], Rendition | None, float]:
        """None for a rendition that is no better than the first one.

        Raises OriginalChanged where the first one was made of other originals.
        """
        if tuple(one.original.digest for one in originals) != first.originals:
            raise OriginalChanged("the original has changed")
        better, cost = await self._renderer.render(
            request.plan, request.source, originals, "background", optimize=optimize
        )
        old = first.rendition
        same_window = (better.size, better.crop_reason) == (old.size, old.crop_reason)
        is_smaller = len(better.body) <= len(old.body) * (1 - MIN_SAVING)
        return originals, better if same_window and is_smaller else None, cost

    async def probe(self, source: OriginalRef) -> ProbeResult:
        """Read an original's header. Raises a ProxyError."""
        async with self._deadline():
            return await self._inspector.probe(source)

    async def detect(self, source: OriginalRef, aspect_ratios: tuple[Size, ...] = ()) -> Detection:
        """Find the subject of an original, and place a crop for each aspect ratio.

        Raises a ProxyError.
        """
        async with self._deadline():
            return await self._inspector.detect(source, aspect_ratios)

    async def info(
        self, source: OriginalRef, aspect_ratios: tuple[Size, ...] = ()
    ) -> tuple[ImageInfo, OriginRecord]:
        """Describe an original, with a crop for each aspect ratio; the record has its TTL.

        Raises a ProxyError.
        """
        async with self._deadline():
            return await self._inspector.info(source, aspect_ratios)

    async def close(self) -> None:
        """Cancel background refreshes and shared decodes."""
        if self._optimizer is not None:
            await self._optimizer.close()
        await self._renderer.close()
        await self._refresh.close()

    def _add_missing_tags(self, request: ImageRequest, cached: StoredRendition) -> None:
        tags = self._renditions.missing_tags(cached, _tags(request, cached))
        if tags:
            self._refresh.start(request.key, self._renditions.add_tags(request.key, tags))

    def _result(
        self, request: ImageRequest, stored: StoredRendition, state: Literal["hit", "stale", "miss"]
    ) -> ImageResult:
        record_cache("rendition", state)
        cached, record = stored.cached, stored.record
        directives = record.metadata.directives
        age, ttl = max(0.0, self._clock() - record.validated_at), record.ttl
        optimization: Literal["", "pending", "done"] = (
            "done" if cached.optimization == "done" else ""
        )
        if self._optimizer is not None and self._is_first(request, stored):
            optimization = "pending"
            ttl = min(ttl, age + self._optimizer.config.first_max_age_seconds)
            directives = replace(directives, immutable=False)
            if self._optimizer.count_request(request.key):
                self._optimizer.start(request.key, partial(self._optimize, request))
        return ImageResult(
            rendition=cached.rendition,
            etag=cached.etag,
            state=state,
            age=age,
            ttl=ttl,
            made_at=cached.made_at,
            # The date is that of the original: it would be a wrong validator for other bytes of it.
            last_modified=""
            if optimization == "done"
            else record.metadata.validators.last_modified,
            tags=_tags(request, stored),
            directives=directives,
            optimization=optimization,
        )

    def _background_caller(self) -> Caller:
        return Caller("", Deadline(self._deadline_seconds))

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        """Raise Overloaded where the deadline passes in a wait, DeadlineExceeded elsewhere."""
        caller = current_caller(self._background_caller())
        try:
            with serving(caller):
                async with caller.deadline.timeout():
                    yield
        except TimeoutError as error:
            raise caller.deadline.interrupted_wait() or DeadlineExceeded(
                f"request deadline exceeded after {caller.deadline.seconds:g} s"
            ) from error


def _tags(request: ImageRequest, stored: StoredRendition) -> tuple[str, ...]:
    """The tags that the sources and this link give the rendition; not those of other links."""
    source = source_tags(request.source, stored.record)
    tags = (*source, *stored.cached.source_tags, *request.response_options.tags)
    return tuple(dict.fromkeys(tags))
