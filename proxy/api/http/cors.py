"""Cross-origin requests: which pages of other sites may read responses (CORS, Fetch standard).

No response depends on cookies, so ``Access-Control-Allow-Credentials`` is never sent. Keys of APIs
travel in headers that a page must set itself.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.api.http.headers import combine_headers
from proxy.api.http.problems import Headers, problem_json
from proxy.api.http.request_id import request_id
from proxy.telemetry.request_context import set_error, set_request_id

ANY_ORIGIN = "*"
EXPOSED_HEADERS = (
    "Accept-Ranges",
    "Age",
    "Allow",
    "apim-request-id",
    "Cache-Tag",
    "CDN-Tag",
    "Content-Disposition",
    "Content-Range",
    "Edge-Cache-Tag",
    "ETag",
    "Retry-After",
    "Server-Timing",
    "Surrogate-Key",
    "WWW-Authenticate",
    "X-Cache",
    "X-Choice",
    "X-Fallback",
    "X-Focus",
    "X-Optimization",
    "x-ms-error-code",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-Id",
)
"""What we send beside the headers that every page may read (``Cache-Control`` and so on)."""

_REQUEST_METHOD = b"access-control-request-method"
_METHODS = b"DELETE, GET, HEAD, PATCH, POST, PUT"  # each API says itself which it has
_MAX_AGE_SECONDS = 7200  # browsers take no more
_HEADER_NAMES = re.compile(rb"[A-Za-z0-9-]{1,64}( *, *[A-Za-z0-9-]{1,64}){0,63}")
_OWN_NAMES = frozenset(
    (b"access-control-allow-origin", b"access-control-expose-headers", b"timing-allow-origin")
)


class CorsPolicy:
    """Knows the response headers for each origin.

    For ``*`` and for a single origin they do not depend on the request: a browser compares them
    with its page. So caches need one response; only a list of origins needs ``Vary: Origin``.
    """

    def __init__(self, allow_origins: Sequence[str] = ()) -> None:
        """``allow_origins`` are exact, or ``*`` alone; none: no page may read responses."""
        self._allowed = frozenset(origin.encode() for origin in allow_origins)
        self.is_enabled = bool(allow_origins)
        self.depends_on_origin = len(allow_origins) > 1
        self._any = ANY_ORIGIN in allow_origins
        self._only = b"" if self.depends_on_origin else b"".join(self._allowed)

    def allows(self, origin: bytes) -> bool:
        return self._any or origin in self._allowed

    def add_headers(self, headers: Headers, origin: bytes = b"") -> Headers:
        """Return a response's headers with those for this origin; empty: none was sent.

        Headers that have them already get them once.
        """
        if not self.is_enabled:
            return headers
        headers = [header for header in headers if header[0] not in _OWN_NAMES]
        if self.depends_on_origin:
            headers = _vary_by_origin(headers)
        allowed = self._only or (origin if origin in self._allowed else b"")
        if allowed:
            headers += (
                (b"access-control-allow-origin", allowed),
                (b"access-control-expose-headers", ", ".join(EXPOSED_HEADERS).encode()),
                (b"timing-allow-origin", allowed),
            )
        return headers


def allow_origins(app: ASGIApp, policy: CorsPolicy) -> ASGIApp:
    """Let web pages of the policy's origins read the responses of the app."""
    return CorsMiddleware(app, policy) if policy.is_enabled else app


class CorsMiddleware:
    """Answers preflight requests, and adds the headers to all other responses, also to errors."""

    def __init__(self, app: ASGIApp, policy: CorsPolicy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = combine_headers(scope["headers"])
        origin = headers.get(b"origin", b"")
        if scope["method"] == "OPTIONS" and origin and _REQUEST_METHOD in headers:
            await self._answer_preflight(headers, origin, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = self._policy.add_headers(list(message["headers"]), origin)
                message = {**message, "headers": added}
            await send(message)

        await self._app(scope, receive, send_with_headers)

    async def _answer_preflight(
        self, headers: Mapping[bytes, bytes], origin: bytes, send: Send
    ) -> None:
        """Answer without a key: browsers send none here, and nothing is done."""
        id = request_id(headers)
        set_request_id(id)
        if self._policy.allows(origin):
            status, response_headers, body = HTTPStatus.NO_CONTENT, _preflight_headers(headers), b""
        else:
            error = HTTPException(
                HTTPStatus.FORBIDDEN,
                "origin not allowed: FRAMEKEEP_SERVER_ALLOW_ORIGINS does not list it",
            )
            set_error(error)
            status, response_headers, body = problem_json(error, id)
            response_headers.append((b"content-length", str(len(body)).encode()))
        response_headers.append((b"x-request-id", id.encode()))
        added = self._policy.add_headers(response_headers, origin)
        await send({"type": "http.response.start", "status": int(status), "headers": added})
        await send({"type": "http.response.body", "body": body})


def _preflight_headers(headers: Mapping[bytes, bytes]) -> Headers:
    found: Headers = [
        (b"access-control-allow-methods", _METHODS),
        (b"access-control-max-age", str(_MAX_AGE_SECONDS).encode()),
        (b"cache-control", b"no-store"),
    ]
    names = headers.get(b"access-control-request-headers", b"").strip()
    if _HEADER_NAMES.fullmatch(names):
        found.append((b"access-control-allow-headers", names))
    return found


def _vary_by_origin(headers: Headers) -> Headers:
    """Put ``Origin`` into the one ``Vary`` line: some proxies read only one of several."""
    varying = [value for name, value in headers if name == b"vary"]
    names = [name for value in varying for name in value.split(b", ") if name != b"Origin"]
    others = [header for header in headers if header[0] != b"vary"]
    return [*others, (b"vary", b", ".join((*names, b"Origin")))]
