"""The published HTTP APIs, one line each. To add one, write a ``create_api`` and a line here.

The images endpoint is not among them: it has all paths that belong to no API.
"""

from collections.abc import Callable, Iterable

from starlette.types import ASGIApp

from proxy.api import admin, health, metrics
from proxy.api.azure import analysis, vision
from proxy.api.context import Api, ApiContext
from proxy.api.docs import endpoint as docs
from proxy.api.pages import home
from proxy.api.pages.home import ROOT_FILES
from proxy.api.playground import endpoint as playground
from proxy.api.transform import endpoint as transform

HEALTH_SEGMENTS = ("health", "healthz", "healthcheck")
"""Also served at the root where the server has a path prefix: probes know nothing of it."""

AZURE_SERVICES = (
    "anomalydetector",
    "contentmoderator",
    "contentsafety",
    "contentunderstanding",
    "customvision",
    "documentintelligence",
    "face",
    "formrecognizer",
    "language",
    "luis",
    "openai",
    "personalizer",
    "qnamaker",
    "speech",
    "speechtotext",
    "text",
    "translator",
)
"""Services of Azure beside vision: their clients get a 404 of the form that they can read."""

ITERATION_LAYER_SERVICES = (
    "document-extraction",
    "document-generation",
    "document-to-markdown",
    "image-generation",
    "sheet-generation",
    "website-extraction",
)
"""Services of Iteration Layer beside Image Transformation, see `AZURE_SERVICES`."""

APIS = (
    Api("home", ("", *ROOT_FILES), home.create_api, observed=False, cross_origin=False),
    Api("health", HEALTH_SEGMENTS, health.create_api, observed=False, cross_origin=False),
    Api("metrics", ("metrics",), metrics.create_api, observed=False, cross_origin=False),
    Api("docs", ("docs", "openapi.json"), docs.create_api, observed=False),
    Api("playground", ("playground",), playground.create_api, cross_origin=False),
    Api("admin", ("admin",), admin.create_api, cross_origin=False),
    Api("vision", ("vision", *AZURE_SERVICES), vision.create_api),
    Api("analysis", ("computervision",), analysis.create_api),
    Api(
        "transform",
        ("image-transformation", *ITERATION_LAYER_SERVICES),
        transform.create_api,
    ),
)


def mount(
    apis: Iterable[Api],
    context: ApiContext,
    observe: Callable[[ASGIApp, str], ASGIApp],
    allow_origins: Callable[[ASGIApp], ASGIApp] = lambda app: app,
) -> dict[str, ASGIApp]:
    """Create the APIs, by first path segment.

    ``observe`` wraps one for metrics and access log, ``allow_origins`` for web pages.
    Raises ValueError where two APIs have the same segment.
    """
    mounted: dict[str, ASGIApp] = {}
    for api in apis:
        app = api.create(context)
        if api.cross_origin:
            app = allow_origins(app)
        if api.observed:
            app = observe(app, api.name)
        for segment in api.segments:
            if segment in mounted:
                raise ValueError(f"API {api.name!r}: path segment {segment!r} is taken")
            mounted[segment] = app
    return mounted
