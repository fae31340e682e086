"""Around each face: its requests are counted and timed, and each leaves one line in the log."""

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.errors import CapacityError, ProxyError
from proxy.telemetry.logging import RequestLine, RequestLog, clean
from proxy.telemetry.metrics import LEFT, Request, Telemetry, current


class Observed:
    def __init__(
        self,
        app: ASGIApp,
        face: str,
        telemetry: Telemetry,
        log: RequestLog | None = None,
        *,
        server_timing: bool = False,
    ) -> None:
        """Without a log requests are only counted.

        ``server_timing`` tells every asker how long each stage took, not only who wants to know.
        """
        self._app = app
        self._face = face
        self._telemetry = telemetry
        self._log = log
        self._server_timing = server_timing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = self.begin()
        before = current.set(request)

        async def observe(message: Message) -> None:
            if message["type"] == "http.response.start":
                request.status = message["status"]
                if self._server_timing or request.timed:
                    message["headers"] = [*message["headers"], timing(request)]
            else:
                request.sent += len(message.get("body", b""))
            await send(message)

        self._telemetry.running += 1
        tracing = self._telemetry.tracing
        try:
            if tracing is None:
                await self._app(scope, receive, observe)
            else:
                with tracing.request(request, scope["method"]):
                    await self._app(scope, receive, observe)
        except Exception as error:
            request.error = error
            raise
        finally:
            self._telemetry.running -= 1
            current.reset(before)
            self.end(request, scope["method"])

    def begin(self) -> Request:
        return Request(self._telemetry, self._face)

    def end(self, request: Request, method: str) -> None:
        """Count the request and write its line: all of its answer was sent."""
        request.end()
        if self._log is not None:
            _write(self._log, request, method)


def timing(request: Request) -> tuple[bytes, bytes]:
    """The header ``Server-Timing``: what was spent on each stage so far, and in all."""
    stages = (*request.stages.items(), ("total", request.elapsed()))
    told = ", ".join(f"{name};dur={seconds * 1000:.2f}" for name, seconds in stages)
    return b"server-timing", f'{told}, cache;desc="{request.cache}"'.encode()


def _write(log: RequestLog, request: Request, method: str) -> None:
    error = request.error
    level, grade = "info", logging.INFO
    if error is not None:
        if isinstance(error, CapacityError):
            level, grade = "warning", logging.WARNING
        elif not isinstance(error, ProxyError) and request.status >= 500:
            level, grade = "error", logging.ERROR
    if not log.admits(grade) or not _wanted(log.wants, request):
        return
    work = request.cache != "hit"
    log.write(
        RequestLine(
            time=log.now(),
            level=level,
            process=log.process,
            id=request.name,
            face=request.face,
            method=method,
            status=request.status,
            ms=round(request.seconds * 1000, 2),
            bytes=request.sent,
            cache=request.cache,
            source=request.source_host,
            stages={name: round(took * 1000, 2) for name, took in request.stages.items()}
            if work
            else {},
            error=request.reason,
            message=clean(str(error)) if isinstance(error, ProxyError) else "",
            detail=clean(error.detail) if isinstance(error, ProxyError) else "",
        )
    )


def _wanted(wants: str, request: Request) -> bool:
    match wants:
        case "all":
            return True
        case "misses":
            return request.cache != "hit"
        case "errors":
            return request.error is not None or request.status in (LEFT, *range(500, 600))
        case _:
            return False
