"""Traces: one span for a request, and one inside it for each stage."""

from collections.abc import AsyncIterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from origin_server import OriginServer
from starlette.types import Receive, Scope, Send

from proxy.api.middleware import AccessLogMiddleware
from proxy.errors import SourceFailed
from proxy.limits import Limits
from proxy.originals import SourceRef
from proxy.sources.http import HttpSource
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import SsrfPolicy
from proxy.telemetry.config import TracingConfig
from proxy.telemetry.factory import open_tracing
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.request_context import set_error, set_request_id, set_source, stage
from proxy.telemetry.tracing import OpenTelemetryTracing

pytestmark = pytest.mark.anyio


async def spans_of_request(
    error: Exception | None, *headers: tuple[bytes, bytes]
) -> dict[str, ReadableSpan]:
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
    await middleware({"type": "http", "method": "GET", "headers": headers}, receive, send)
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


PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_request_continues_the_trace_of_its_client() -> None:
    spans = await spans_of_request(
        None, (b"traceparent", PARENT), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")
    )
    request = spans["GET images"]
    assert request.parent is not None
    assert request.parent.span_id == 0xB7AD6B7169203331
    assert request.parent.trace_state == {"a": "1", "b": "2"}
    for span in spans.values():
        assert span.context is not None
        assert span.context.trace_id == 0x0AF7651916CD43DD8448EB211C80319C


@pytest.mark.parametrize(
    "parents",
    [
        [PARENT, PARENT],
        [PARENT.replace(b"0af7", b"xyz\xff")],
        [b"00-" + b"0" * 32 + PARENT[35:]],
        [b""],
        [PARENT * 100],
    ],
    ids=["twice", "no hexadecimal", "zero", "empty", "too long"],
)
async def test_a_malformed_traceparent_begins_a_new_trace(parents: list[bytes]) -> None:
    headers = [(b"traceparent", parent) for parent in parents]
    assert (await spans_of_request(None, *headers))["GET images"].parent is None


async def test_a_long_tracestate_is_left_out() -> None:
    state = b",".join(b"key%d=%d" % (number, number) for number in range(60))
    spans = await spans_of_request(None, (b"traceparent", PARENT), (b"tracestate", state))
    parent = spans["GET images"].parent
    assert parent is not None
    assert parent.trace_state == {}


@pytest.fixture
async def source() -> AsyncIterator[HttpSource]:
    client = HttpClient(SsrfPolicy(allow_nets=["127.0.0.1"]))
    yield HttpSource(client, Limits())
    await client.close()


async def test_a_source_is_asked_within_the_trace(source: HttpSource, origin: OriginServer) -> None:
    async def app(_: Scope, __: Receive, ___: Send) -> None:
        with stage("fetch"):
            await source.fetch(SourceRef(origin.serve("/traced", b"picture")))

    exporter = InMemorySpanExporter()
    tracing = OpenTelemetryTracing(exporter)
    middleware = AccessLogMiddleware(app, "images", Metrics(["images"]), tracing=tracing)
    await middleware({"type": "http", "method": "GET", "headers": []}, receive, send)
    tracing.shutdown()
    fetch = next(span for span in exporter.get_finished_spans() if span.name == "fetch")
    context = fetch.context
    assert context is not None
    sent = origin.requests[-1].headers["traceparent"]
    assert sent.startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")


async def test_without_tracing_a_source_gets_no_traceparent(
    source: HttpSource, origin: OriginServer
) -> None:
    await source.fetch(SourceRef(origin.serve("/plain", b"picture")))
    assert "traceparent" not in origin.requests[-1].headers


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
