"""Traces: a span for a request, and below it one for each stage."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.types import Receive, Scope, Send

from proxy.api.middleware import Observed
from proxy.app import tracing
from proxy.config import TracingConfig
from proxy.errors import SourceFailed
from proxy.originals import SourceRef
from proxy.telemetry import metrics
from proxy.telemetry.metrics import Telemetry
from proxy.telemetry.tracing import Traces

pytestmark = pytest.mark.anyio


@pytest.fixture
def kept() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    yield exporter
    exporter.clear()


async def spans(kept: InMemorySpanExporter, error: Exception | None) -> dict[str, ReadableSpan]:
    async def face(_: Scope, __: Receive, send: Send) -> None:
        metrics.named("request-1")
        metrics.wanted(SourceRef("https://cdn.example.com/a?token=SECRET"))
        with metrics.stage("fetch"):
            pass
        if error is not None:
            metrics.failed(error)
        status = 200 if error is None else 502
        await send({"type": "http.response.start", "status": status, "headers": []})

    counting = Telemetry(["images"], tracing=Traces(kept))
    await Observed(face, "images", counting)({"type": "http", "method": "GET"}, nothing, nowhere)
    counting.close()
    return {span.name: span for span in kept.get_finished_spans()}


async def nothing() -> dict[str, str]:
    return {}


async def nowhere(message: object) -> None:
    pass


async def test_a_request_and_its_stages_are_one_trace(kept: InMemorySpanExporter) -> None:
    found = await spans(kept, None)
    request, stage = found["GET images"], found["fetch"]
    assert stage.parent is not None
    assert request.context is not None
    assert stage.parent.span_id == request.context.span_id
    assert request.parent is None
    assert dict(request.attributes or {}) == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "framekeep.face": "images",
        "framekeep.cache": "none",
        "framekeep.request_id": "request-1",
        "framekeep.source_host": "cdn.example.com",
    }
    assert request.resource.attributes["service.name"] == "framekeep"


async def test_a_failure_is_marked(kept: InMemorySpanExporter) -> None:
    found = await spans(kept, SourceFailed("https://cdn.example.com/?SECRET"))
    request = found["GET images"]
    assert (request.attributes or {})["error.type"] == "source-failed"
    assert not request.status.is_ok
    assert not any("SECRET" in span.to_json() for span in found.values())


def test_there_are_none_unless_switched_on() -> None:
    assert tracing(TracingConfig()) is None
    switched_on = tracing(TracingConfig(otel=True))
    assert isinstance(switched_on, Traces)
    switched_on.close()
