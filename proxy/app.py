"""The composition root: settings in, an ASGI app out; every object is made here, once."""

import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import astuple
from starlette.routing import Router
from starlette.types import ASGIApp, Lifespan

from proxy.api.context import Api, ApiContext
from proxy.api.fast_path import FastPath
from proxy.api.health import health_paths
from proxy.api.http.accept import negotiation
from proxy.api.http.api_keys import ApiKeys
from proxy.api.http.cache_control import StaleConfig
from proxy.api.http.cors import CorsPolicy, allow_origins
from proxy.api.http.source_policy import ApiImageService, ApiSourcePolicy
from proxy.api.http.uploads import Uploads
from proxy.api.images import ImagesEndpoint
from proxy.api.middleware import AccessLogMiddleware
from proxy.api.pages.home import ROOT_FILES
from proxy.api.registry import APIS, HEALTH_SEGMENTS, mount
from proxy.api.response_cache import ResponseCache
from proxy.api.router import FirstSegmentRouter, below_prefix, outside_prefix
from proxy.cache.cdn import open_cdns
from proxy.cache.cdn.protocol import CDN
from proxy.cache.check import CHECK_SECONDS, CacheCheck
from proxy.cache.detections import DetectionCache
from proxy.cache.factory import open_cache
from proxy.cache.host_pauses import CachedHostPauses
from proxy.cache.negative import NegativeCache
from proxy.cache.origin_cache import OriginCache
from proxy.cache.peers import PurgePeers
from proxy.cache.purge import PurgeService
from proxy.cache.renditions import RenditionCache
from proxy.cache.store import Cache, Store
from proxy.config import Settings, load
from proxy.errors import ConfigError
from proxy.links import DIALECTS
from proxy.links.dialect import DialectFactory
from proxy.links.mounts import MountedDialects
from proxy.operations import OPERATIONS
from proxy.operations.operation import Operation
from proxy.operations.registry import OperationRegistry
from proxy.render.header_reader import HeaderReader
from proxy.render.inspector import Inspector
from proxy.render.manager import RenderProcessManager
from proxy.render.optimizer import Optimizer
from proxy.render.plan_renderer import PlanRenderer
from proxy.render.pool import RenderPool
from proxy.render.request_counts import RequestCounts
from proxy.render.shared_decodes import SharedDecodes
from proxy.render.tasks import RenderContext
from proxy.runtime.background import BackgroundTasks, cancel
from proxy.runtime.components import HasComponents
from proxy.runtime.singleflight import SingleFlight
from proxy.server.components import server_components
from proxy.server.runtime_metrics import report_runtime_metrics
from proxy.service import ImageService
from proxy.smartcrop.registry import DETECTORS, DetectorSpec, detector_imports, detector_version
from proxy.sources import SOURCES
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import ANY_NETWORK, SsrfPolicy
from proxy.sources.router import SourceRouter
from proxy.sources.source import SourceFactory
from proxy.telemetry.access_log import AccessLog
from proxy.telemetry.factory import open_tracing
from proxy.telemetry.logging import configure
from proxy.telemetry.metrics import Metrics


class Extensions(NamedTuple):
    """What you add to the app from outside the package.

    ``FRAMEKEEP_LINKS_MOUNTS`` mounts ``dialects`` by name; the URL scheme of an alias chooses from
    ``sources``; ``store`` replaces the disk.
    """

    operations: Sequence[type[Operation]] = ()
    dialects: Mapping[str, DialectFactory] = {}
    sources: Mapping[str, SourceFactory] = {}
    store: Store | None = None
    cdns: Sequence[CDN] = ()
    detectors: Sequence[DetectorSpec] = ()
    apis: Sequence[Api] = ()


NO_EXTENSIONS = Extensions()


class App(Router):
    """The routes, with everything that is open while the app's lifespan lasts."""

    def __init__(
        self,
        routes: ASGIApp,
        lifespan: Lifespan["App"],
        fast_path: FastPath | None,
        health_paths: frozenset[bytes],
    ) -> None:
        """``fast_path`` answers hits for `proxy.server`; the routes can answer them too.

        Requests for ``health_paths`` are answered however many connections are open.
        """
        super().__init__(default=routes, lifespan=lifespan, redirect_slashes=False)
        self.fast_path = fast_path
        self.health_paths = health_paths


