"""Trace requests with OpenTelemetry, where the extra ``otel`` is installed and tracing is enabled.

There is a span for each request and one for each of its stages. A request with ``traceparent``
continues that trace, and the source is asked with a ``traceparent`` of its own (W3C Trace Context).
Of the source spans name only the host. Where spans are sent is configured by OpenTelemetry's own
variables, ``OTEL_…``.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from proxy.telemetry.request_context import RawHeaders, RequestContext

_W3C = TraceContextTextMapPropagator()
_MAX_STATE_BYTES = 512  # of `tracestate`, which everybody must be able to pass on


class OpenTelemetryTracing:
    def __init__(self, exporter: SpanExporter | None = None) -> None:
        """Send spans in batches, to an OTLP collector where there is no other exporter."""
        resource = Resource({SERVICE_NAME: "framekeep"}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("framekeep")

    @contextmanager
    def trace_request(
        self, request: RequestContext, method: str, headers: RawHeaders
    ) -> Iterator[None]:
        """Open a span around a request; its attributes are set at the end."""
        parent = _W3C.extract(_read_trace_context(headers), Context())
        with self._tracer.start_as_current_span(
            f"{method} {request.handler}", parent, kind=SpanKind.SERVER
        ) as span:
            yield
            span.set_attributes(
                {
                    "http.request.method": method,
                    "http.response.status_code": request.status,
                    "framekeep.handler": request.handler,
                    "framekeep.cache": request.cache_result,
                    "framekeep.request_id": request.request_id,
                    "framekeep.source_host": request.source_host,
                }
            )
            if request.error is not None:
                span.set_attribute("error.type", request.error_type)
            if request.status >= 500:
                span.set_status(Status(StatusCode.ERROR))

    def start_span(self, name: str) -> AbstractContextManager[Any]:
        """Open a span inside the one that is open."""
        return self._tracer.start_as_current_span(name, record_exception=False)

    def headers(self) -> tuple[tuple[str, str], ...]:
        headers: dict[str, str] = {}
        _W3C.inject(headers)
        return tuple(headers.items())

    def shutdown(self) -> None:
        """Send the spans that are left."""
        self._provider.shutdown()


def _read_trace_context(headers: RawHeaders) -> dict[str, str]:
    """Read ``traceparent`` and ``tracestate``. A trace that is named twice is none."""
    parents = [value for name, value in headers if name == b"traceparent"]
    states = [value for name, value in headers if name == b"tracestate"]
    if len(parents) != 1:
        return {}
    state = b",".join(states)
    carrier = {"traceparent": parents[0].decode("latin-1")}
    if len(state) <= _MAX_STATE_BYTES:
        carrier["tracestate"] = state.decode("latin-1")
    return carrier
