"""Answer hits in the HTTP protocol itself: no task, and no ASGI app in between.

ASGI's scope, request cycle, task and two messages are half of what a hit costs
(`bench/run --scenario hit`). This module decides whether a response is cached and current; the
protocol writes it. Requests for a range, with a body, or for anything that is not cached go the
full path through the app. Both send the same responses and count the same; tests compare them. What
fails here goes the full path, too.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from proxy.api.http.cors import CorsPolicy
from proxy.api.http.headers import combine_headers
from proxy.api.http.request_id import request_id
from proxy.api.images import SECURITY_HEADERS
from proxy.api.middleware import AccessLogMiddleware
from proxy.api.response_cache import ResponseCache, encode_headers
from proxy.sources.net.via import has_own_via
from proxy.telemetry.metrics import Metrics

logger = logging.getLogger("framekeep.api.fast_path")

_LOG_SECONDS = 60.0
"""How often a failure is logged: if every hit fails, each is counted, and that is enough."""

_FULL_PATH_HEADERS = frozenset((b"range", b"content-length", b"transfer-encoding", b"upgrade"))
_SECURITY_LINES = encode_headers(SECURITY_HEADERS)


class FastPathResponse(NamedTuple):
    """``header_lines`` are without the headers that the server adds to every response."""

    status: int
    header_lines: bytes
    body: bytes


class FastPath:
    def __init__(
        self,
        cache: ResponseCache,
        access_log: AccessLogMiddleware,
        metrics: Metrics,
        *,
        cors: CorsPolicy | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``cache`` is the images endpoint's, which ``access_log`` wraps."""
        self._cache = cache
        self._access_log = access_log
        self._metrics = metrics
        self._logged_at = -_LOG_SECONDS
        self._cors = cors or CorsPolicy()
        self._now = now

    def __call__(
        self, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> FastPathResponse | None:
        """Return a response, which counts as sent; None where the request goes the full path."""
        try:
            return self._respond(method, target, headers)
        except Exception:
            self._metrics.record_fast_path_error()
            now = time.monotonic()
            if now - self._logged_at >= _LOG_SECONDS:
                self._logged_at = now
                logger.exception("fast path failed; the request goes the full path")
            return None

    def _respond(
        self, method: bytes, target: bytes, headers: Sequence[tuple[bytes, bytes]]
    ) -> FastPathResponse | None:
        fields = combine_headers(headers)
        if method not in (b"GET", b"HEAD") or not _FULL_PATH_HEADERS.isdisjoint(fields):
            return None
        if has_own_via(fields) or (self._cors.depends_on_origin and b"origin" in fields):
            return None
        cached = self._cache.get(self._cache.key_of(target, fields))
        if cached is None or not cached.is_current():
            return None
        context = self._access_log.start_request()
        context.request_id = request_id(fields)
        context.source = cached.request.source
        context.dialect = cached.request.response_options.dialect
        context.status, head, full_body = cached.response_for(fields)
        body = full_body if method == b"GET" else b""
        context.response_bytes = len(body)
        own = (cached.age(self._now()), _SECURITY_LINES, context.request_id.encode())
        header_lines = b"%bage: %b\r\n%bx-request-id: %b\r\n" % (head.encoded, *own)
        context.record_cache("rendition", "hit")
        self._access_log.finish_request(context, method.decode(), target)
        return FastPathResponse(context.status, header_lines, body)
