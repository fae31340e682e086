"""The composition root: settings in, an ASGI app out; every object is made here, once."""

import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib import import_module
from pathlib import Path

from starlette.routing import Router
from starlette.types import Lifespan

from proxy.api import admin
from proxy.api.azure.analysis import AzureAnalysis
from proxy.api.azure.vision import AzureVision
from proxy.api.docs import Reference
from proxy.api.fast_path import AtHand
from proxy.api.health import Health
from proxy.api.http.api_keys import Keys
from proxy.api.http.upload_budget import Room
from proxy.api.images import Images, StaleConfig
from proxy.api.metrics import Metrics
from proxy.api.middleware import Observed
from proxy.api.response_cache import Recent
from proxy.api.router import Front
from proxy.api.transform.endpoint import TransformFace, delivery
from proxy.api.transform.queue import Spool
from proxy.api.transform.request import Reader
from proxy.api.transform.webhooks import Webhooks
from proxy.cache.detections import DetectionCache
from proxy.cache.factory import levels
from proxy.cache.negative import Refusals
from proxy.cache.originals import Supply
from proxy.cache.purge import Purging
from proxy.cache.renditions import RenditionCache
from proxy.cache.store import Store
from proxy.config import Settings, TracingConfig, load
from proxy.errors import ConfigError
from proxy.links.native import NativeDialect
from proxy.links.signing import Keyring
from proxy.operations import OPERATIONS
from proxy.operations.plan import Operation, OperationRegistry
from proxy.render.inspector import Inspector
from proxy.render.manager import Renderers
from proxy.render.messages import Outfit
from proxy.render.plan_renderer import PlanRenderer
from proxy.render.pool import Pool
from proxy.render.shared_decodes import Rasters
from proxy.server.runtime_metrics import telling
from proxy.service import ImageService
from proxy.singleflight import SingleFlight
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import ANY_NETWORK, SsrfPolicy
from proxy.sources.router import SourceRouter
from proxy.telemetry.logging import RequestLog, configure
from proxy.telemetry.metrics import Telemetry, Tracing

FACES = ("images", "vision", "analysis", "transform", "admin")
"""What faces are called in metrics and logs."""


class App(Router):
    """The faces, with what they use as long as its lifespan lasts."""

    def __init__(self, front: Front, lifespan: Lifespan["App"], at_hand: AtHand | None) -> None:
        """``at_hand`` is for the server's protocol; every answer can be had without it."""
        super().__init__(default=front, lifespan=lifespan, redirect_slashes=False)
        self.at_hand = at_hand


