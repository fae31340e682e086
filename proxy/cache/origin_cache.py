"""Originals from the cache, or from their source: fetched once for all requests that need them.

The last answer of each source is stored as an `OriginRecord`, also if it was an error. So not every
request waits for a source that is down, and what it returned before is still used. Errors of
sources, such as a 404, are cached here (`NegativeHit` in `proxy.cache.freshness`); errors of
images are in `proxy.cache.negative`.
"""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from proxy import errors
from proxy.cache import entries
from proxy.cache.freshness import (
    CachedError,
    Expired,
    Fresh,
    Freshness,
    FreshnessConfig,
    NegativeHit,
    OriginRecord,
    Stale,
    evaluate,
    record_failure,
    record_fetch,
    record_negative_answer,
    record_not_modified,
)
from proxy.cache.store import ByTag, LayeredStore
from proxy.errors import (
    OriginalChanged,
    SourceDenied,
    SourceError,
    SourceFailed,
    SourceTimedOut,
    SourceUnavailable,
    StoreUnavailable,
)
from proxy.originals import NotModified, Original, OriginalRef, OriginMetadata, SourceRef, Upload
from proxy.runtime.singleflight import SingleFlight
from proxy.sources.cache_headers import override_cache_control
from proxy.sources.source import Source, require_body
from proxy.telemetry.request_context import count_fetched_bytes, record_cache, stage

T = TypeVar("T")

_log = logging.getLogger(__name__)


class OriginState(Struct, frozen=True):
    """What is known of an original without a request; ``soft_purged_at`` is of its record."""

    record: OriginRecord | None
    soft_purged_at: float = 0.0


class FetchedOriginal(Struct, frozen=True):
    """An original with its current record."""

    original: Original
    record: OriginRecord

    @property
    def allows_storing(self) -> bool:
        """Whether the source allows to store it, and what is made of it."""
        return self.record.metadata.directives.allows_storing


class _OriginAnswer(Struct, frozen=True):
    """A current record; with the original only if it was read or fetched on the way."""

    record: OriginRecord
    original: Original | None = None


