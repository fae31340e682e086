"""Make all renditions of one source that are missing together: one fetch, one task."""

import asyncio
import time
from collections.abc import Sequence

from proxy.cache.detections import DetectionCache
from proxy.cache.origin_cache import FetchedOriginal, OriginCache, source_tags
from proxy.cache.renditions import RenditionCache, StoredRendition
from proxy.errors import CapacityError, ImageError, OriginalChanged
from proxy.image_request import ImageRequest
from proxy.imaging.frames import FIRST_FRAME, may_have_frames
from proxy.imaging.results import Rendition
from proxy.originals import OriginalRef
from proxy.render.pool import RenderPool
from proxy.render.tasks import RENDER_ALL, RenderContext, build_batch_request
from proxy.runtime.caller import Caller, serving
from proxy.service import ImageResult

_MAX_PLANS = 12
"""In one task, which has the CPU time of one rendition."""

_SNIFFED_BYTES = 64


class BatchRenderer:
    """What cannot be made together is left to the service, which also says what is wrong."""

    def __init__(
        self,
        *,
        renditions: RenditionCache,
        origins: OriginCache,
        detections: DetectionCache,
        pool: RenderPool,
        context: RenderContext,
    ) -> None:
        self._renditions = renditions
        self._origins = origins
        self._detections = detections
        self._pool = pool
        self._context = context
        self.task_count = 0
        """Of tasks that have made several renditions."""

    async def render(
        self, requests: Sequence[ImageRequest], caller: Caller
    ) -> dict[str, ImageResult]:
        """The new renditions by the keys of their requests; all requests are of one source.

        All are stored before it returns. Those that are cached, or have to be made one by one, are
        left out. Raises a SourceError or StoreUnavailable.
        """
        started_at = time.time()
        missing = await self._find_missing(requests)
        if len(missing) < 2:
            return {}
        try:
            with serving(caller):
                async with caller.deadline.timeout():
                    return await self._render(missing[:_MAX_PLANS], started_at)
        except (ImageError, CapacityError, OriginalChanged, TimeoutError):
            return {}

    async def _find_missing(self, requests: Sequence[ImageRequest]) -> list[ImageRequest]:
        suitable = [one for one in requests if one.plan.needs_pixels_only]
        if not suitable:
            return []
        state = await self._origins.get_state(suitable[0].source, shared=True)
        if state.record is None:  # without one, no rendition counts
            return suitable
        return [one for one in suitable if await self._renditions.read(one.key) is None]

    async def _render(
        self, requests: Sequence[ImageRequest], started_at: float
    ) -> dict[str, ImageResult]:
        source = requests[0].source
        fetched = await self._origins.get_original(source, since=started_at)
        started = time.monotonic()
        rendered = await self._run(requests, source, fetched)
        cost = (time.monotonic() - started) / len(requests)
        stored = await asyncio.gather(
            *(
                self._renditions.put(
                    one.key,
                    rendition,
                    one.sources,
                    (fetched,),
                    tags=one.response_options.tags,
                    cost=cost,
                    started_at=started_at,
                )
                for one, rendition in zip(requests, rendered, strict=True)
            )
        )
        await self._renditions.flush()
        return {one.key: _result(new) for one, new in zip(requests, stored, strict=True)}

    async def _run(
        self, requests: Sequence[ImageRequest], source: OriginalRef, fetched: FetchedOriginal
    ) -> list[Rendition]:
        original, subject = fetched.original, None
        # Which frames of an animation are looked at differs by the plan.
        may_detect = any(one.plan.uses_detection for one in requests) and not may_have_frames(
            original.body.read(_SNIFFED_BYTES)
        )
        if may_detect:
            subject = await self._detections.get(original, FIRST_FRAME)
        started = time.monotonic()
        batch = await self._pool.run(
            RENDER_ALL,
            build_batch_request(self._context, [one.plan for one in requests], subject),
            [original.body],
            priority="background",
            cpu_seconds=self._context.limits.render_timeout_seconds,
        )
        self.task_count += 1
        detected = next(
            (one.detected_subject for one in batch.results if one.detected_subject), None
        )
        if may_detect and detected is not None and fetched.allows_storing:
            tags = source_tags(source, fetched.record)
            cost = time.monotonic() - started
            await self._detections.put(original, FIRST_FRAME, detected, tags, cost)
        return [one.rendition for one in batch.results]


def _result(stored: StoredRendition) -> ImageResult:
    cached, record = stored.cached, stored.record
    return ImageResult(
        rendition=cached.rendition,
        etag=cached.etag,
        state="miss",
        age=0.0,
        ttl=record.ttl,
        made_at=cached.made_at,
        last_modified=record.metadata.validators.last_modified,
        tags=cached.tags,
        directives=record.metadata.directives,
    )
