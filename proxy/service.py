"""The order of things: kept? else, with whoever else asks: fetch, render, keep."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from proxy.cache import entries
from proxy.cache.entries import KeptRendition
from proxy.cache.freshness import Expired, Fresh, Record, Refused, Stale, Verdict, worst
from proxy.cache.negative import Refusals
from proxy.cache.originals import Supplied, Supply, error_of, source_labels
from proxy.cache.store import Kind, Store
from proxy.errors import (
    CapacityError,
    DeadlineExceeded,
    ProxyError,
    SourceDenied,
    SourceFailed,
    SourceTimedOut,
)
from proxy.image_request import ImageRequest
from proxy.imaging.headers import Header, probe
from proxy.imaging.image import Rendition, Seen
from proxy.imaging.info_model import Description
from proxy.originals import Original, OriginalRef, digest
from proxy.render.messages import DESCRIBE, LOOK, RENDER, LookOrder, Outfit, render_order
from proxy.render.pool import Pool
from proxy.render.protocol import Lane, Task
from proxy.render.shared_decodes import Rasters, Reduced
from proxy.singleflight import SingleFlight
from proxy.smartcrop.subject import Focus
from proxy.telemetry.metrics import stage, tell, wanted

_log = logging.getLogger(__name__)

Told = TypeVar("Told", Seen, Description)

_BEHIND = 256  # tasks at a time; what is stale beyond that is renewed when it is asked for again
_LABELS = 128  # of one rendition
_JUDGED_SECONDS = 1.0  # how long it goes without saying that what was fresh is so still


class ImageResult(Struct, frozen=True):
    """A rendition and what its reader may know of it.

    ``age`` is the time since the source was last asked and ``lifetime`` how long its word holds,
    both in seconds; ``made_at`` is in Unix seconds; ``last_modified`` is the source's own HTTP
    date, or empty; ``labels`` are what it can be purged by.
    ``still`` tells whether the very same may be answered again, and is asked each time before;
    None: it may not.
    """

    rendition: Rendition
    etag: str
    state: Literal["hit", "stale", "miss"]
    age: float
    ttl: float
    made_at: float
    last_modified: str = ""
    labels: tuple[str, ...] = ()
    is_current: Callable[[], bool] | None = None


class _Made(Struct, frozen=True):
    """A rendition, and how things stand at its source."""

    rendition: KeptRendition
    record: Record


class ProbeResult(Struct, frozen=True):
    """What an original's own structure says of it, and how many bytes it has."""

    header: Header
    length: int


