"""The parts of the server that render, without HTTP: opened for one process that prepares."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

from msgspec.structs import replace

from proxy.app import create_service, open_pool, open_render_processes
from proxy.cache.detections import DetectionCache
from proxy.cache.factory import open_cache
from proxy.cache.host_pauses import CachedHostPauses
from proxy.cache.negative import NegativeCache
from proxy.cache.origin_cache import OriginCache
from proxy.cache.renditions import RenditionCache
from proxy.cache.store import Cache
from proxy.config import Settings
from proxy.errors import ConfigError
from proxy.prepare.batches import BatchRenderer
from proxy.prepare.lifetime import LastingSource, lifetime_header
from proxy.prepare.recent_originals import RecentOriginals
from proxy.prepare.write_through import WriteThroughCache
from proxy.render.tasks import RenderContext
from proxy.runtime.background import BackgroundTasks
from proxy.runtime.singleflight import SingleFlight
from proxy.service import ImageService
from proxy.smartcrop.registry import DETECTORS, detector_version
from proxy.sources.router import SourceRouter
from proxy.sources.source import Source

_READ_TIMEOUT_SECONDS = 10.0
_BACKOFF_SECONDS = 1.0


class PrepareParts(NamedTuple):
    """What prepares. ``cache`` writes through to the bucket where there is one.

    ``lifetime`` is the ``Cache-Control`` of originals that come with none, where it is not that of
    the settings.
    """

    service: ImageService
    batches: BatchRenderer
    originals: RecentOriginals
    origins: OriginCache
    cache: Cache
    settings: Settings
    lifetime: str | None


@asynccontextmanager
async def open_parts(
    settings: Settings, *, ttl: float | None, shares: bool
) -> AsyncIterator[PrepareParts]:
    """Open them, with render processes of their own that serve nobody else.

    ``ttl`` takes the place of the setting for originals whose source names none, in seconds. The
    bucket is used only if ``shares`` says so. Raises ConfigError.
    """
    settings.validate()
    # Nobody waits for an answer, and what the bucket has costs less than to make it again.
    shared = replace(
        settings.shared_cache,
        url=settings.shared_cache.url if shares else "",
        read_timeout_seconds=_READ_TIMEOUT_SECONDS,
        backoff_seconds=_BACKOFF_SECONDS,
    )
    # That a render process was replaced is of no interest to whoever waits for the end.
    log = replace(settings.log, level="error" if settings.log.level == "error" else "warning")
    background = BackgroundTasks()
    async with AsyncExitStack() as stack:
        try:
            cache = open_cache(
                settings.cache, shared, background=background, shared_kind=WriteThroughCache
            )
        except ValueError as error:
            raise ConfigError(f"FRAMEKEEP_SHARED_CACHE_URL: {error}") from error
        sources = SourceRouter.from_config(
            settings.sources, settings.limits, pauses=CachedHostPauses(cache)
        )
        processes = await stack.enter_async_context(
            open_render_processes(replace(settings, log=log), reserve_first=False)
        )
        pool = open_pool(settings, processes.directory, reserve_first=False)
        single_flight = SingleFlight(settings.cache.directory() / "flights", written=cache.written)
        source: Source = sources
        lifetime = None if ttl is None else lifetime_header(ttl, settings.cache)
        if lifetime is not None:
            source = LastingSource(sources, lifetime)
        originals = RecentOriginals(cache)
        origins = OriginCache(source, originals, single_flight, settings.cache)
        version = detector_version(settings.models, DETECTORS)
        context = RenderContext(settings.limits, settings.models, version, DETECTORS)
        service = create_service(
            origins=origins,
            cache=cache,
            pool=pool,
            context=context,
            single_flight=single_flight,
            negative=NegativeCache(settings.cache.negative_ttl, time.monotonic),
            shared_dir=processes.directory,
            background=background,
        )
        batches = BatchRenderer(
            renditions=RenditionCache(cache, origins, version),
            origins=origins,
            detections=DetectionCache(cache, version),
            pool=pool,
            context=context,
        )
        for opened in (background, cache, sources, single_flight, service):
            stack.push_async_callback(opened.close)
        yield PrepareParts(service, batches, originals, origins, cache, settings, lifetime)
