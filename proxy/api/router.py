"""Choose the API of a request by the first segment of its path."""

from collections.abc import Collection, Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.api.http.error_page import page_or_problem
from proxy.api.http.routing import api_router
from proxy.errors import ConfigError


class FirstSegmentRouter:
    def __init__(self, apis: Mapping[str, ASGIApp], default: ASGIApp) -> None:
        """``apis`` are by lower-case segment; no signature of an image URL is as short as these.

        Slashes in front do not count, as clients join base URL and path with too many; the API
        sees the path as it came. The raw path decides: in the decoded one, `%2F` and `/` are the
        same, and a proxy in front that blocks a path may have looked at the other.
        """
        self._apis = dict(apis)
        self._default = default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.find(scope["raw_path"])(scope, receive, send)

    def find(self, raw_path: bytes) -> ASGIApp:
        return self._apis.get(_first_segment(raw_path), self._default)


class PathPrefixRouter:
    """Serves everything below a path prefix, and some APIs at the root too.

    APIs get the path without the prefix. Links get it as it was sent: the dialects cut the prefix
    off and put it in front of the links that they build. ASGI's ``root_path`` is not used: it
    would be for a proxy in front that cuts the prefix off.
    """

    def __init__(
        self,
        router: FirstSegmentRouter,
        links: ASGIApp,
        prefix: str,
        at_root: Collection[str],
        elsewhere: ASGIApp,
    ) -> None:
        """``links`` is the router's default, ``elsewhere`` gets what is not below the prefix.

        ``at_root`` are the first segments that are also served at the root.
        """
        self._router = router
        self._links = links
        self._prefix = prefix
        self._at_root = frozenset(at_root)
        self._elsewhere = elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw_path = b"/" + scope["raw_path"].lstrip(b"/")
        if not (raw_path + b"/").startswith(f"{self._prefix}/".encode()):
            is_at_root = _first_segment(raw_path) in self._at_root
            app = self._router if is_at_root else self._elsewhere
            await app(scope, receive, send)
            return
        inner_path = raw_path[len(self._prefix) :] or b"/"
        app = self._router.find(inner_path)
        if app is not self._links:
            # The prefix has no escapes, so it is as long in both.
            path = f"/{scope['path'].lstrip('/')}"[len(self._prefix) :] or "/"
            scope = {**scope, "path": path, "raw_path": inner_path}
        await app(scope, receive, send)


def below_prefix(
    prefix: str,
    router: FirstSegmentRouter,
    links: ASGIApp,
    at_root: Collection[str],
    elsewhere: ASGIApp,
) -> ASGIApp:
    """Put the router below the prefix, if there is one; see `PathPrefixRouter`.

    Raises ConfigError for a prefix that hides what is served at the root.
    """
    if not prefix:
        return router
    if _first_segment(prefix.encode()) in at_root:
        raise ConfigError(
            f"FRAMEKEEP_SERVER_PATH_PREFIX: {prefix!r} begins as the path of an API that is served "
            f"at the root: {', '.join(at_root)}"
        )
    return PathPrefixRouter(router, links, prefix, at_root, elsewhere)


def outside_prefix(prefix: str) -> ASGIApp:
    """Return the app for paths that are not below the prefix: 404 with the reason."""

    def error_response(request: Request, _: Exception) -> Response:
        error = HTTPException(
            HTTPStatus.NOT_FOUND,
            f"path prefix missing: all paths of this server begin with {prefix}/ "
            "(FRAMEKEEP_SERVER_PATH_PREFIX)",
        )
        return page_or_problem(prefix, request, error)

    return api_router([], error_response)


def _first_segment(raw_path: bytes) -> str:
    return raw_path.lstrip(b"/").partition(b"/")[0].lower().decode("latin-1")
