"""Answer questions about an original without rendering: header, subject, full description."""

import asyncio
import time
from functools import partial
from typing import TypeVar

from msgspec import Struct

from proxy.cache.detections import DetectionCache
from proxy.cache.freshness import Record
from proxy.cache.negative import Refusals
from proxy.cache.originals import Supply, source_labels
from proxy.imaging.headers import Header, probe
from proxy.imaging.image import Seen
from proxy.imaging.info_model import Description
from proxy.originals import Original, OriginalRef
from proxy.render.messages import DESCRIBE, LOOK, LookOrder, Outfit
from proxy.render.pool import Pool
from proxy.render.protocol import Lane, Task
from proxy.render.shared_decodes import Reduced
from proxy.singleflight import SingleFlight
from proxy.smartcrop.subject import Focus
from proxy.telemetry.metrics import wanted

Found = TypeVar("Found", Seen, Description)


class ProbeResult(Struct, frozen=True):
    """What the header of an original says, and how many bytes the original has."""

    header: Header
    length: int


class Inspector:
    """Inspects originals, each once for all who ask at the same time."""

    def __init__(
        self,
        *,
        origins: Supply,
        pool: Pool,
        context: Outfit,
        flights: SingleFlight,
        detections: DetectionCache,
        negative: Refusals,
    ) -> None:
        self._origins = origins
        self._pool = pool
        self._context = context
        self._flights = flights
        self._detections = detections
        self._negative = negative

    async def probe(self, source: OriginalRef) -> ProbeResult:
        """Read the original's header; nothing is decoded."""
        fetched = await self._origins.original(source)
        body = fetched.original.body
        return ProbeResult(await asyncio.to_thread(probe, body.view()), len(body))

    async def detect(self, source: OriginalRef) -> Seen:
        """Find the subject of an original."""
        detection, _ = await self._inspect(LOOK, source)
        return detection

    async def info(self, source: OriginalRef) -> tuple[Description, Record]:
        """Describe an original; the record says how long that holds."""
        return await self._inspect(DESCRIBE, source)

    async def subject(
        self, original: Original, tags: tuple[str, ...], reduced: Reduced, lane: Lane
    ) -> Focus:
        """Find the subject in a decoded original, once for all plans that start from it."""

        async def detect() -> Focus:
            found = await self._run(LOOK, original, None, tags, reduced=reduced, lane=lane)
            return found.focus

        return await self._flights.do(
            f"{lane}-look-{original.digest}",
            detect,
            look=partial(self._detections.get, original),
        )

    async def _inspect(
        self, task: Task[LookOrder, Found], source: OriginalRef
    ) -> tuple[Found, Record]:
        return await self._flights.do(
            f"{task.name}-{source.key}", partial(self._fetch_and_run, task, source)
        )

    async def _fetch_and_run(
        self, task: Task[LookOrder, Found], source: OriginalRef
    ) -> tuple[Found, Record]:
        wanted(source)
        fetched = await self._origins.original(source)
        subject = await self._detections.get(fetched.original)
        tags = source_labels(source, fetched.record)
        return await self._run(task, fetched.original, subject, tags), fetched.record

    async def _run(
        self,
        task: Task[LookOrder, Found],
        original: Original,
        subject: Focus | None,
        tags: tuple[str, ...],
        *,
        reduced: Reduced | None = None,
        lane: Lane = "live",
    ) -> Found:
        """Run the task in a render process, and cache the subject if it was not known."""
        started = time.monotonic()
        with self._negative.believed(task.name, [original.digest]):
            found = await self._pool.run(
                task,
                LookOrder(self._context, subject, reduced.raster if reduced else None),
                [reduced.pixels if reduced else original.body],
                lane=lane,
                seconds=self._context.limits.render_timeout_seconds,
            )
        if subject is None:
            await self._detections.put(original, found.focus, tags, time.monotonic() - started)
        return found
