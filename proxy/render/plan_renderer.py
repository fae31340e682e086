"""Render a plan over fetched originals, with what other requests already found out about them."""

import time
from collections.abc import Sequence
from typing import NamedTuple

from proxy.cache.detections import DetectionCache
from proxy.cache.origin_cache import FetchedOriginal, source_tags
from proxy.formats import FormatName
from proxy.imaging.frames import FIRST_FRAME, FrameRange, may_have_frames
from proxy.imaging.results import Rendition
from proxy.operations.plan import Plan
from proxy.originals import Original, OriginalRef
from proxy.render.header_reader import HeaderReader
from proxy.render.inspector import Inspector
from proxy.render.pool import RenderPool
from proxy.render.scheduling import Priority
from proxy.render.shared_decodes import SharedDecodes
from proxy.render.tasks import RENDER, RenderContext, build_render_request

_SNIFFED_BYTES = 64


class Optimize(NamedTuple):
    """Make the rendition smaller than the first one was, for clients that accept these formats."""

    first_formats: tuple[FormatName, ...]
    cpu_seconds: float


class PlanRenderer:
    """Sends render tasks to the pool; shares decodes and detections between plans."""

    def __init__(
        self,
        *,
        pool: RenderPool,
        context: RenderContext,
        decodes: SharedDecodes,
        detections: DetectionCache,
        inspector: Inspector,
        headers: HeaderReader,
    ) -> None:
        self._pool = pool
        self._context = context
        self._decodes = decodes
        self._detections = detections
        self._inspector = inspector
        self._headers = headers

    def announce(self, source: OriginalRef) -> None:
        """Note that the source is about to be rendered, so that a second plan shares its decode."""
        self._decodes.note_request(source.key)

    async def render(
        self,
        plan: Plan,
        source: OriginalRef,
        originals: Sequence[FetchedOriginal],
        priority: Priority,
        *,
        optimize: Optimize | None = None,
    ) -> tuple[Rendition, float]:
        """The rendition, and the seconds that it took.

        ``originals`` are the source's own and then those of ``plan.extra_sources()``.
        Raises an ImageError or a CapacityError.
        """
        started = time.monotonic()
        main = originals[0].original
        tags = source_tags(source, originals[0].record)
        bodies = [one.original.body for one in originals]
        extra_images = dict(zip(plan.extra_sources(), bodies[1:], strict=True))
        may_store = originals[0].allows_storing
        decoded = await self._decodes.get(source.key, main, plan, priority) if may_store else None
        frames, subject = FIRST_FRAME, None
        if plan.uses_detection:
            frames = await self._shown_frames(plan, main, priority)
            subject = await self._detections.get(main, frames)
        if subject is None and decoded is not None and plan.needs_detection_first:
            subject = await self._inspector.subject(main, tags, decoded, priority)
        request = build_render_request(
            self._context,
            plan,
            subject,
            extra_images,
            decoded.info if decoded is not None else None,
            optimize_from=optimize.first_formats if optimize is not None else None,
        )
        if decoded is not None:
            bodies[0] = decoded.pixels
        result = await self._pool.run(
            RENDER,
            request,
            bodies,
            priority=priority,
            cpu_seconds=(
                self._context.limits.render_timeout_seconds
                if optimize is None
                else optimize.cpu_seconds
            ),
        )
        cost = time.monotonic() - started
        if result.header is not None:
            self._decodes.note_header(main, result.header)
        if result.detected_subject is not None and may_store:
            await self._detections.put(main, frames, result.detected_subject, tags, cost)
        return result.rendition, cost

    async def _shown_frames(self, plan: Plan, original: Original, priority: Priority) -> FrameRange:
        if not may_have_frames(original.body.read(_SNIFFED_BYTES)):
            return FIRST_FRAME  # the header of a large file is read in a render process
        return plan.shown_frames(await self._headers.read(original, priority))

    async def close(self) -> None:
        await self._decodes.close()
