"""Trace requests with OpenTelemetry, where the extra ``otel`` is installed and tracing is enabled.

There is a span for each request and one for each of its stages. Of the source they name only the
host. Where spans are sent is configured by OpenTelemetry's own variables, ``OTEL_…``.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

from proxy.telemetry.request_context import RequestContext


class OpenTelemetryTracing:
    def __init__(self, exporter: SpanExporter | None = None) -> None:
        """Send spans in batches, to an OTLP collector where there is no other exporter."""
        resource = Resource({SERVICE_NAME: "framekeep"}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("framekeep")

    @contextmanager
    def trace_request(self, request: RequestContext, method: str) -> Iterator[None]:
        """Open a span around a request; its attributes are set at the end."""
        with self._tracer.start_as_current_span(
            f"{method} {request.handler}", kind=SpanKind.SERVER
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

    def shutdown(self) -> None:
        """Send the spans that are left."""
        self._provider.shutdown()
