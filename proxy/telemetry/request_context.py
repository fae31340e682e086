"""Collect what is known of the request being served, for its metrics, log entry and trace.

Any code records into the current request: ``with stage("fetch"): …``,
``record_cache("original", "hit")``. Where no request is being served, these calls do nothing.
"""

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol

from proxy.errors import ProxyError
from proxy.originals import OriginalRef, SourceRef
from proxy.telemetry.metrics import CLIENT_CLOSED_REQUEST, Metrics, Stage

RawHeaders = Iterable[tuple[bytes, bytes]]


class Tracing(Protocol):
    """Sends spans to a tracing backend."""

    def trace_request(
        self, request: "RequestContext", method: str, headers: RawHeaders
    ) -> AbstractContextManager[None]:
        """Open a span around a request, in the trace that its headers name."""
        ...

    def start_span(self, name: str) -> AbstractContextManager[Any]:
        """Open a span inside the one that is open."""
        ...

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers that let another server continue the trace."""
        ...

    def shutdown(self) -> None:
        """Send the spans that are left."""
        ...


class RequestContext:
    """One request, as far as it is known; durations in seconds.

    Defaults are in the class: to set all of them for each request would cost cache hits time.
    """

    request_id = ""
    dialect = ""
    cache_result = "none"
    source: OriginalRef | None = None
    error: Exception | None = None
    status = CLIENT_CLOSED_REQUEST
    response_bytes = 0
    duration = 0.0
    timing_enabled = False
    tracing: Tracing | None = None

    def __init__(self, metrics: Metrics, handler: str) -> None:
        self.metrics = metrics
        self.handler = handler
        self.stages: dict[str, float] = {}
        self._started = time.perf_counter()

    def elapsed(self) -> float:
        """Seconds since the request began."""
        return time.perf_counter() - self._started

    def record_cache(self, kind: str, result: str) -> None:
        """Count a cache lookup, see `proxy.telemetry.metrics.CACHE_RESULTS`."""
        self.metrics.record_cache(kind, result)
        if kind == "rendition":
            self.cache_result = result

    def finish(self) -> None:
        """Count the request: its response has been sent, or the client has gone."""
        self.duration = self.elapsed()
        self.metrics.record_request(
            self.handler, self.status, self.cache_result, self.response_bytes, self.duration
        )
        if self.dialect:
            self.metrics.record_dialect(self.dialect)
        if self.error is not None:
            self.metrics.record_error(self.error_type)

    @property
    def error_type(self) -> str:
        """The error's problem type; empty where there was no error."""
        match self.error:
            case None:
                return ""
            case ProxyError():
                return self.error.problem_type
            case _:
                return "internal-error" if self.status >= 500 else "http-error"

    @property
    def source_host(self) -> str:
        """The host that the original comes from, or the name of a configured source."""
        if not isinstance(self.source, SourceRef):
            return "" if self.source is None else "upload"
        return self.source.host


current_request: ContextVar[RequestContext | None] = ContextVar("request", default=None)


def set_request_id(request_id: str) -> None:
    request = current_request.get()
    if request is not None:
        request.request_id = request_id


def set_dialect(dialect: str) -> None:
    """Note the dialect of the link that is being served."""
    request = current_request.get()
    if request is not None:
        request.dialect = dialect


def set_source(source: OriginalRef) -> None:
    request = current_request.get()
    if request is not None:
        request.source = source


def set_error(error: Exception) -> None:
    """Note the error that the current request is answered with."""
    request = current_request.get()
    if request is not None:
        request.error = error


def enable_timing() -> None:
    """Send ``Server-Timing`` in the response to the current request."""
    request = current_request.get()
    if request is not None:
        request.timing_enabled = True


def trace_headers() -> tuple[tuple[str, str], ...]:
    """Return the headers that let another server continue the trace of the current request."""
    request = current_request.get()
    return () if request is None or request.tracing is None else request.tracing.headers()


def record_cache(kind: str, result: str) -> None:
    """Count a cache lookup, see `proxy.telemetry.metrics.CACHE_RESULTS`."""
    request = current_request.get()
    if request is not None:
        request.record_cache(kind, result)


def count_fetched_bytes(size: int) -> None:
    request = current_request.get()
    if request is not None:
        request.metrics.record_fetched_bytes(size)


class stage:  # noqa: N801 - reads as a verb, and costs half of a generator
    """Time the block as a stage of the current request, in a span of its own if it is traced."""

    __slots__ = ("_name", "_request", "_span", "_started")

    def __init__(self, name: Stage) -> None:
        self._name: Stage = name

    def __enter__(self) -> None:
        self._request = request = current_request.get()
        self._span: AbstractContextManager[Any] | None = None
        if request is not None:
            if request.tracing is not None:
                self._span = request.tracing.start_span(self._name)
                self._span.__enter__()
            self._started = time.perf_counter()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        request = self._request
        if request is not None:
            seconds = time.perf_counter() - self._started
            request.stages[self._name] = request.stages.get(self._name, 0.0) + seconds
            request.metrics.record_stage(self._name, seconds)
            if self._span is not None:
                self._span.__exit__(exc_type, exc, traceback)
