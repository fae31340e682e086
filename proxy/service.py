"""The order of things: kept? else, with whoever else asks: fetch, render, keep."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Literal, TypeVar

from msgspec import Meta, Struct

from proxy import kept
from proxy.blob import Blob
from proxy.description import Description
from proxy.errors import SourceFailed, TookTooLong
from proxy.flights import Flights
from proxy.focus.evidence import Focus
from proxy.handover import Work
from proxy.jobs import Job
from proxy.kept import KeptRendition, Record
from proxy.originals import Address, Facts, Original, Reference, Unchanged, Upload, digest
from proxy.picture import Rendition
from proxy.plan import Plan
from proxy.pool import Pool
from proxy.render import Seen
from proxy.sources import Source
from proxy.stores import Store
from proxy.work import DESCRIBE, LOOK, RENDER, LookOrder, Outfit, render_order

FOR_EVER = float("inf")

Told = TypeVar("Told", Seen, Description)


class Freshness(Struct, frozen=True, forbid_unknown_fields=True):
    """How long what a source said is believed, in seconds."""

    default: Annotated[float, Meta(ge=0, le=31_536_000)] = 86_400.0
    """Lifetime where the source says nothing."""

    floor: Annotated[float, Meta(ge=0, le=31_536_000)] = 60.0
    """No shorter lifetime, whatever the source says."""

    ceiling: Annotated[float, Meta(ge=0, le=31_536_000)] = 31_536_000.0
    """No longer lifetime, whatever the source says."""

    def lifetime(self, said: float | None) -> float:
        return min(max(self.default if said is None else said, self.floor), self.ceiling)


class Answer(Struct, frozen=True):
    """A rendition and what its reader may know of it.

    ``age`` is the time since the source was last asked and ``lifetime`` how long its word holds,
    both in seconds; ``made_at`` is in Unix seconds; ``last_modified`` is the source's own HTTP
    date, or empty.
    """

    rendition: Rendition
    etag: str
    state: Literal["hit", "stale", "miss"]
    age: float
    lifetime: float
    made_at: float
    last_modified: str = ""
    labels: tuple[str, ...] = ()


class Service:
    """Makes renditions and answers questions about originals."""

    def __init__(
        self,
        *,
        source: Source,
        store: Store,
        pool: Pool,
        flights: Flights,
        outfit: Outfit,
        freshness: Freshness,
    ) -> None:
        self._source = source
        self._store = store
        self._pool = pool
        self._flights = flights
        self._outfit = outfit
        self._limits = outfit.limits
        self._freshness = freshness

    async def produce(self, job: Job) -> Answer:
        """The rendition: kept, or made now. Raises a ProxyError where there can be none."""
        found = await self._found(job)
        if found is not None:
            return self._answer(job, found, "hit")
        async with self._deadline():
            made = await self._flights.join(
                f"rendition-{job.key}", partial(self._make, job), look=partial(self._found, job)
            )
        return self._answer(job, made, "miss")

    async def ask(self, source: Reference) -> Seen:
        """Where the eye goes in an original, and how large it is."""
        seen, _ = await self._inquire(LOOK, source)
        return seen

    async def describe(self, source: Reference) -> tuple[Description, Record]:
        """All there is to know of an original, and how long that may be believed."""
        return await self._inquire(DESCRIBE, source)

    async def _inquire(
        self, question: Work[LookOrder, Told], source: Reference
    ) -> tuple[Told, Record]:
        async with self._deadline():
            return await self._flights.join(
                f"{question.name}-{source.key}", partial(self._look, question, source)
            )

    async def _found(self, job: Job) -> tuple[KeptRendition, Record] | None:
        """The kept rendition, if it is still right."""
        rendition = kept.kept_rendition(await self._store.get("rendition", job.key))
        if rendition is None:
            return None
        record = await self._record(job.source)
        if record is None or record.digest != rendition.original or not self._fresh(record):
            return None
        return rendition, record

    async def _make(self, job: Job) -> tuple[KeptRendition, Record]:
        original, record = await self._original(job.source)
        rendition = kept.kept_rendition(await self._store.get("rendition", job.key))
        if rendition is not None and rendition.original == original.digest:
            return rendition, record  # the source was asked and says that nothing has changed
        focus = await self._kept_focus(original)
        also = await self._second_images(job.plan)
        began, begun = time.monotonic(), time.time()
        order = render_order(self._outfit, job.plan, focus, also)
        rendered = await self._pool.run(
            RENDER, order, [original.body, *also.values()], seconds=self._limits.render_seconds
        )
        cost = time.monotonic() - began
        labels = _labels(job, record)
        if rendered.focus is not None:
            await self._keep_focus(original, rendered.focus, labels, cost)
        finished = kept.finished(rendered.rendition, original.digest)
        await self._store.put(
            "rendition", job.key, kept.rendition_entry(finished, labels, cost), begun=begun
        )
        return finished, record

    async def _look(
        self, question: Work[LookOrder, Told], source: Reference
    ) -> tuple[Told, Record]:
        original, record = await self._original(source)
        focus = await self._kept_focus(original)
        began = time.monotonic()
        told = await self._pool.run(
            question,
            LookOrder(self._outfit, focus),
            [original.body],
            seconds=self._limits.render_seconds,
        )
        if focus is None:
            labels = _source_labels(source, record)
            await self._keep_focus(original, told.focus, labels, time.monotonic() - began)
        return told, record

    async def _keep_focus(
        self, original: Original, focus: Focus, labels: tuple[str, ...], cost: float
    ) -> None:
        entry = kept.focus_entry(focus, labels, cost)
        await self._store.put("focus", self._focus_key(original), entry)

    async def _kept_focus(self, original: Original) -> Focus | None:
        return kept.kept_focus(await self._store.get("focus", self._focus_key(original)))

    def _focus_key(self, original: Original) -> str:
        """Other detectors see otherwise: what they saw is kept beside."""
        return digest(original.digest.encode(), self._outfit.sight.encode())

    async def _second_images(self, plan: Plan) -> dict[Address, Blob]:
        addresses = [address for operation in plan for address in operation.also()]
        fetched = await asyncio.gather(*(self._original(address) for address in addresses))
        return {
            address: original.body
            for address, (original, _) in zip(addresses, fetched, strict=True)
        }

    async def _original(self, source: Reference) -> tuple[Original, Record]:
        """The original as the source has it now, fetched once for everybody who needs it."""
        if isinstance(source, Upload):
            return Original(Blob.of(source.body), source.digest), _uploaded(source)
        return await self._flights.join(
            f"original-{source.key}",
            partial(self._fetch, source),
            look=partial(self._kept_original, source),
        )

    async def _kept_original(self, source: Reference) -> tuple[Original, Record] | None:
        record = await self._record(source)
        if record is None or not self._fresh(record):
            return None
        original = kept.kept_original(await self._store.get("original", source.key))
        if original is None or original.digest != record.digest:
            return None
        return original, record

    async def _fetch(self, source: Reference) -> tuple[Original, Record]:
        at_hand = kept.kept_original(await self._store.get("original", source.key))
        began, begun = time.monotonic(), time.time()
        answer = await self._source.fetch(source, at_hand.facts.validators if at_hand else None)
        match answer:
            case Unchanged() if at_hand is not None:
                original = at_hand
            case Unchanged():
                raise SourceFailed("the source says that nothing changed, but was not asked")
            case _:
                original = answer
        record = Record(
            original.digest,
            answer.facts,
            time.time(),
            self._freshness.lifetime(answer.facts.lifetime),
        )
        labels = _source_labels(source, record)
        if original is not at_hand:
            entry = kept.original_entry(original, labels, time.monotonic() - began)
            await self._store.put("original", source.key, entry, begun=begun)
        await self._store.put("record", source.key, kept.record_entry(record, labels), begun=begun)
        return original, record

    async def _record(self, source: Reference) -> Record | None:
        if isinstance(source, Upload):
            return _uploaded(source)
        return kept.kept_record(await self._store.get("record", source.key))

    def _fresh(self, record: Record) -> bool:
        age = time.time() - record.asked_at
        return 0 <= age < record.lifetime  # what was asked in the future is not believed

    def _answer(
        self, job: Job, found: tuple[KeptRendition, Record], state: Literal["hit", "miss"]
    ) -> Answer:
        rendition, record = found
        return Answer(
            rendition=rendition.rendition,
            etag=rendition.etag,
            state=state,
            age=max(0.0, time.time() - record.asked_at),
            lifetime=record.lifetime,
            made_at=rendition.made_at,
            last_modified=record.facts.validators.last_modified,
            labels=_labels(job, record),
        )

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        seconds = self._limits.total_seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            raise TookTooLong(f"this took longer than {seconds:g} seconds in all") from error


def _uploaded(upload: Upload) -> Record:
    """What was sent along is right for ever."""
    return Record(upload.digest, Facts(), time.time(), FOR_EVER)


def _source_labels(source: Reference, record: Record) -> tuple[str, ...]:
    where = (f"source:{source.text}",) if isinstance(source, Address) else ()
    return (*where, *(f"tag:{tag}" for tag in record.facts.tags))


def _labels(job: Job, record: Record) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*_source_labels(job.source, record), *job.delivery.labels)))
