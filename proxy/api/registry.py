"""The published HTTP APIs, one line each. To add one, write a ``create_api`` and a line here.

The images endpoint is not among them: it has all paths that belong to no API.
"""

from collections.abc import Callable, Iterable

from starlette.types import ASGIApp

from proxy.api import admin, docs, health, metrics
from proxy.api.azure import analysis, vision
from proxy.api.context import Api, ApiContext
from proxy.api.transform import endpoint as transform

APIS = (
    Api("health", ("health", "healthz", "healthcheck"), health.create_api, observed=False),
    Api("metrics", ("metrics",), metrics.create_api, observed=False),
    Api("docs", ("docs", "openapi.json"), docs.create_api, observed=False),
    Api("admin", ("admin",), admin.create_api),
    Api("vision", ("vision",), vision.create_api),
    Api("analysis", ("computervision",), analysis.create_api),
    Api("transform", ("image-transformation",), transform.create_api),
)


def mount(
    apis: Iterable[Api], context: ApiContext, observe: Callable[[ASGIApp, str], ASGIApp]
) -> dict[str, ASGIApp]:
    """Create the APIs, by first path segment; ``observe`` wraps one for metrics and access log.

    Raises ValueError where two APIs have the same segment.
    """
    mounted: dict[str, ASGIApp] = {}
    for api in apis:
        app = api.create(context)
        if api.observed:
            app = observe(app, api.name)
        for segment in api.segments:
            if segment in mounted:
                raise ValueError(f"API {api.name!r}: path segment {segment!r} is taken")
            mounted[segment] = app
    return mounted
