"""Requests around a face: counted, timed, and told of in the log without what is secret."""

import json
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest
from starlette.types import Receive, Scope, Send

from proxy.api.middleware import Observed
from proxy.errors import Overloaded, SourceFailed
from proxy.originals import SourceRef
from proxy.telemetry import metrics
from proxy.telemetry.logging import LogConfig, RequestLog
from proxy.telemetry.metrics import Telemetry

pytestmark = pytest.mark.anyio

SOURCE = SourceRef("https://cdn.example.com/a.jpg?token=SECRET")


@pytest.fixture
def counting() -> Iterator[Telemetry]:
    made = Telemetry(["images"])
    yield made
    made.close()


def face(
    status: int = 200, error: Exception | None = None, cache: str = "miss"
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def answer(_: Scope, __: Receive, send: Send) -> None:
        metrics.named("request-1")
        metrics.wanted(SOURCE)
        if cache != "none":
            metrics.tell("rendition", cache)
        with metrics.stage("fetch"):
            pass
        if error is not None:
            metrics.failed(error)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"12345"})

    return answer


async def lines_of(
    counting: Telemetry, app: Any, settings: LogConfig | None = None, **options: Any
) -> tuple[httpx.Response, list[dict[str, Any]]]:
    reading, writing = os.pipe()
    log = RequestLog(settings or LogConfig(access="all"), writing)
    observed = Observed(app, "images", counting, log, **options)
    transport = httpx.ASGITransport(app=observed)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/SIGNATURE/resize:1:1/https://cdn.example.com/?token=SECRET")
    log.flush()
    os.close(writing)
    written = b""
    while part := os.read(reading, 65536):
        written += part
    os.close(reading)
    assert b"SECRET" not in written
    assert b"SIGNATURE" not in written
    return answer, [json.loads(line) for line in written.splitlines()]


async def test_a_request_leaves_a_line_that_says_all_there_is(counting: Telemetry) -> None:
    _, (line,) = await lines_of(counting, face())
    assert line.pop("time").endswith("Z")
    assert line.pop("ms") >= 0
    assert line.pop("stages").keys() == {"fetch"}
    assert line == {
        "level": "info",
        "process": os.getpid(),
        "id": "request-1",
        "face": "images",
        "method": "GET",
        "status": 200,
        "bytes": 5,
        "cache": "miss",
        "source": "cdn.example.com",
    }


async def test_a_failure_is_told_with_its_detail_and_without_secrets(counting: Telemetry) -> None:
    error = SourceFailed("it broke", detail="at https://me:SECRET@cdn.example.com/a?SECRET\n")
    _, (line,) = await lines_of(counting, face(502, error))
    assert line["error"] == "source-failed"
    assert line["message"] == "it broke"
    assert line["detail"] == "at https://cdn.example.com/a?…\n"
    assert line["level"] == "info"


async def test_what_is_our_own_fault_is_graver(counting: Telemetry) -> None:
    _, (line,) = await lines_of(counting, face(503, Overloaded("too much")))
    assert line["level"] == "warning"


async def test_what_nobody_foresaw_is_gravest(counting: Telemetry) -> None:
    _, (line,) = await lines_of(counting, face(500, ValueError("a fault")))
    assert (line["level"], line["error"]) == ("error", "unforeseen")
    assert "message" not in line


@pytest.mark.parametrize(
    ("requests", "cache", "status", "written"),
    [
        ("all", "hit", 200, 1),
        ("misses", "hit", 200, 0),
        ("misses", "miss", 200, 1),
        ("errors", "miss", 200, 0),
        ("errors", "none", 502, 1),
        ("none", "none", 502, 0),
    ],
)
async def test_which_requests_are_told_of_is_the_operators_to_say(
    counting: Telemetry, requests: Any, cache: str, status: int, written: int
) -> None:
    settings = LogConfig(access=requests)
    _, lines = await lines_of(counting, face(status, cache=cache), settings)
    assert len(lines) == written


async def test_lines_below_the_level_are_not_written(counting: Telemetry) -> None:
    settings = LogConfig(level="warning", access="all")
    assert await lines_of(counting, face(), settings)
    _, lines = await lines_of(counting, face(), settings)
    assert lines == []
    _, lines = await lines_of(counting, face(503, Overloaded("too much")), settings)
    assert len(lines) == 1


async def test_a_request_that_fails_outside_its_face_is_counted_and_rises(
    counting: Telemetry,
) -> None:
    async def broken(_: Scope, __: Receive, ___: Send) -> None:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        await Observed(broken, "images", counting)(
            {"type": "http", "method": "GET"}, _nothing, _nowhere
        )
    assert {reading.metric.name: reading for reading in counting.read()}["requests"].rows[
        "images", "499"
    ] == [1.0]
    assert metrics.current.get() is None


async def _nothing() -> dict[str, Any]:
    return {}


async def _nowhere(message: Any) -> None:
    pass


async def test_the_asker_is_told_of_each_stage_where_that_is_switched_on(
    counting: Telemetry,
) -> None:
    answer, _ = await lines_of(counting, face(), server_timing=True)
    told = answer.headers["server-timing"]
    assert [part.partition(";")[0] for part in told.split(", ")] == ["fetch", "total", "cache"]
    assert told.endswith('cache;desc="miss"')
    answer, _ = await lines_of(counting, face())
    assert "server-timing" not in answer.headers
