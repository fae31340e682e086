"""Originals as their sources have them now: kept, or asked for, once for everybody who asks.

What a source said is kept as a record, also where it said no, or nothing at all: a source that is
down is not asked again at once, and what it said before still counts.
"""

import time
from collections.abc import Callable
from functools import partial

from msgspec import Struct

from proxy import errors
from proxy.cache import entries
from proxy.cache.freshness import (
    Expired,
    Fresh,
    FreshnessConfig,
    Record,
    Refusal,
    Refused,
    Stale,
    Verdict,
    confirmed,
    failed,
    judge,
    refused,
    renewed,
)
from proxy.cache.store import Store
from proxy.errors import SourceDenied, SourceError, SourceFailed, SourceTimedOut
from proxy.originals import NotModified, Original, OriginalRef, OriginMetadata, SourceRef, Upload
from proxy.singleflight import SingleFlight
from proxy.sources import Source, require_body
from proxy.telemetry.metrics import fetched, stage, tell

_FOR_EVER = float("inf")


class Standing(Struct, frozen=True):
    """How things stand at a source, as far as we know; ``marked``: when that was softly purged."""

    record: Record | None
    marked: float = 0.0


class Supplied(Struct, frozen=True):
    """An original as its source has it now, and what the source said of it."""

    original: Original
    record: Record


class _Word(Struct, frozen=True):
    """A source's word of now, and the original itself where it is at hand."""

    record: Record
    original: Original | None = None


