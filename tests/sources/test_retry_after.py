"""429 and 503 with Retry-After: passed on, and the server is left alone for that long."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from origin_server import OriginServer
from pictures import encode, gradient
from service_fixture import ServiceHarness

from proxy.api.http.problems import problem_json
from proxy.errors import SourceUnavailable
from proxy.sources.host_pauses import retry_after_seconds

pytestmark = pytest.mark.anyio

IMAGE = encode(gradient(60, 40))
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def serve_unavailable(origin: OriginServer, path: str, status: int, retry_after: str) -> str:
    return origin.serve(path, status=status, headers={"Retry-After": retry_after})


async def error_of(harness: ServiceHarness, url: str) -> SourceUnavailable:
    with pytest.raises(SourceUnavailable) as raised:
        await harness.get(url)
    return raised.value


@pytest.mark.parametrize("status", [429, 503])
async def test_no_url_of_the_server_is_requested_for_that_long(
    harness: ServiceHarness, origin: OriginServer, status: int
) -> None:
    url = serve_unavailable(origin, "/a.png", status, "100")
    other = origin.serve("/b.png", IMAGE)
    error = await error_of(harness, url)
    assert error.retry_after == 100
    assert int(problem_json(error, "")[0]) == status
    assert (b"retry-after", b"100") in problem_json(error, "")[1]
    harness.now += 60
    assert (await error_of(harness, other)).retry_after == 40
    assert (await error_of(harness, url)).retry_after == 40
    assert [request.target for request in origin.requests] == ["/a.png"]
    harness.now += 41
    assert (await harness.get(other)).state == "miss"


async def test_other_workers_leave_the_server_alone_too(
    harness: ServiceHarness, origin: OriginServer, tmp_path: Path
) -> None:
    other = ServiceHarness(tmp_path / "cache")
    url = serve_unavailable(origin, "/a.png", 429, "100")
    await error_of(harness, url)
    await error_of(other, origin.serve("/b.png", IMAGE))
    await other.close()
    assert len(origin.requests) == 1


async def test_other_servers_are_requested_meanwhile(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    await error_of(harness, serve_unavailable(origin, "/a.png", 503, "100"))
    async with OriginServer() as other:
        assert (await harness.get(other.serve("/a.png", IMAGE))).state == "miss"


async def test_a_server_that_others_redirect_to_is_left_alone(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    target = serve_unavailable(origin, "/a.png", 503, "100")
    async with OriginServer() as other:
        url = other.serve("/a.png", status=302, headers={"Location": target})
        again = other.serve("/b.png", status=302, headers={"Location": target})
        assert (await error_of(harness, url)).retry_after == 100
        await error_of(harness, again)
        assert (await harness.get(other.serve("/c.png", IMAGE))).state == "miss"
    assert len(origin.requests) == 1


async def test_cached_results_are_served_meanwhile(
    harness: ServiceHarness, origin: OriginServer
) -> None:
    url = origin.serve("/a.png", IMAGE, headers={"Cache-Control": "max-age=60"})
    await harness.get(url)
    serve_unavailable(origin, "/a.png", 429, "100")
    harness.now += 70
    assert await harness.states(url, url) == ["stale", "stale"]
    assert len(origin.requests) == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        ("601", 600),
        ("9" * 18, 600),
        ("9" * 500, 0),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("", 0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0),
        (format_datetime(NOW + timedelta(days=900), usegmt=True), 600),
    ],
)
def test_the_time_is_in_seconds_or_a_date_and_bounded(text: str, seconds: int) -> None:
    assert retry_after_seconds(text, NOW, 600.0) == seconds
