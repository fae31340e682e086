"""Answer questions about an original without rendering: header, subject, full description."""

import time
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from msgspec import Struct

from proxy.cache.detections import DetectionCache
from proxy.cache.freshness import OriginRecord
from proxy.cache.negative import NegativeCache
from proxy.cache.origin_cache import FetchedOriginal, OriginCache, source_tags
from proxy.geometry import Size
from proxy.imaging.frames import FIRST_FRAME, FrameRange, shown_frames
from proxy.imaging.headers import ImageHeader
from proxy.imaging.results import Detection, ImageInfo
from proxy.originals import Original, OriginalRef
from proxy.render.header_reader import HeaderReader
from proxy.render.ipc import TaskType
from proxy.render.pool import RenderPool
from proxy.render.scheduling import Priority
from proxy.render.shared_decodes import DecodedOriginal
from proxy.render.tasks import (
    DETECT,
    INFO,
    SUBJECT,
    DetectRequest,
    RenderContext,
    SubjectRequest,
)
from proxy.runtime.singleflight import SingleFlight
from proxy.smartcrop.subject import Subject
from proxy.telemetry.request_context import set_source

Result = TypeVar("Result", Detection, ImageInfo)


class ProbeResult(Struct, frozen=True):
    """The header of an original, and how many bytes the original has."""

    header: ImageHeader
    length: int


class Inspector:
    """Inspects originals, each once for all requests at the same time."""

    def __init__(
        self,
        *,
        origins: OriginCache,
        pool: RenderPool,
        context: RenderContext,
        single_flight: SingleFlight,
        detections: DetectionCache,
        negative: NegativeCache,
        headers: HeaderReader,
    ) -> None:
        self._origins = origins
        self._pool = pool
        self._context = context
        self._single_flight = single_flight
        self._detections = detections
        self._negative = negative
        self._headers = headers

    async def probe(self, source: OriginalRef) -> ProbeResult:
        """Read the original's header; nothing is decoded."""

        async def probe(originals: Sequence[FetchedOriginal]) -> ProbeResult:
            original = originals[0].original
            return ProbeResult(await self._headers.read(original), original.body.size)

        return await self._origins.with_originals((source,), probe)

    async def detect(self, source: OriginalRef, aspect_ratios: tuple[Size, ...] = ()) -> Detection:
        """Find the subject of an original's first frame; place a crop for each aspect ratio."""
        detection, _ = await self._inspect(DETECT, source, aspect_ratios)
        return detection

    async def info(
        self, source: OriginalRef, aspect_ratios: tuple[Size, ...] = ()
    ) -> tuple[ImageInfo, OriginRecord]:
        """Describe an original, with a crop for each aspect ratio; the record has its TTL."""
        return await self._inspect(INFO, source, aspect_ratios)

    async def subject(
        self,
        original: Original,
        tags: tuple[str, ...],
        decoded: DecodedOriginal,
        priority: Priority,
    ) -> Subject:
        """Find the subject in a decoded original, once for all plans that start from it."""

        async def detect() -> Subject:
            started = time.monotonic()
            with self._negative.guard(SUBJECT.name, [original.digest]):
                subject = await self._pool.run(
                    SUBJECT,
                    SubjectRequest(self._context, decoded.info),
                    [decoded.pixels],
                    priority=priority,
                    cpu_seconds=self._context.limits.render_timeout_seconds,
                )
            cost = time.monotonic() - started
            await self._detections.put(original, FIRST_FRAME, subject, tags, cost)
            return subject

        return await self._single_flight.do(
            f"{priority}-detect-{original.digest}",
            detect,
            recheck=partial(self._detections.get, original, FIRST_FRAME),
        )

    async def _inspect(
        self,
        task: TaskType[DetectRequest, Result],
        source: OriginalRef,
        aspect_ratios: tuple[Size, ...],
    ) -> tuple[Result, OriginRecord]:
        return await self._single_flight.do(
            "-".join((task.name, source.key, *map(str, aspect_ratios))),
            partial(self._fetch_and_run, task, source, aspect_ratios),
        )

    async def _fetch_and_run(
        self,
        task: TaskType[DetectRequest, Result],
        source: OriginalRef,
        aspect_ratios: tuple[Size, ...],
    ) -> tuple[Result, OriginRecord]:
        set_source(source)

        async def run(originals: Sequence[FetchedOriginal]) -> tuple[Result, OriginRecord]:
            fetched = originals[0]
            original, record = fetched.original, fetched.record
            frames = FIRST_FRAME
            if task.name == INFO.name:
                frames = shown_frames(await self._headers.read(original), "auto", None)
            subject = await self._detections.get(original, frames)
            tags = source_tags(source, record)
            found = await self._run(
                task,
                original,
                frames,
                subject,
                tags,
                aspect_ratios=aspect_ratios,
                may_store=fetched.allows_storing,
            )
            return found, record

        return await self._origins.with_originals((source,), run)

    async def _run(
        self,
        task: TaskType[DetectRequest, Result],
        original: Original,
        frames: FrameRange,
        subject: Subject | None,
        tags: tuple[str, ...],
        *,
        aspect_ratios: tuple[Size, ...],
        may_store: bool,
    ) -> Result:
        """Run the task in a render process, and cache a subject that was not known."""
        started = time.monotonic()
        with self._negative.guard(task.name, [original.digest]):
            found = await self._pool.run(
                task,
                DetectRequest(self._context, subject, aspect_ratios),
                [original.body],
                cpu_seconds=self._context.limits.render_timeout_seconds,
            )
        if subject is None and may_store:
            cost = time.monotonic() - started
            await self._detections.put(original, frames, found.subject, tags, cost)
        return found