class OriginCache:
    """A cache that fetches what it lacks. ``clock`` is in Unix seconds."""

    def __init__(
        self,
        source: Source,
        store: LayeredStore,
        single_flight: SingleFlight,
        config: FreshnessConfig,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._store = store
        self._single_flight = single_flight
        self._config = config
        self._clock = clock

    async def get_state(self, source: OriginalRef, *, shared: bool = False) -> OriginState:
        """Return what is cached about the original; nothing is requested from the source.

        With ``shared``, also what other machines know. That helps only who has a result that was
        made of the original: without one, the original is fetched anyway.
        """
        if isinstance(source, Upload):
            return OriginState(_upload_record(source, self._clock()))
        read = self._store.get if shared else self._store.get_local
        entry = await read("record", source.key)
        return OriginState(entries.decode_record(entry), entry.soft_purged_at if entry else 0.0)

    def evaluate(
        self,
        source: OriginalRef,
        state: OriginState,
        original_digest: str | None,
        soft_purged_at: float = 0.0,
    ) -> Freshness:
        """Return what may be done with a result that was made of the original of this digest.

        ``soft_purged_at`` is of the result.
        """
        return evaluate(
            state.record,
            key=source.key,
            original_digest=original_digest,
            soft_purged_at=max(soft_purged_at, state.soft_purged_at),
            now=self._clock(),
            config=self._config,
        )

    async def get_record(self, source: OriginalRef, soft_purged_at: float = 0.0) -> OriginRecord:
        """Return a record that is current, without fetching the original if possible.

        The source gets a request if it got none since ``soft_purged_at``. Raises a SourceError.
        """
        if isinstance(source, Upload):
            return _upload_record(source, self._clock())
        return (await self._request_once(source, soft_purged_at, need_body=False)).record

    async def extend(self, source: OriginalRef, cache_control: str) -> None:
        """Treat a source that says nothing about caching as if it had sent this ``Cache-Control``.

        That holds for the original that is cached, from when the source confirmed it.
        """
        started_at = self._clock()
        record = (await self.get_state(source, shared=True)).record
        if isinstance(source, Upload) or record is None or not record.digest:
            return
        if record.metadata.is_silent:
            metadata = override_cache_control(record.metadata, cache_control)
            ttl = self._config.clamp_ttl(metadata)
            await self._store_record(
                source, replace(record, metadata=metadata, ttl=ttl), started_at
            )

    async def get_original(
        self, source: OriginalRef, *, since: float = float("inf")
    ) -> FetchedOriginal:
        """Return the original, from the cache if it is current. Raises a SourceError.

        What the source confirmed ``since`` that time is current, however short its TTL is.
        """
        if isinstance(source, Upload):
            uploaded = require_body(await self._source.fetch(source))
            return FetchedOriginal(uploaded, _upload_record(source, self._clock()))
        try:
            answer = await self._request_once(source, 0.0, need_body=True, since=since)
        except (SourceFailed, SourceTimedOut) as error:
            stale = None if isinstance(error, SourceDenied) else await self._get_stale(source)
            if stale is None:
                raise
            return stale
        original = answer.original
        if original is None and (original := await self._read(source, answer.record.digest)):
            record_cache("original", "hit")
        if original is None and answer.record.error is not None:
            raise restore_error(answer.record.error, self._clock())
        if original is None:
            # It was evicted before its record, or could not be stored by the process that fetched.
            answer = await self._single_flight.do(
                f"bytes-{source.key}", partial(self._request, source, need_body=True)
            )
            original = answer.original
        if original is None:
            raise SourceFailed("source responded with not modified to an unconditional request")
        return FetchedOriginal(original, answer.record)

    async def with_originals(
        self,
        sources: Sequence[OriginalRef],
        use: Callable[[Sequence[FetchedOriginal]], Awaitable[T]],
        *,
        since: float = float("inf"),
    ) -> T:
        """Return what ``use`` returns for the originals; ``since`` is that of `get_original`.

        It is called once more where it raises OriginalChanged. Raises a SourceError, and what
        ``use`` raises.
        """
        get = partial(self.get_original, since=since)
        try:
            return await use(await asyncio.gather(*map(get, sources)))
        except OriginalChanged:
            # The cache checks a file when it opens it, so this is another one.
            return await use(await asyncio.gather(*map(get, sources)))

    async def _get_stale(self, source: SourceRef) -> FetchedOriginal | None:
        """Return the cached original of a source that does not answer, if it may still be used."""
        state = await self.get_state(source)
        if state.record is None:
            return None
        match self.evaluate(source, state, state.record.digest):
            case Fresh() | Stale() | Expired(usable_on_error=True):
                original = await self._read(source, state.record.digest)
                return FetchedOriginal(original, state.record) if original is not None else None
            case _:
                return None

    async def _request_once(
        self,
        source: SourceRef,
        soft_purged_at: float,
        *,
        need_body: bool,
        since: float = float("inf"),
    ) -> _OriginAnswer:
        """Request the original from its source if needed, once for all callers."""
        return await self._single_flight.do(
            f"original-{source.key}",
            partial(self._request, source, need_body=need_body),
            recheck=partial(self._get_current, source, soft_purged_at, since),
        )

    async def _get_current(
        self, source: SourceRef, soft_purged_at: float, since: float
    ) -> _OriginAnswer | None:
        """Return the cached answer or raise the cached error; None if a request is needed."""
        state = await self.get_state(source)
        digest = state.record.digest if state.record else None
        if state.record and state.record.is_validated_since(max(since, state.soft_purged_at)):
            return _OriginAnswer(state.record)
        match self.evaluate(source, state, digest or None, soft_purged_at):
            case Fresh() | Stale(revalidate=False):  # stale: the source failed a moment ago
                return _OriginAnswer(state.record) if state.record else None
            case NegativeHit(error):
                raise restore_error(error, self._clock())
            case _:
                return None

    async def _read(self, source: OriginalRef, digest: str) -> Original | None:
        """Return the original from the store, if it has this digest."""
        original = entries.decode_original(await self._store.get("original", source.key))
        return original if original is not None and original.digest == digest else None

    async def _request(self, source: SourceRef, *, need_body: bool) -> _OriginAnswer:
        """Send one request, conditional if a 304 would do, and store the answer."""
        before = (await self.get_state(source)).record
        cached = None
        if before is not None and before.digest and need_body:
            cached = await self._read(source, before.digest)
        validators = None
        if before is not None and before.digest and (cached is not None or not need_body):
            validators = before.metadata.validators
        started_at, started = self._clock(), time.monotonic()
        try:
            with stage("fetch"):
                response = await self._source.fetch(source, validators)
        except SourceError as error:
            await self._store_record(source, self._record_error(before, error), started_at)
            raise
        match response:
            case NotModified(metadata) if before is not None and validators is not None:
                record = record_not_modified(before, metadata, self._clock(), self._config)
                answer = _OriginAnswer(record, cached)
                record_cache("original", "revalidated")
            case NotModified():
                raise SourceFailed("source responded with not modified to an unconditional request")
            case Original(digest=digest, metadata=metadata):
                record = record_fetch(before, digest, metadata, self._clock(), self._config)
                answer = _OriginAnswer(record, response)
                record_cache("original", "miss")
                count_fetched_bytes(response.body.size)
                cost = time.monotonic() - started
                entry = entries.encode_original(response, source_tags(source, record), cost)
                if metadata.directives.allows_storing:
                    with stage("cache_write"):
                        await self._store.put("original", source.key, entry, started_at=started_at)
        if record.metadata.directives.allows_storing:
            await self._store_record(source, record, started_at)
        elif before is not None:
            await self._forget(source)
        return answer

    async def _forget(self, source: SourceRef) -> None:
        """Remove what was stored of a source whose answers must not be stored any more."""
        for tag in url_tags(source):
            try:
                await self._store.purge(ByTag(tag))
            except StoreUnavailable as error:
                _log.warning("purge of a private source failed: %s %s", error, error.detail)

    def _record_error(self, before: OriginRecord | None, error: SourceError) -> OriginRecord:
        retry_after = error.retry_after if isinstance(error, SourceUnavailable) else 0
        retry_at = self._clock() + retry_after if retry_after else 0.0
        cached_error = CachedError(type(error).__name__, str(error), retry_at)
        did_not_answer = isinstance(error, SourceFailed | SourceTimedOut)
        if did_not_answer and not isinstance(error, SourceDenied):
            return record_failure(before, cached_error, self._clock())
        return record_negative_answer(cached_error, self._clock(), self._config)

    async def _store_record(
        self, source: OriginalRef, record: OriginRecord, started_at: float
    ) -> None:
        entry = entries.encode_record(record, source_tags(source, record))
        await self._store.put("record", source.key, entry, started_at=started_at)


def _upload_record(upload: Upload, now: float) -> OriginRecord:
    return OriginRecord(upload.digest, OriginMetadata(), now, ttl=float("inf"))


def restore_error(cached: CachedError, now: float) -> SourceError:
    """Return the error that was cached, as a new exception."""
    error_type = getattr(errors, cached.error_type, SourceFailed)
    if isinstance(error_type, type) and issubclass(error_type, SourceUnavailable):
        return error_type(cached.message, retry_after=max(1, math.ceil(cached.retry_at - now)))
    if isinstance(error_type, type) and issubclass(error_type, SourceError):
        return error_type(cached.message)
    return SourceFailed(cached.message)


def url_tags(source: OriginalRef) -> tuple[str, ...]:
    """Return the tag of the source's URL or path; an upload has none."""
    return (f"source:{source.text}",) if isinstance(source, SourceRef) else ()


def source_tags(source: OriginalRef, record: OriginRecord) -> tuple[str, ...]:
    """Return the tags of everything that is made of this source: its own, and its URL."""
    return (*url_tags(source), *(f"tag:{tag}" for tag in record.metadata.tags))
