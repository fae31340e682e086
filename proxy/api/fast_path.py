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

from proxy.api.http.cors import CorsPolicy
from proxy.api.http.headers import combine_headers
from proxy.api.http.request_id import request_id
from proxy.api.middleware import AccessLogMiddleware
from proxy.api.response_cache import ResponseCache
from proxy.sources.net.via import has_own_via
from proxy.telemetry.batches import HitCounters
from proxy.telemetry.metrics import Metrics

logger = logging.getLogger("framekeep.api.fast_path")

_LOG_SECONDS = 60.0
"""How often a failure is logged: if every hit fails, each is counted, and that is enough."""

_FULL_PATH_HEADERS = frozenset((b"range", b"content-length", b"transfer-encoding", b"upgrade"))


FastPathResponse = tuple[int, bytes, bytes]
"""The status, the header lines without those that the server adds to every response, and the body.
"""


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
        self._counters: dict[tuple[int, str], HitCounters] = {}
        """By status and dialect."""

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
        started = time.perf_counter()
        cached = self._cache.get(self._cache.key_of(target, fields))
        if cached is None or not cached.is_current():
            return None
        id = request_id(fields)
        status, head, full_body = cached.response_for(fields)
        body = full_body if method == b"GET" else b""
        own = (cached.age(self._now()), id.encode())
        header_lines = b"%bage: %b\r\nx-request-id: %b\r\n" % (head.encoded, *own)
        seconds = time.perf_counter() - started
        dialect = cached.request.response_options.dialect
        counters = self._counters.get((status, dialect)) or self._make_counters(status, dialect)
        counters.record(len(body), seconds)
        if self._access_log.logs_hits:
            context = self._access_log.start_request()
            context.request_id = id
            context.source = cached.request.source
            context.dialect = dialect
            context.cache_result = "hit"
            context.status = status
            context.response_bytes = len(body)
            context.duration = seconds
            self._access_log.log(context, method.decode(), target)
        return status, header_lines, body

    def _make_counters(self, status: int, dialect: str) -> HitCounters:
        counters = self._metrics.hit_counters(self._access_log.handler, status, dialect)
        self._counters[status, dialect] = counters
        return counters
