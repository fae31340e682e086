"""Prepare a shard: every rendition of its sources, as the server would make it for a request.

A source that fails costs its own rows and nothing else.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Self

from proxy.api.http.cache_control import StaleConfig
from proxy.config import Settings
from proxy.errors import (
    ConfigError,
    NamedError,
    OriginalChanged,
    Overloaded,
    SourceDenied,
    SourceFailed,
    SourceTimedOut,
    SourceUnavailable,
    StoreUnavailable,
)
from proxy.prepare.job import Job, JobLinks, Wanted
from proxy.prepare.manifest import ManifestRow
from proxy.prepare.outputs.caches import LocalCacheOutput, SharedCacheOutput
from proxy.prepare.outputs.files import FileOutput
from proxy.prepare.outputs.output import Output, is_template
from proxy.prepare.report import PreparedRendition, State
from proxy.prepare.service import PrepareParts, open_parts
from proxy.prepare.shards import Shard
from proxy.prepare.storage import open_storage
from proxy.prepare.template import NameTemplate
from proxy.prepare.write_through import WriteThroughCache
from proxy.runtime.caller import Caller, Deadline, serving
from proxy.service import ImageResult

_log = logging.getLogger("framekeep.prepare")

OnRows = Callable[[Sequence[PreparedRendition]], None]
"""Called with the rows of a source when it is done."""

_SOURCES_PER_PROCESS = 6
"""How many sources are worked on for each render process: most of them are being fetched."""

_MAX_PAUSE_SECONDS = 60.0
_MAX_DETAIL_LENGTH = 500


class InternalError(NamedError):
    """Something that should not happen; the log says what."""

    problem_type = "internal-error"


class ShardRenderer:
    def __init__(self, job: Job, links: JobLinks, parts: PrepareParts, output: Output) -> None:
        self._job = job
        self._links = links
        self._parts = parts
        self._output = output
        self._started_at = time.time()
        count = job.concurrency or _SOURCES_PER_PROCESS * parts.settings.render.process_count
        self._places = asyncio.Semaphore(count)

    @classmethod
    @asynccontextmanager
    async def open(cls, job: Job, settings: Settings) -> AsyncIterator[Self]:
        """Open what it needs, render processes included. Raises ConfigError."""
        links = JobLinks.from_settings(job, settings)
        async with open_parts(settings, ttl=job.ttl, shares=job.to == "shared") as parts:
            yield cls(job, links, parts, _open_output(job, parts))

    async def run(
        self, shard: Shard, known: Iterable[PreparedRendition] = (), on_rows: OnRows | None = None
    ) -> list[PreparedRendition]:
        """Return the rows of all sources, in their order.

        ``known`` are rows of before; those that did not fail stay as they are.
        """
        done = {_place(row): row for row in known if row.state != "failed"}
        rows = await asyncio.gather(*(self._run_row(row, done, on_rows) for row in shard.rows))
        return [rendition for renditions in rows for rendition in renditions]

    @property
    def original_bytes(self) -> int:
        """Of all originals that were fetched."""
        return self._parts.originals.fetched_bytes

    async def _run_row(
        self,
        row: ManifestRow,
        known: dict[tuple[str, str, str, str], PreparedRendition],
        on_rows: OnRows | None,
    ) -> list[PreparedRendition]:
        done: dict[tuple[str, str], PreparedRendition] = {}
        for preset, accept in self._links.pairs(row):
            place = row.source, row.version, preset, accept
            if place in known:
                done[preset, accept] = known[place]
        earlier, started_at = frozenset(done), math.inf
        for attempt in range(self._job.attempts):
            async with self._places:
                started_at = min(started_at, time.time())
                pause = await self._try_row(row, done, attempt, started_at)
            if pause is None or attempt == self._job.attempts - 1:
                break
            await asyncio.sleep(pause)
        rows = [done[pair] for pair in self._links.pairs(row)]
        if on_rows is not None:
            on_rows([done[pair] for pair in self._links.pairs(row) if pair not in earlier])
        return rows

    async def _try_row(
        self,
        row: ManifestRow,
        done: dict[tuple[str, str], PreparedRendition],
        attempt: int,
        started_at: float,
    ) -> float | None:
        """Make what is missing; return after how long to try again what failed, if that helps.

        ``started_at`` is when the first attempt began, in Unix seconds.
        """
        pause = None
        try:
            wanted = self._links.requests(row)
            if self._job.revalidate and not attempt:
                await self._revalidate(wanted)
        except NamedError as error:
            for preset, accept in self._links.pairs(row):
                if not _is_done(done.get((preset, accept))):
                    done[preset, accept] = _failed(row, preset, accept, error)
            return self._pause(error, attempt)
        missing = [one for one in wanted if not _is_done(done.get((one.preset, one.accept)))]
        started = time.monotonic()
        try:
            together = await self._render_together(row, missing)
        except NamedError as error:
            for one in missing:
                done[one.preset, one.accept] = _failed(row, one.preset, one.accept, error)
            return self._pause(error, attempt)
        seconds = (time.monotonic() - started) / max(1, len(together))
        for one in missing:
            place = one.preset, one.accept
            result = together.get(one.request.key)
            if result is None and len(missing) > 1:
                self._parts.service.announce(one.request.source)
            names = {known.name for known in done.values() if _is_done(known)}
            try:
                done[place] = await self._make(
                    row, one, names, result, seconds=seconds, started_at=started_at
                )
            except NamedError as error:
                done[place] = _failed(row, *place, error)
                pause = pause or self._pause(error, attempt)
        return pause

    async def _render_together(
        self, row: ManifestRow, missing: Sequence[Wanted]
    ) -> dict[str, ImageResult]:
        """What can be made in one task, by the keys of the requests. Raises a NamedError."""
        try:
            return await self._parts.batches.render(
                [one.request for one in missing], self._caller(row)
            )
        except NamedError:
            raise
        except Exception as error:
            _log.exception("unexpected error (source=%s)", row.source)
            raise InternalError("unexpected error", detail=f"{error!r}") from error

    async def _make(
        self,
        row: ManifestRow,
        wanted: Wanted,
        names: Collection[str],
        result: ImageResult | None,
        *,
        seconds: float,
        started_at: float,
    ) -> PreparedRendition:
        """Store the result, which took so long; without one, make it.

        Raises a NamedError, whatever goes wrong: it must not end the work on other sources.
        """
        started = time.monotonic()
        try:
            with serving(self._caller(row)):
                if result is None:
                    seconds, result = 0.0, await self._get(wanted)
                name = await self._output.store(row, wanted, result, names)
        except NamedError:
            raise
        except Exception as error:
            _log.exception("unexpected error (source=%s)", row.source)
            raise InternalError("unexpected error", detail=f"{error!r}") from error
        # What an attempt made that failed afterwards was not there before, though it is found now.
        state: State = "made" if result.made_at >= started_at else "hit"
        seconds += time.monotonic() - started
        return _prepared(row, wanted, result, state=state, name=name, seconds=seconds)

    async def _get(self, wanted: Wanted) -> ImageResult:
        result = await self._parts.service.get_fresh(wanted.request, "background")
        if result.state == "hit" and self._parts.lifetime is not None:
            for source in wanted.request.sources:
                await self._parts.origins.extend(source, self._parts.lifetime)
        return result

    async def _revalidate(self, wanted: Sequence[Wanted]) -> None:
        """Ask each source once whether its original has changed since the start. Raises."""
        sources = {source for one in wanted for source in one.request.sources}
        for source in sources:
            await self._parts.origins.get_record(source, self._started_at)

    def _caller(self, row: ManifestRow) -> Caller:
        seconds = self._parts.settings.limits.api_request_timeout_seconds
        return Caller(f"prepare {row.source}", Deadline(seconds))

    def _pause(self, error: NamedError, attempt: int) -> float | None:
        """Seconds until another attempt may succeed; None where none will."""
        if isinstance(error, SourceDenied):
            return None
        # The error of a source is cached for so long, and nothing is asked meanwhile.
        backoff = self._parts.settings.cache.error_backoff_seconds * 2.0**attempt + 0.05
        match error:
            case Overloaded() | SourceUnavailable():
                return min(max(float(error.retry_after), backoff), _MAX_PAUSE_SECONDS)
            case SourceFailed() | SourceTimedOut() | StoreUnavailable() | OriginalChanged():
                return min(backoff, _MAX_PAUSE_SECONDS)
            case _:
                return None


def _open_output(job: Job, parts: PrepareParts) -> Output:
    if is_template(job.to):
        template = NameTemplate.parse(job.to)
        cache = parts.settings.cache
        stale = StaleConfig(
            int(cache.stale_while_revalidate), int(cache.stale_if_error), int(cache.ttl_default)
        )
        storage = open_storage(template.location, "--to")
        return FileOutput(storage, template, stale, job.cache_control)
    if job.to == "cache":
        return LocalCacheOutput(parts.cache)
    if not isinstance(parts.cache, WriteThroughCache):
        raise ConfigError("--to shared: FRAMEKEEP_SHARED_CACHE_URL is not set")
    return SharedCacheOutput(parts.cache)


def _is_done(row: PreparedRendition | None) -> bool:
    return row is not None and row.state != "failed"


def _place(row: PreparedRendition) -> tuple[str, str, str, str]:
    return row.source, row.version, row.preset, row.accept


def _prepared(
    row: ManifestRow,
    wanted: Wanted,
    result: ImageResult,
    *,
    state: State,
    name: str,
    seconds: float,
) -> PreparedRendition:
    rendition = result.rendition
    return PreparedRendition(
        source=row.source,
        version=row.version,
        preset=wanted.preset,
        accept=wanted.accept,
        state=state,
        key=wanted.request.key,
        etag=result.etag,
        format=rendition.format,
        width=rendition.size.width,
        height=rendition.size.height,
        bytes=len(rendition.body),
        name=name,
        seconds=round(seconds, 4),
    )


def _failed(row: ManifestRow, preset: str, accept: str, error: NamedError) -> PreparedRendition:
    detail = f"{error}: {error.detail}" if error.detail else str(error)
    return PreparedRendition(
        source=row.source,
        version=row.version,
        preset=preset,
        accept=accept,
        state="failed",
        problem=error.problem_type,
        detail=detail[:_MAX_DETAIL_LENGTH],
    )


def failed_rows(
    shard: Shard, links: JobLinks, problem: str, detail: str, done: Collection[PreparedRendition]
) -> list[PreparedRendition]:
    """The rows of a shard that could not be worked on; those that are done stay."""
    known = {_place(row): row for row in done if row.state != "failed"}
    return [
        known.get((row.source, row.version, preset, accept))
        or PreparedRendition(
            source=row.source,
            version=row.version,
            preset=preset,
            accept=accept,
            state="failed",
            problem=problem,
            detail=detail,
        )
        for row in shard.rows
        for preset, accept in links.pairs(row)
    ]
