"""Build the ASGI app of one API from Starlette routes."""

from collections.abc import Callable, Sequence

from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.api.http.error_middleware import ErrorMiddleware, ErrorResponse, NewRequestId
from proxy.api.http.request_id import request_id


def api_router(
    routes: Sequence[BaseRoute],
    error_response: ErrorResponse,
    *,
    new_request_id: NewRequestId = request_id,
    normalize_path: Callable[[str], str] = lambda path: path,
    exact_path: bool = False,
) -> Router:
    """Return an app in which every exception becomes a response through ``error_response``.

    ``normalize_path`` makes the path that the routes are matched with. Where ``exact_path``, it
    begins with the path as it was sent, without decoding: `%2F` in it is no slash.
    """
    return Router(
        routes,
        redirect_slashes=False,
        middleware=[
            Middleware(_NormalizePath, normalize_path, exact_path=exact_path),
            Middleware(ErrorMiddleware, error_response, new_request_id),
        ],
    )


def collapse_slashes(path: str) -> str:
    """Return ``/a/b`` for ``//a///b/``: clients join base URL and path with too many slashes."""
    return "/" + "/".join(segment for segment in path.split("/") if segment)


class _NormalizePath:
    def __init__(
        self, app: ASGIApp, normalize_path: Callable[[str], str], *, exact_path: bool
    ) -> None:
        self._app = app
        self._normalize_path = normalize_path
        self._exact_path = exact_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["raw_path"].decode("latin-1") if self._exact_path else scope["path"]
        scope = {**scope, "path": self._normalize_path(path)}
        await self._app(scope, receive, send)
