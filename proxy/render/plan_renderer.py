"""Render a plan over fetched originals, with what other requests already found out about them."""

import time
from collections.abc import Sequence

from proxy.cache.detections import DetectionCache
from proxy.cache.originals import Supplied, source_labels
from proxy.imaging.image import Rendition
from proxy.operations.plan import Plan
from proxy.originals import OriginalRef
from proxy.render.inspector import Inspector
from proxy.render.messages import RENDER, Outfit, render_order
from proxy.render.pool import Pool
from proxy.render.protocol import Lane
from proxy.render.shared_decodes import Rasters


class PlanRenderer:
    """Sends render tasks to the pool; shares decodes and detections between plans."""

    def __init__(
        self,
        pool: Pool,
        context: Outfit,
        rasters: Rasters,
        detections: DetectionCache,
        inspector: Inspector,
    ) -> None:
        self._pool = pool
        self._context = context
        self._rasters = rasters
        self._detections = detections
        self._inspector = inspector

    def announce(self, source: OriginalRef) -> None:
        """Note that the source is about to be rendered, so that a second plan shares its decode."""
        self._rasters.wanted(source.key)

    async def render(
        self, plan: Plan, source: OriginalRef, originals: Sequence[Supplied], lane: Lane
    ) -> tuple[Rendition, float]:
        """The rendition, and the seconds that it took.

        ``originals`` are the source's own and then those of ``plan.also()``.
        Raises an ImageError or a CapacityError.
        """
        started = time.monotonic()
        main = originals[0].original
        tags = source_labels(source, originals[0].record)
        bodies = [one.original.body for one in originals]
        also = dict(zip(plan.also(), bodies[1:], strict=True))
        reduced = await self._rasters.of(source.key, main, plan, lane)
        subject = await self._detections.get(main) if plan.looks else None
        if subject is None and reduced is not None and plan.begins_with_a_look:
            subject = await self._inspector.subject(main, tags, reduced, lane)
        order = render_order(
            self._context, plan, subject, also, reduced.raster if reduced is not None else None
        )
        if reduced is not None:
            bodies[0] = reduced.pixels
        result = await self._pool.run(
            RENDER, order, bodies, lane=lane, seconds=self._context.limits.render_timeout_seconds
        )
        cost = time.monotonic() - started
        if result.focus is not None:
            await self._detections.put(main, result.focus, tags, cost)
        return result.rendition, cost

    async def close(self) -> None:
        await self._rasters.close()
