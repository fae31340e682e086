"""Count, time, trace and log the requests of an API.

`proxy.telemetry.access_log` writes the access log.
"""

import logging
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.errors import CapacityError, ProxyError
from proxy.runtime.tracebacks import release_tracebacks
from proxy.telemetry.access_log import AccessLog, AccessLogEntry
from proxy.telemetry.logging import redact
from proxy.telemetry.metrics import CLIENT_CLOSED_REQUEST, Metrics
from proxy.telemetry.request_context import RequestContext, Tracing, current_request


class AccessLogMiddleware:
    def __init__(
        self,
        app: ASGIApp,
        handler: str,
        metrics: Metrics,
        access_log: AccessLog | None = None,
        *,
        tracing: Tracing | None = None,
        server_timing: bool = False,
    ) -> None:
        """``handler`` is the name of the API in metrics and logs.

        ``server_timing`` adds ``Server-Timing`` to every response, not only to those for which it
        was requested.
        """
        self._app = app
        self.handler = handler
        self._metrics = metrics
        self._access_log = access_log
        self.logs_hits = (
            access_log is not None
            and access_log.access == "all"
            and access_log.level <= logging.INFO
        )
        self._tracing = tracing
        self._server_timing = server_timing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = self.start_request()
        token = current_request.set(request)

        async def observe(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
                if self._server_timing or request.timing_enabled:
                    message["headers"] = [*message["headers"], server_timing_header(request)]
            else:
                request.response_bytes += len(message.get("body", b""))
            await send(message)

        self._metrics.requests_in_progress += 1
        try:
            if self._tracing is None:
                await self._app(scope, receive, observe)
            else:
                request.tracing = self._tracing
                with self._tracing.trace_request(request, scope["method"], scope["headers"]):
                    await self._app(scope, receive, observe)
        except Exception as error:
            request.error = error
            raise
        finally:
            self._metrics.requests_in_progress -= 1
            current_request.reset(token)
            self.finish_request(request, scope["method"], self._target(scope))
        if request.error is not None:
            release_tracebacks(request.error)

    def _target(self, scope: Scope) -> bytes:
        """Return the raw path with the query, where it is logged."""
        if self._access_log is None or not self._access_log.has_urls:
            return b""
        path: bytes = scope["raw_path"]
        query: bytes = scope["query_string"]
        return path + b"?" + query if query else path

    def start_request(self) -> RequestContext:
        return RequestContext(self._metrics, self.handler)

    def finish_request(self, request: RequestContext, method: str, target: bytes) -> None:
        """Count the request and log it: the whole response was sent, or the client has gone.

        ``target`` is the raw path with the query.
        """
        request.finish()
        self.log(request, method, target)
        request.source = None  # timers may hold the context for minutes, and this can be an upload

    def log(self, request: RequestContext, method: str, target: bytes) -> None:
        """Log a request that has been counted."""
        if self._access_log is not None:
            _log(self._access_log, request, method, target)


def server_timing_header(request: RequestContext) -> tuple[bytes, bytes]:
    """Build ``Server-Timing`` from the duration of each stage so far, and of the whole request."""
    stages = (*request.stages.items(), ("total", request.elapsed()))
    timings = ", ".join(f"{name};dur={seconds * 1000:.2f}" for name, seconds in stages)
    return b"server-timing", f'{timings}, cache;desc="{request.cache_result}"'.encode()


def _log(access_log: AccessLog, request: RequestContext, method: str, target: bytes) -> None:
    level = _level(request)
    if level < access_log.level or not _is_logged(access_log.access, request):
        return
    entry: AccessLogEntry = {
        "request_id": request.request_id,
        "handler": request.handler,
        "method": method,
        "status": request.status,
        "duration_ms": round(request.duration * 1000, 2),
        "bytes": request.response_bytes,
    }
    if access_log.has_urls:
        entry["url"] = target.decode("latin-1")
    if request.dialect:
        entry["dialect"] = request.dialect
    if request.cache_result != "none":
        entry["cache"] = request.cache_result
    if source := request.source_host:
        entry["source"] = source
    if request.stages and request.cache_result != "hit":
        entry["stages"] = _milliseconds(request.stages)
    if request.error is not None:
        entry["error"] = request.error_type
        if isinstance(request.error, ProxyError):
            entry["message"] = redact(str(request.error))
            if request.error.detail:
                entry["detail"] = redact(request.error.detail)
    access_log.log(level, entry)


def _level(request: RequestContext) -> int:
    match request.error:
        case CapacityError():
            return logging.WARNING
        case None | ProxyError():
            return logging.INFO
        case _:
            return logging.ERROR if request.status >= 500 else logging.INFO


def _is_logged(access: str, request: RequestContext) -> bool:
    match access:
        case "all":
            return True
        case "misses":
            return request.cache_result != "hit"
        case "errors":
            return (
                request.error is not None
                or request.status == CLIENT_CLOSED_REQUEST
                or request.status >= 500
            )
        case _:
            return False


def _milliseconds(stages: Mapping[str, float]) -> dict[str, float]:
    return {name: round(seconds * 1000, 2) for name, seconds in stages.items()}
