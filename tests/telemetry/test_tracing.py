"""Traces: one span for a request, and one inside it for each stage."""

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.types import Receive, Scope, Send

from proxy.api.middleware import AccessLogMiddleware
from proxy.app import open_tracing
from proxy.errors import SourceFailed
from proxy.originals import SourceRef
from proxy.telemetry.config import TracingConfig
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.request_context import set_error, set_request_id, set_source, stage
from proxy.telemetry.tracing import OpenTelemetryTracing

pytestmark = pytest.mark.anyio


async def spans_of_request(error: Exception | None) -> dict[str, ReadableSpan]:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        set_request_id("request-1")
        set_source(SourceRef("https://cdn.example.com/a?token=SECRET"))
        with stage("fetch"):
            pass
        if error is not None:
            set_error(error)
        status = 200 if error is None else 502
        await send({"type": "http.response.start", "status": status, "headers": []})

    exporter = InMemorySpanExporter()
    tracing = OpenTelemetryTracing(exporter)
    middleware = AccessLogMiddleware(app, "images", Metrics(["images"]), tracing=tracing)
    await middleware({"type": "http", "method": "GET"}, receive, send)
    tracing.shutdown()
    return {span.name: span for span in exporter.get_finished_spans()}


async def receive() -> dict[str, str]:
    return {}


async def send(message: object) -> None:
    pass


async def test_a_request_and_its_stages_are_one_trace() -> None:
    spans = await spans_of_request(None)
    request, fetch = spans["GET images"], spans["fetch"]
    assert fetch.parent is not None
    assert request.context is not None
    assert fetch.parent.span_id == request.context.span_id
    assert request.parent is None
    assert dict(request.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "framekeep.handler": "images",
        "framekeep.cache": "none",
        "framekeep.request_id": "request-1",
        "framekeep.source_host": "cdn.example.com",
    }
    assert request.resource.attributes["service.name"] == "framekeep"


async def test_a_failed_request_has_an_error_type_and_no_secrets() -> None:
    spans = await spans_of_request(SourceFailed("https://cdn.example.com/?SECRET"))
    request = spans["GET images"]
    assert (request.attributes or {})["error.type"] == "source-failed"
    assert not request.status.is_ok
    assert not any("SECRET" in span.to_json() for span in spans.values())


def test_tracing_is_off_by_default() -> None:
    assert open_tracing(TracingConfig()) is None
    tracing = open_tracing(TracingConfig(otel=True))
    assert isinstance(tracing, OpenTelemetryTracing)
    tracing.shutdown()