class ImageService:
    """Makes renditions and answers questions about originals."""

    def __init__(
        self,
        *,
        supply: Supply,
        store: Store,
        pool: Pool,
        flights: SingleFlight,
        outfit: Outfit,
        refusals: Refusals,
        shared: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``shared`` is a folder in which all workers of the machine meet, where there are others.

        ``clock`` is in Unix seconds. Raises OSError where nothing can be written to that folder.
        """
        self._supply = supply
        self._store = store
        self._pool = pool
        self._flights = flights
        self._outfit = outfit
        self._refusals = refusals
        self._limits = outfit.limits
        self._clock = clock
        self._rasters = Rasters(pool, outfit, shared)
        self._behind: dict[str, asyncio.Task[None]] = {}

    async def get_or_render(self, job: ImageRequest, lane: Lane = "live") -> ImageResult:
        """The rendition: kept, or made now. Raises a ProxyError where there can be none."""
        wanted(job.source)
        with stage("store"):
            still = self._still(job)  # before anything is read: a later change is noticed
            found, verdict = await self._found(job)
        match verdict:
            case Refused(refusal):
                raise error_of(refusal)
            case Fresh() if found:
                self._complete_labels(job, found)
                return replace(self._answer(job, found, "hit"), still=still)
            case Stale(due) if found:
                if due:
                    self._do_behind(job, self._renew(job))
                return self._answer(job, found, "stale")
            case Expired(usable=True) if found:
                try:
                    return self._answer(job, await self._made(job, lane), "miss")
                except (SourceFailed, SourceTimedOut, CapacityError) as error:
                    if isinstance(error, SourceDenied):
                        raise
                    return self._answer(job, found, "stale")
        return self._answer(job, await self._made(job, lane), "miss")

    async def probe(self, source: OriginalRef) -> ProbeResult:
        """What is known of an original before it is decoded. Raises a ProxyError."""
        async with self._deadline():
            supplied = await self._supply.original(source)
        body = supplied.original.body
        return ProbeResult(await asyncio.to_thread(probe, body.view()), len(body))

    async def detect(self, source: OriginalRef) -> Seen:
        """Where the eye goes in an original, and how large it is."""
        seen, _ = await self._inquire(LOOK, source)
        return seen

    async def info(self, source: OriginalRef) -> tuple[Description, Record]:
        """All there is to know of an original, and how long that may be believed."""
        return await self._inquire(DESCRIBE, source)

    async def close(self) -> None:
        """Give up what is done behind answers that were given."""
        await self._rasters.close()
        tasks = list(self._behind.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _found(self, job: ImageRequest) -> tuple[_Made | None, Verdict]:
        """The kept rendition, and what may be done with it: no more than all its sources allow."""
        rendition = entries.kept_rendition(await self._store.get("rendition", job.key))
        sources = _sources(job)
        standings = [await self._supply.standing(source) for source in sources]
        made_of: tuple[str | None, ...] = rendition.originals if rendition else ()
        if len(made_of) != len(sources):
            made_of = (None,) * len(sources)
        marked = rendition.marked if rendition else 0.0
        verdict = worst(
            self._supply.judge(source, standing, original, marked)
            for source, standing, original in zip(sources, standings, made_of, strict=True)
        )
        record = standings[0].record
        return (_Made(rendition, record) if rendition and record else None), verdict

    async def _fresh(self, job: ImageRequest) -> _Made | None:
        found, verdict = await self._found(job)
        return found if verdict == Fresh() else None

    async def _made(self, job: ImageRequest, lane: Lane) -> _Made:
        async with self._deadline():
            return await self._flights.do(
                f"{lane}-{job.key}",  # who waits does not wait for work that may wait
                partial(self._make, job, lane),
                look=partial(self._fresh, job),
            )

    async def _make(self, job: ImageRequest, lane: Lane) -> _Made:
        begun = self._clock()
        before = entries.kept_rendition(await self._store.get("rendition", job.key))
        if before is not None:
            asked = (self._supply.record(source, before.marked) for source in _sources(job))
            records = await asyncio.gather(*asked)
            if before.originals == tuple(record.digest for record in records):
                return _Made(before, records[0])  # nothing has changed
        self._rasters.wanted(job.source.key)
        supplied = await asyncio.gather(*map(self._supply.original, _sources(job)))
        originals = tuple(one.original.digest for one in supplied)
        with self._refusals.believed(job.plan.text, originals):
            rendered, cost = await self._render(job, supplied, lane)
        labels = _labels(job, supplied, before)
        finished = entries.finished(rendered, originals, labels)
        entry = entries.rendition_entry(finished, cost)
        with stage("keep"):
            await self._store.put("rendition", job.key, entry, begun=begun)
        return _Made(finished, supplied[0].record)

    async def _render(
        self, job: ImageRequest, supplied: Sequence[Supplied], lane: Lane
    ) -> tuple[Rendition, float]:
        """The rendition, and the seconds that it took."""
        bodies = [one.original.body for one in supplied]
        main, record = supplied[0].original, supplied[0].record
        labels = source_labels(job.source, record)
        began = time.monotonic()
        reduced = await self._rasters.of(job.source.key, main, job.plan, lane)
        focus = await self._kept_focus(main) if job.plan.looks else None
        if focus is None and reduced is not None and job.plan.begins_with_a_look:
            focus = await self._flights.do(
                f"{lane}-look-{main.digest}",
                partial(self._focus, main, labels, reduced, lane),
                look=partial(self._kept_focus, main),
            )
        also = dict(zip(job.plan.also(), bodies[1:], strict=True))
        raster = reduced.raster if reduced else None
        order = render_order(self._outfit, job.plan, focus, also, raster)
        if reduced is not None:
            bodies[0] = reduced.pixels
        rendered = await self._pool.run(
            RENDER, order, bodies, lane=lane, seconds=self._limits.render_seconds
        )
        cost = time.monotonic() - began
        if rendered.focus is not None:
            await self._keep_focus(main, rendered.focus, labels, cost)
        return rendered.rendition, cost

    async def _focus(
        self, original: Original, labels: tuple[str, ...], reduced: Reduced, lane: Lane
    ) -> Focus:
        seen = await self._seen(LOOK, original, None, labels, reduced=reduced, lane=lane)
        return seen.focus

    async def _inquire(
        self, question: Task[LookOrder, Told], source: OriginalRef
    ) -> tuple[Told, Record]:
        async with self._deadline():
            return await self._flights.do(
                f"{question.name}-{source.key}", partial(self._look, question, source)
            )

    async def _look(
        self, question: Task[LookOrder, Told], source: OriginalRef
    ) -> tuple[Told, Record]:
        wanted(source)
        supplied = await self._supply.original(source)
        focus = await self._kept_focus(supplied.original)
        labels = source_labels(source, supplied.record)
        told = await self._seen(question, supplied.original, focus, labels)
        return told, supplied.record

    async def _seen(
        self,
        question: Task[LookOrder, Told],
        original: Original,
        focus: Focus | None,
        labels: tuple[str, ...],
        *,
        reduced: Reduced | None = None,
        lane: Lane = "live",
    ) -> Told:
        """What is seen in an original; its focus is kept if it was not known."""
        began = time.monotonic()
        with self._refusals.believed(question.name, [original.digest]):
            told = await self._pool.run(
                question,
                LookOrder(self._outfit, focus, reduced.raster if reduced else None),
                [reduced.pixels if reduced else original.body],
                lane=lane,
                seconds=self._limits.render_seconds,
            )
        if focus is None:
            await self._keep_focus(original, told.focus, labels, time.monotonic() - began)
        return told

    async def _keep_focus(
        self, original: Original, focus: Focus, labels: tuple[str, ...], cost: float
    ) -> None:
        entry = entries.focus_entry(focus, labels, cost)
        await self._store.put("focus", self._focus_key(original), entry)

    async def _kept_focus(self, original: Original) -> Focus | None:
        focus = entries.kept_focus(await self._store.get("focus", self._focus_key(original)))
        tell("focus", "miss" if focus is None else "hit")
        return focus

    def _focus_key(self, original: Original) -> str:
        """Other detectors see otherwise: what they saw is kept beside."""
        return digest(original.digest.encode(), self._outfit.sight.encode())

    def _answer(
        self, job: ImageRequest, made: _Made, state: Literal["hit", "stale", "miss"]
    ) -> ImageResult:
        rendition, record = made.rendition, made.record
        tell("rendition", state)
        return ImageResult(
            rendition=rendition.rendition,
            etag=rendition.etag,
            state=state,
            age=max(0.0, self._clock() - record.asked_at),
            ttl=record.lifetime,
            made_at=rendition.made_at,
            last_modified=record.facts.validators.last_modified,
            labels=tuple(dict.fromkeys((*_wanted(job, record), *rendition.labels))),
        )

    def _still(self, job: ImageRequest) -> Callable[[], bool] | None:
        """Whether what is fresh now is so still: nothing that it rests on has changed since.

        That it has grown old is not seen for a second.
        """
        until = time.monotonic() + _JUDGED_SECONDS
        touch, key = self._store.touch, job.key
        records: list[tuple[Kind, str]] = [("record", source.key) for source in _sources(job)]
        same = self._store.watch(("rendition", key), *records)
        if same is None:
            return None

        def still() -> bool:
            right = time.monotonic() < until and same()
            if right:
                touch("rendition", key)
            return right

        return still

    async def _renew(self, job: ImageRequest) -> None:
        await self._made(job, "background")

    def _complete_labels(self, job: ImageRequest, found: _Made) -> None:
        """Another link leads to the same rendition, and its tags must purge it too."""
        missing = set(_wanted(job, found.record)).difference(found.rendition.labels)
        if missing and len(found.rendition.labels) + len(missing) <= _LABELS:
            self._do_behind(job, self._store.label("rendition", job.key, sorted(missing)))

    def _do_behind(self, job: ImageRequest, work: Coroutine[None, None, None]) -> None:
        """Do the work once for any number of answers, and let none of them wait for it."""
        if job.key in self._behind or len(self._behind) >= _BEHIND:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(_quietly(work))
        self._behind[job.key] = task
        task.add_done_callback(lambda _: self._behind.pop(job.key, None))

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        seconds = self._limits.total_seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise DeadlineExceeded(f"this took longer than {seconds:g} seconds in all") from error


async def _quietly(work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except ProxyError as error:
        _log.info("not renewed: %s %s", error, error.detail)


def _sources(job: ImageRequest) -> tuple[OriginalRef, ...]:
    """What the job is made of: the picture first, then what its operations need beside."""
    return (job.source, *job.plan.also())


def _wanted(job: ImageRequest, record: Record) -> tuple[str, ...]:
    """What the answer to this job is to be purged by, as far as its link and source say."""
    return (*source_labels(job.source, record), *job.delivery.labels)


def _labels(
    job: ImageRequest, supplied: Sequence[Supplied], before: KeptRendition | None
) -> tuple[str, ...]:
    """What the rendition is to be purged by; what other links gave it before is not lost."""
    sources = zip(_sources(job), supplied, strict=True)
    labels = [label for source, one in sources for label in source_labels(source, one.record)]
    labels += [*job.delivery.labels, *(before.labels if before else ())]
    return tuple(dict.fromkeys(labels))[:_LABELS]
