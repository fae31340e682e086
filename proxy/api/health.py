"""The health API: whether this worker is alive, and whether it should receive requests.

``/health/live`` answers as long as the event loop runs; without an answer, restart the process.
``/health/ready``, also as ``/health``, ``/healthz`` and ``/healthcheck``, answers 503 with the
reason while the server shuts down or cannot work.
"""

from collections.abc import Callable
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy.api.context import ApiContext
from proxy.api.http.problems import error_headers, html_safe_json
from proxy.api.http.routing import api_router

LIVE = "/health/live"
READY = ("/health/ready", "/health", "/healthz", "/healthcheck")


def create_api(context: ApiContext) -> ASGIApp:
    return health_api(context.not_ready)


def health_api(not_ready: Callable[[], str]) -> ASGIApp:
    """``not_ready`` returns why the worker should not receive requests; empty where it should."""

    async def live(_: Request) -> Response:
        return _respond(HTTPStatus.OK, "ok")

    async def ready(_: Request) -> Response:
        reason = not_ready()
        return _respond(HTTPStatus.SERVICE_UNAVAILABLE if reason else HTTPStatus.OK, reason or "ok")

    return api_router([Route(LIVE, live), *(Route(path, ready) for path in READY)], _error_response)


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


def _respond(status: int, text: str) -> Response:
    return Response(
        html_safe_json({"status": text}),
        status,
        {
            "content-type": "application/json",
            "cache-control": "no-store",
            "x-content-type-options": "nosniff",
        },
    )