class Supply:
    """Where originals come from. ``clock`` is in Unix seconds."""

    def __init__(
        self,
        source: Source,
        store: Store,
        flights: SingleFlight,
        rules: FreshnessConfig,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._store = store
        self._flights = flights
        self._rules = rules
        self._clock = clock

    async def standing(self, source: OriginalRef) -> Standing:
        """What is known, without asking."""
        if isinstance(source, Upload):  # what was sent along is right for ever
            return Standing(_uploaded(source, self._clock()))
        entry = await self._store.get("record", source.key)
        return Standing(entries.kept_record(entry), entry.stale_since if entry else 0.0)

    def judge(
        self, source: OriginalRef, standing: Standing, made_of: str | None, marked: float = 0.0
    ) -> Verdict:
        """What may be done with a result that was made of the original of this digest."""
        return judge(
            standing.record,
            key=source.key,
            made_of=made_of,
            marked=max(marked, standing.marked),
            now=self._clock(),
            rules=self._rules,
        )

    async def record(self, source: OriginalRef, marked: float = 0.0) -> Record:
        """The source's word of now, for who may not need the original itself.

        ``marked`` is when a result was softly purged: the source is asked unless it was since.
        Raises a SourceError.
        """
        if isinstance(source, Upload):
            return _uploaded(source, self._clock())
        return (await self._word(source, marked, needed=False)).record

    async def original(self, source: OriginalRef) -> Supplied:
        """The original as the source has it now. Raises a SourceError."""
        if isinstance(source, Upload):
            original = require_body(await self._source.fetch(source))
            return Supplied(original, _uploaded(source, self._clock()))
        try:
            word = await self._word(source, 0.0, needed=True)
        except (SourceFailed, SourceTimedOut) as error:
            stand_in = None if isinstance(error, SourceDenied) else await self._stand_in(source)
            if stand_in is None:
                raise
            return stand_in
        at_hand = word.original
        if at_hand is None and (at_hand := await self._kept(source, word.record.digest)):
            tell("original", "hit")
        if at_hand is None and word.record.refusal is not None:
            raise error_of(word.record.refusal)
        if at_hand is None:
            # Its record outlived it, or who fetched it could not keep it: it is fetched anew.
            word = await self._flights.do(
                f"bytes-{source.key}", partial(self._ask, source, needed=True)
            )
            at_hand = word.original
        if at_hand is None:
            raise SourceFailed("the source says that nothing changed, but was not asked")
        return Supplied(at_hand, word.record)

    async def _stand_in(self, source: SourceRef) -> Supplied | None:
        """What is kept of a source that cannot be had, while that is bearable."""
        standing = await self.standing(source)
        if standing.record is None:
            return None
        match self.judge(source, standing, standing.record.digest):
            case Fresh() | Stale() | Expired(usable=True):
                original = await self._kept(source, standing.record.digest)
                return Supplied(original, standing.record) if original is not None else None
            case _:
                return None

    async def _word(self, source: SourceRef, marked: float, *, needed: bool) -> _Word:
        return await self._flights.do(
            f"original-{source.key}",
            partial(self._ask, source, needed=needed),
            look=partial(self._known, source, marked),
        )

    async def _known(self, source: SourceRef, marked: float) -> _Word | None:
        """What is known well enough not to ask. Raises what the source refused with just now."""
        standing = await self.standing(source)
        digest = standing.record.digest if standing.record else None
        match self.judge(source, standing, digest or None, marked):
            case Fresh() | Stale(due=False):  # the latter was asked just now, and in vain
                return _Word(standing.record) if standing.record else None
            case Refused(refusal):
                raise error_of(refusal)
            case _:
                return None

    async def _kept(self, source: OriginalRef, digest: str) -> Original | None:
        original = entries.kept_original(await self._store.get("original", source.key))
        return original if original is not None and original.digest == digest else None

    async def _ask(self, source: SourceRef, *, needed: bool) -> _Word:
        """Ask the source, with a condition if its answer could be that nothing has changed."""
        before = (await self.standing(source)).record
        at_hand = None
        if before is not None and before.digest and needed:
            at_hand = await self._kept(source, before.digest)
        condition = None
        if before is not None and before.digest and (at_hand is not None or not needed):
            condition = before.facts.validators
        begun, began = self._clock(), time.monotonic()
        try:
            with stage("fetch"):
                answer = await self._source.fetch(source, condition)
        except (SourceFailed, SourceTimedOut) as error:
            told = Refusal(type(error).__name__, str(error))
            record = failed(before, told, self._clock())
            if isinstance(error, SourceDenied):
                record = refused(told, self._clock(), self._rules)
            await self._keep(source, record, begun)
            raise
        except SourceError as error:
            told = Refusal(type(error).__name__, str(error))
            await self._keep(source, refused(told, self._clock(), self._rules), begun)
            raise
        match answer:
            case NotModified(facts) if before is not None and condition is not None:
                record = confirmed(before, facts, self._clock(), self._rules)
                word = _Word(record, at_hand)
                tell("original", "unchanged")
            case NotModified():
                raise SourceFailed("the source says that nothing changed, but was not asked")
            case Original(digest=digest, metadata=facts):
                record = renewed(before, digest, facts, self._clock(), self._rules)
                word = _Word(record, answer)
                tell("original", "miss")
                fetched(answer.body.size)
                entry = entries.original_entry(
                    answer, source_labels(source, record), time.monotonic() - began
                )
                with stage("keep"):
                    await self._store.put("original", source.key, entry, begun=begun)
        await self._keep(source, record, begun)
        return word

    async def _keep(self, source: OriginalRef, record: Record, begun: float) -> None:
        entry = entries.record_entry(record, source_labels(source, record))
        await self._store.put("record", source.key, entry, begun=begun)


def _uploaded(upload: Upload, now: float) -> Record:
    return Record(upload.digest, OriginMetadata(), now, _FOR_EVER)


def error_of(refusal: Refusal) -> SourceError:
    """What a source refused with, raised anew."""
    kind = getattr(errors, refusal.kind, SourceFailed)
    sound = isinstance(kind, type) and issubclass(kind, SourceError)
    return kind(refusal.sentence) if sound else SourceFailed(refusal.sentence)


def source_labels(source: OriginalRef, record: Record) -> tuple[str, ...]:
    """What everything that was made of this source can be purged by."""
    where = (f"source:{source.text}",) if isinstance(source, SourceRef) else ()
    return (*where, *(f"tag:{tag}" for tag in record.facts.tags))