def create_app(
    settings: Settings,
    *,
    extensions: Extensions = NO_EXTENSIONS,
    render_dir: Path | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> App:
    """Create the ASGI app. Its lifespan opens and closes what it uses, so the server must run it.

    ``render_dir`` is the directory of render processes that are shared with other workers; without
    it the app starts its own. ``stopping`` says whether this worker is draining, and so not ready.

    Raises:
        ConfigError: the settings contradict each other, or leave the server open.
    """
    settings.validate()
    operations = OperationRegistry(
        (*OPERATIONS, *extensions.operations), max_operations=settings.limits.max_operations
    )
    dialects = open_dialects(settings, operations, {**DIALECTS, **extensions.dialects})
    detectors = (*extensions.detectors, *DETECTORS)
    background = BackgroundTasks()
    client = HttpClient(SsrfPolicy(allow_nets=ANY_NETWORK))  # the operator names its hosts
    peers = PurgePeers(
        settings.shared,
        client,
        background,
        port=settings.server.port,
        path_prefix=settings.server.path_prefix,
    )
    cache = open_cache(
        settings.cache, settings.shared_cache, extensions.store, peers=peers, background=background
    )
    sources = SourceRouter.from_config(
        settings.sources,
        settings.limits,
        sources={**SOURCES, **extensions.sources},
        pauses=CachedHostPauses(cache),
    )
    cache_check = CacheCheck(cache)
    preload = {operation.__module__ for operation in extensions.operations}
    own_processes = open_render_processes(settings, detectors, preload=preload)
    pool = open_pool(settings, render_dir or own_processes.directory)
    purging = PurgeService(
        cache,
        (*open_cdns(settings.cdn, client), *extensions.cdns),
        background=background,
    )
    single_flight = SingleFlight(settings.cache.directory() / "flights", written=cache.written)
    optimizer = Optimizer(
        settings.optimization,
        pool,
        RequestCounts(render_dir / "request-counts" if render_dir else None),
        background,
        stopping=stopping,
    )
    service = create_service(
        origins=OriginCache(sources, cache, single_flight, settings.cache),
        cache=cache,
        pool=pool,
        context=RenderContext(
            settings.limits,
            settings.models,
            detector_version(settings.models, detectors),
            detectors,
        ),
        single_flight=single_flight,
        negative=NegativeCache(settings.cache.negative_ttl, time.monotonic),
        shared_dir=render_dir,
        background=background,
        optimizer=optimizer,
    )
    components = {
        **server_components(render_dir or own_processes.directory),
        **cache_check.components,
        **(cache.components if isinstance(cache, HasComponents) else {}),
    }
    apis = (*APIS, *extensions.apis)
    metrics = Metrics(
        ("images", *(api.name for api in apis if api.observed)), dialects=dialects.names
    )
    tracing = open_tracing(settings.tracing)
    access_log = AccessLog(settings.log)
    opened_by_apis: list[AbstractAsyncContextManager[object]] = []

    @asynccontextmanager
    async def lifespan(_: Router) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if render_dir is None:
                await stack.enter_async_context(own_processes)
            # First, so that it also reports what happens while the others are closed.
            await stack.enter_async_context(
                report_runtime_metrics(
                    metrics, pool, background, components, cache, optimizer=optimizer
                )
            )
            for opened in (background, client, cache, sources, purging, single_flight, service):
                stack.push_async_callback(opened.close)
            if tracing is not None:
                stack.callback(tracing.shutdown)
            stack.callback(access_log.close)
            check = background.repeat("cache_check", cache_check.check, every_seconds=CHECK_SECONDS)
            stack.push_async_callback(cancel, check)
            for resource in opened_by_apis:
                await stack.enter_async_context(resource)
            yield

    observe = partial(
        AccessLogMiddleware,
        metrics=metrics,
        access_log=access_log,
        tracing=tracing,
        server_timing=settings.tracing.server_timing,
    )
    response_cache = ResponseCache(
        settings.cache.max_memory_bytes,
        negotiate=negotiation(settings.links.auto_formats),
    )
    cors = CorsPolicy(settings.server.allow_origins)
    readable = partial(allow_origins, policy=cors)
    images = observe(
        readable(
            ImagesEndpoint(
                dialects,
                service,
                deadline_seconds=settings.limits.request_timeout_seconds,
                stale=StaleConfig(
                    int(settings.cache.stale_while_revalidate),
                    int(settings.cache.stale_if_error),
                    int(settings.cache.ttl_default),
                ),
                cache=response_cache,
                fallbacks=dialects.fallbacks,
                cors=cors,
                path_prefix=settings.server.path_prefix,
                tag_headers=settings.cdn.tag_headers,
            )
        ),
        "images",
    )
    context = ApiContext(
        service=ApiImageService(service, ApiSourcePolicy(settings.api.allow_aliases)),
        operations=operations,
        dialects=dialects,
        cache=cache,
        purging=purging,
        metrics=metrics,
        keys=ApiKeys(settings.api.keys, allow_anonymous=settings.api.allow_anonymous),
        uploads=Uploads(
            settings.cache.directory(),
            max_bytes=settings.api.max_inflight_upload_bytes,
            deadline_seconds=settings.limits.api_request_timeout_seconds,
        ),
        settings=settings,
        not_ready=lambda: "stopping" if stopping() else "",
        components=components,
        background=background,
        open_with_app=opened_by_apis.append,
    )
    mounted = mount(apis, context, observe, readable)
    if taken := dialects.prefixes & mounted.keys():
        raise ConfigError(f"FRAMEKEEP_LINKS_MOUNTS: {min(taken)!r} is the path of an API")
    # A traced or timed request must take the way that records its stages.
    fast_path = (
        None
        if tracing is not None or settings.tracing.server_timing
        else FastPath(response_cache, images, metrics, cors=cors)
    )
    routes = below_prefix(
        settings.server.path_prefix,
        FirstSegmentRouter(mounted, images),
        images,
        (*HEALTH_SEGMENTS, *ROOT_FILES),
        elsewhere=observe(readable(outside_prefix(settings.server.path_prefix)), "images"),
    )
    return App(routes, lifespan, fast_path, health_paths(settings.server.path_prefix))


def open_dialects(
    settings: Settings,
    operations: OperationRegistry | None = None,
    dialects: Mapping[str, DialectFactory] = DIALECTS,
) -> MountedDialects:
    """The dialects that the settings mount, as one. Raises ConfigError."""
    return MountedDialects.from_config(
        settings.links,
        operations or OperationRegistry(OPERATIONS, max_operations=settings.limits.max_operations),
        aliases=settings.sources.aliases,
        limits=settings.limits,
        dialects=dialects,
        path_prefix=settings.server.path_prefix,
        sections=astuple(settings),
    )


def open_render_processes(
    settings: Settings,
    detectors: Sequence[DetectorSpec] = DETECTORS,
    *,
    preload: Collection[str] = (),
    reserve_first: bool = True,
) -> RenderProcessManager:
    """The render processes, not started. They read no other modules than these later on."""
    return RenderProcessManager(
        settings.render,
        preload=(*detector_imports(settings.models, detectors), *preload),
        readable_paths=settings.models.readable_dirs(),
        log=settings.log,
        runtime_dir=settings.runtime.directory(),
        task_seconds=settings.limits.render_wall_timeout_seconds,
        reserve_first=reserve_first,
    )


def open_pool(settings: Settings, directory: Path, *, reserve_first: bool = True) -> RenderPool:
    """What sends tasks to the render processes in this directory."""
    return RenderPool(
        directory,
        process_count=settings.render.process_count,
        max_result_bytes=settings.limits.max_result_bytes * 2,
        wall_seconds=settings.limits.render_wall_timeout_seconds,
        reserve_first=reserve_first,
    )


def from_environment(stopping: Callable[[], bool], render_dir: Path) -> App:
    """The app of an HTTP worker; see `create_app`."""
    settings = load(os.environ).settings
    configure(settings.log)
    return create_app(settings, render_dir=render_dir, stopping=stopping)


def create_service(
    *,
    origins: OriginCache,
    cache: Cache,
    pool: RenderPool,
    context: RenderContext,
    single_flight: SingleFlight,
    negative: NegativeCache,
    shared_dir: Path | None = None,
    background: BackgroundTasks | None = None,
    optimizer: Optimizer | None = None,
    clock: Callable[[], float] = time.time,
) -> ImageService:
    """Create the service. ``clock`` is in Unix seconds.

    In ``shared_dir`` all workers of the machine share decoded originals; without it this process
    shares with itself only. Raises OSError where nothing can be written to that directory.
    """
    detections = DetectionCache(cache, context.detector_version)
    headers = HeaderReader(pool, single_flight, negative)
    inspector = Inspector(
        origins=origins,
        pool=pool,
        context=context,
        single_flight=single_flight,
        detections=detections,
        negative=negative,
        headers=headers,
    )
    decodes = SharedDecodes(pool, context, headers, shared_dir)
    return ImageService(
        renditions=RenditionCache(cache, origins, context.detector_version),
        origins=origins,
        renderer=PlanRenderer(
            pool=pool,
            context=context,
            decodes=decodes,
            detections=detections,
            inspector=inspector,
            headers=headers,
        ),
        inspector=inspector,
        single_flight=single_flight,
        negative=negative,
        deadline_seconds=context.limits.api_request_timeout_seconds,
        background=background,
        optimizer=optimizer,
        clock=clock,
    )