def create_app(
    settings: Settings,
    *,
    operations: Sequence[type[Operation]] = OPERATIONS,
    renderers: Path | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> App:
    """The app; its lifespan opens and closes all it uses, so whoever mounts it must run that.

    ``renderers`` is the folder of render processes that are shared with other workers; the app
    starts its own where there are none. ``stopping`` tells whether it is about to leave: then it
    is not ready any more.

    Raises:
        ConfigError: the settings contradict each other, or leave the server open.
    """
    settings.check()
    if renderers is None:  # else who started them has looked
        settings.check_libraries()
    native = dialect(settings, operations)
    sources = SourceRouter.from_config(settings.sources, settings.limits)
    store = levels(settings.cache, settings.shared_cache)
    models = settings.models
    own = Renderers(
        settings.render, imports=models.imports(), readable=models.readable_dirs(), log=settings.log
    )
    telemetry = Telemetry(FACES, renderers, tracing(settings.tracing))
    log = RequestLog(settings.log)
    pool = Pool(
        renderers or own.directory,
        queue=settings.render.max_queue,
        queue_seconds=settings.render.queue_timeout_seconds,
        result_bytes=settings.limits.max_result_bytes * 2,
    )
    cdn_dialer = HttpClient(
        SsrfPolicy(allow_nets=ANY_NETWORK)
    )  # to where the operator says, and nowhere else
    purging = Purging(store, settings.cdn.cdns(cdn_dialer))
    flights = SingleFlight(Path(settings.cache.dir).expanduser() / "flights")
    service = create_service(
        origins=Supply(sources, store, flights, settings.freshness),
        store=store,
        pool=pool,
        context=Outfit(settings.limits, models, models.version()),
        flights=flights,
        negative=Refusals(settings.freshness.negative_ttl, time.monotonic),
        shared_dir=renderers,
    )

    catalogue = OperationRegistry(operations, at_most=settings.limits.max_operations)
    webhooks = _webhooks(settings, service, catalogue)

    @asynccontextmanager
    async def lifespan(_: Router) -> AsyncIterator[None]:
        async with AsyncExitStack() as closing:
            if renderers is None:
                await closing.enter_async_context(own)
            closing.push_async_callback(store.close)
            closing.push_async_callback(sources.close)
            closing.push_async_callback(cdn_dialer.close)
            closing.push_async_callback(flights.close)
            closing.push_async_callback(service.close)
            closing.callback(telemetry.close)
            closing.callback(log.flush)
            await closing.enter_async_context(telling(telemetry, pool))
            await closing.enter_async_context(webhooks)
            yield

    observed = partial(
        Observed, telemetry=telemetry, log=log, server_timing=settings.tracing.server_timing
    )
    keys = Keys(settings.api.keys, allow_keyless=settings.api.allow_anonymous)
    recent = Recent(settings.cache.max_memory_bytes)
    grace = StaleConfig(
        int(settings.freshness.stale_while_revalidate),
        int(settings.freshness.stale_if_error),
    )
    links = observed(Images(native, service, grace=grace, recent=recent), "images")
    room = Room(settings.api.max_inflight_upload_bytes)
    vision = AzureVision(service, keys, settings.azure, room)
    analysis = AzureAnalysis(service, keys, settings.azure, room)
    reader = _reader(settings, catalogue)
    transform = TransformFace(service, webhooks, keys, reader, settings.transform, room=room)
    heart = Health(lambda: "stopping" if stopping() else "")
    front = Front(
        {
            **dict.fromkeys(("health", "healthz", "healthcheck"), heart),
            "admin": observed(admin.app(purging, store, Keys(settings.admin.keys)), "admin"),
            "metrics": Metrics(telemetry, store.stats, settings.metrics),
            "vision": observed(vision, "vision"),
            "computervision": observed(analysis, "analysis"),
            "image-transformation": observed(transform, "transform"),
            **dict.fromkeys(("docs", "openapi.json"), Reference(catalogue)),
        },
        links,
    )
    # Where each request is traced or tells its timings, all go the way that does so.
    plain = telemetry.tracing is None and not settings.tracing.server_timing
    return App(front, lifespan, AtHand(recent, links) if plain else None)


def _reader(settings: Settings, catalogue: OperationRegistry) -> Reader:
    return Reader(
        catalogue,
        file_bytes=settings.limits.max_source_bytes,
        allow_http=settings.transform.allow_http,
        allow_http_webhooks=settings.transform.webhook_allow_http,
    )


def _webhooks(settings: Settings, service: ImageService, catalogue: OperationRegistry) -> Webhooks:
    """Receivers are asked as sources are, but are not among the hosts that sources may be."""
    reach = SsrfPolicy(
        allow_nets=settings.sources.allow_nets,
        allow_hosts=settings.transform.webhook_allow_hosts,
        allow_ports=settings.sources.allow_ports,
    )
    return Webhooks(
        service,
        HttpClient(reach, settings.sources),
        Spool(Path(settings.cache.dir).expanduser() / "webhooks"),
        catalogue,
        delivery,
        tries=settings.transform.webhook_max_attempts,
        wait_seconds=settings.transform.webhook_backoff_seconds,
    )


def dialect(
    settings: Settings, operations: Sequence[type[Operation]] = OPERATIONS
) -> NativeDialect:
    """The native dialect as the settings have it. Raises ConfigError for presets that are wrong."""
    links = settings.links
    try:
        return NativeDialect(
            OperationRegistry(operations, at_most=settings.limits.max_operations),
            Keyring.from_hex(links.keys),
            sources=settings.sources.aliases,
            presets=links.presets,
            allow_unsigned=links.allow_unsigned,
            path_bytes=settings.limits.max_url_bytes,
        )
    except ValueError as error:
        raise ConfigError(f"FRAMEKEEP_LINKS_PRESETS: {error}") from error


def tracing(settings: TracingConfig) -> Tracing | None:
    """Where traces go, if anywhere. Raises ConfigError where that is not installed."""
    if not settings.otel:
        return None
    try:
        traces = import_module("proxy.telemetry.tracing")
    except ImportError as error:
        raise ConfigError(
            "FRAMEKEEP_TRACING_OTEL: OpenTelemetry is missing; pip install 'framekeep[otel]'"
        ) from error
    opened: Tracing = traces.Traces()
    return opened


def from_environment(stopping: Callable[[], bool], renderers: Path) -> App:
    """The app of an HTTP worker; see `create_app`."""
    settings = load(os.environ).settings
    configure(settings.log)
    return create_app(settings, renderers=renderers, stopping=stopping)


def create_service(
    *,
    origins: Supply,
    store: Store,
    pool: Pool,
    context: Outfit,
    flights: SingleFlight,
    negative: Refusals,
    shared_dir: Path | None = None,
    clock: Callable[[], float] = time.time,
) -> ImageService:
    """The service on these parts.

    ``shared_dir`` is a folder in which all workers of the machine share decoded originals;
    without it this process shares with itself only. ``clock`` is in Unix seconds.
    Raises OSError where nothing can be written to that folder.
    """
    detections = DetectionCache(store, context.sight)
    inspector = Inspector(
        origins=origins,
        pool=pool,
        context=context,
        flights=flights,
        detections=detections,
        negative=negative,
    )
    decodes = Rasters(pool, context, shared_dir)
    return ImageService(
        renditions=RenditionCache(store, origins),
        origins=origins,
        renderer=PlanRenderer(pool, context, decodes, detections, inspector),
        inspector=inspector,
        flights=flights,
        negative=negative,
        deadline_seconds=context.limits.request_timeout_seconds,
        clock=clock,
    )
