"""The health API: whether this worker is alive, and whether it should receive requests.

``/health/live`` answers as long as the event loop runs; without an answer, restart the process.
``/health/ready``, also as ``/health``, ``/healthz`` and ``/healthcheck``, answers 503 with the
reason while the server shuts down or cannot work. Its body has a line for each component. One that
is degraded costs time or money, but does not make requests fail: the answer stays 200.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy.api.context import ApiContext
from proxy.api.http.problems import error_headers, html_safe_json
from proxy.api.http.routing import api_router
from proxy.runtime.components import NO_COMPONENTS, Components, ComponentStatus
from proxy.telemetry.logging import redact

LIVE = "/health/live"
READY = ("/health/ready", "/health", "/healthz", "/healthcheck")


def health_paths(path_prefix: str) -> frozenset[bytes]:
    """Return the paths at which health checks are answered, as they are sent."""
    return frozenset(
        f"{prefix}{path}".encode() for prefix in ("", path_prefix) for path in (LIVE, *READY)
    )


def create_api(context: ApiContext) -> ASGIApp:
    return health_api(context.not_ready, context.components)


def health_api(not_ready: Callable[[], str], components: Components = NO_COMPONENTS) -> ASGIApp:
    """``not_ready`` returns why the worker should not receive requests whatever they say, or ""."""

    async def live(_: Request) -> Response:
        return _respond(HTTPStatus.OK, "ok")

    async def ready(_: Request) -> Response:
        text, looks = readiness(not_ready, components)
        ok = text in {"ok", "degraded"}
        return _respond(
            HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE,
            text,
            {name: _line(status) for name, status in looks.items()},
        )

    return api_router([Route(LIVE, live), *(Route(path, ready) for path in READY)], _error_response)


def readiness(
    not_ready: Callable[[], str], components: Components
) -> tuple[str, dict[str, ComponentStatus]]:
    """Return the state in one word, such as ``ok`` or ``degraded``, and that of each component."""
    looks = {name: look() for name, look in components.items()}
    states = {status.state for status in looks.values()}
    worst = next(state for state in ("down", "degraded", "ok") if state in {*states, "ok"})
    return not_ready() or worst, looks


def _error_response(_: Request, error: Exception) -> Response:
    match error:
        case HTTPException(status_code=404):
            text = "not found: health checks are /health/live and /health/ready"
        case HTTPException(status_code=405):
            text = "method not allowed: health checks accept GET and HEAD"
        case _:
            return _respond(HTTPStatus.INTERNAL_SERVER_ERROR, "internal server error")
    response = _respond(error.status_code, text)
    response.headers.update(error_headers(error))
    return response


def _line(status: ComponentStatus) -> str:
    return redact(f"{status.state}: {status.detail}") if status.detail else status.state


def _respond(status: int, text: str, components: Mapping[str, str] | None = None) -> Response:
    body = {"status": text} if components is None else {"status": text, "components": components}
    return Response(
        html_safe_json(body),
        status,
        {
            "content-type": "application/json",
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        },
    )
