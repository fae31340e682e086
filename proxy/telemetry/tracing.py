"""Traces by OpenTelemetry, for those who installed the extra ``otel`` and switched them on.

Spans say which stage of which request took how long and how it ended; of what was asked for they
name the source's host alone. Where they go is OpenTelemetry's own to configure, by its ``OTEL_…``
variables. Only this module imports it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

from proxy.telemetry.metrics import Request


class Traces:
    def __init__(self, exporter: SpanExporter | None = None) -> None:
        """Spans go to the exporter in batches; to an OTLP collector where none is given."""
        named = Resource({SERVICE_NAME: "framekeep"}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=named)
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("framekeep")

    @contextmanager
    def request(self, request: Request, method: str) -> Iterator[None]:
        """A span around a request; what is known of it at its end is noted there."""
        with self._tracer.start_as_current_span(
            f"{method} {request.face}", kind=SpanKind.SERVER
        ) as span:
            yield
            span.set_attributes(
                {
                    "http.request.method": method,
                    "http.response.status_code": request.status,
                    "framekeep.face": request.face,
                    "framekeep.cache": request.cache,
                    "framekeep.request_id": request.name,
                    "framekeep.source_host": request.source_host,
                }
            )
            if request.error is not None:
                span.set_attribute("error.type", request.reason)
            if request.status >= 500:
                span.set_status(Status(StatusCode.ERROR))

    def span(self, name: str) -> AbstractContextManager[Any]:
        """A span around a stage, below the request's."""
        return self._tracer.start_as_current_span(name, record_exception=False)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()
