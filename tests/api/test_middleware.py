"""Requests are counted, timed and logged, without secrets."""

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2 as httpx
import pytest
from metric_samples import sample_value
from starlette.types import Receive, Scope, Send

from proxy.api.middleware import AccessLogMiddleware
from proxy.errors import Overloaded, SourceFailed
from proxy.originals import SourceRef
from proxy.telemetry.access_log import AccessLog
from proxy.telemetry.config import LogConfig
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.request_context import (
    current_request,
    record_cache,
    set_error,
    set_request_id,
    set_source,
    stage,
)

pytestmark = pytest.mark.anyio

SOURCE = SourceRef("https://cdn.example.com/a.jpg?token=SECRET")


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(["images"])


def app(
    status: int = 200, error: Exception | None = None, cache: str = "miss"
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def respond(_: Scope, __: Receive, send: Send) -> None:
        set_request_id("request-1")
        set_source(SOURCE)
        if cache != "none":
            record_cache("rendition", cache)
        with stage("fetch"):
            pass
        if error is not None:
            set_error(error)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"12345"})

    return respond


async def entries_of(
    metrics: Metrics, inner: Any, config: LogConfig | None = None, **options: Any
) -> tuple[httpx.Response, list[dict[str, Any]]]:
    """The response to a request, and the access log."""
    reading, writing = os.pipe()
    log = AccessLog(config or LogConfig(access="all"), writing)
    middleware = AccessLogMiddleware(inner, "images", metrics, log, **options)
    transport = httpx.ASGITransport(app=middleware)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        response = await client.get("/SIGNATURE/resize:1:1/https://cdn.example.com/?token=SECRET")
    log.close()
    os.close(writing)
    lines = os.read(reading, 65_536)
    os.close(reading)
    assert b"SECRET" not in lines
    assert b"SIGNATURE" not in lines
    return response, [json.loads(line) for line in lines.splitlines()]


async def test_a_request_is_logged_with_all_that_is_known_of_it(metrics: Metrics) -> None:
    _, (entry,) = await entries_of(metrics, app())
    assert entry.pop("time").endswith("Z")
    assert entry.pop("duration_ms") >= 0
    assert entry.pop("stages").keys() == {"fetch"}
    assert entry == {
        "level": "info",
        "pid": os.getpid(),
        "request_id": "request-1",
        "handler": "images",
        "method": "GET",
        "status": 200,
        "bytes": 5,
        "cache": "miss",
        "source": "cdn.example.com",
    }


async def test_a_hit_is_logged_without_stages(metrics: Metrics) -> None:
    _, (entry,) = await entries_of(metrics, app(cache="hit"))
    assert entry["cache"] == "hit"
    assert "stages" not in entry


async def test_an_error_is_logged_with_its_detail_and_without_secrets(metrics: Metrics) -> None:
    error = SourceFailed("it broke", detail="at https://me:SECRET@cdn.example.com/a?SECRET\n")
    _, (entry,) = await entries_of(metrics, app(502, error))
    assert entry["error"] == "source-failed"
    assert entry["message"] == "it broke"
    assert entry["detail"] == "at https://cdn.example.com/a?…\n"
    assert entry["level"] == "info"


async def test_a_lack_of_capacity_is_a_warning(metrics: Metrics) -> None:
    _, (entry,) = await entries_of(metrics, app(503, Overloaded("too much")))
    assert entry["level"] == "warning"


async def test_an_unexpected_exception_is_an_error(metrics: Metrics) -> None:
    _, (entry,) = await entries_of(metrics, app(500, ValueError("a fault")))
    assert (entry["level"], entry["error"]) == ("error", "internal-error")
    assert "message" not in entry


@pytest.mark.parametrize(
    ("access", "cache", "status", "count"),
    [
        ("all", "hit", 200, 1),
        ("misses", "hit", 200, 0),
        ("misses", "miss", 200, 1),
        ("misses", "none", 200, 1),
        ("errors", "miss", 200, 0),
        ("errors", "none", 499, 1),
        ("errors", "none", 502, 1),
        ("none", "none", 502, 0),
    ],
)
async def test_the_operator_decides_which_requests_are_logged(
    metrics: Metrics, access: Any, cache: str, status: int, count: int
) -> None:
    _, entries = await entries_of(metrics, app(status, cache=cache), LogConfig(access=access))
    assert len(entries) == count


async def test_entries_below_the_level_are_not_logged(metrics: Metrics) -> None:
    config = LogConfig(level="warning", access="all")
    _, entries = await entries_of(metrics, app(), config)
    assert entries == []
    _, entries = await entries_of(metrics, app(503, Overloaded("too much")), config)
    assert len(entries) == 1


async def test_an_exception_from_the_app_is_counted_and_raised(metrics: Metrics) -> None:
    async def broken(_: Scope, __: Receive, ___: Send) -> None:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        await AccessLogMiddleware(broken, "images", metrics)(
            {"type": "http", "method": "GET"}, _receive, _send
        )
    labels = {"handler": "images", "code": "499"}
    assert sample_value(metrics, "framekeep_http_requests_total", **labels) == 1
    assert current_request.get() is None


async def _receive() -> dict[str, Any]:
    return {}


async def _send(message: Any) -> None:
    pass


async def test_a_request_is_in_progress_until_its_response_ends(metrics: Metrics) -> None:
    async def count(_: Scope, __: Receive, send: Send) -> None:
        assert metrics.requests_in_progress == 1
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    await entries_of(metrics, count)
    assert metrics.requests_in_progress == 0


async def test_server_timing_has_each_stage_where_it_is_enabled(metrics: Metrics) -> None:
    response, _ = await entries_of(metrics, app(), server_timing=True)
    timing = response.headers["server-timing"]
    assert [part.partition(";")[0] for part in timing.split(", ")] == ["fetch", "total", "cache"]
    assert timing.endswith('cache;desc="miss"')
    response, _ = await entries_of(metrics, app())
    assert "server-timing" not in response.headers
