"""The images endpoint over ASGI: responses, conditions, ranges, errors."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2 as httpx
import msgspec
import pytest
from render_processes import MAX_WAIT_SECONDS

from proxy.api.http.cache_control import StaleConfig
from proxy.api.images import ImagesEndpoint
from proxy.api.response_cache import ResponseCache
from proxy.errors import Overloaded, SourceNotFound
from proxy.geometry import Size
from proxy.image_request import ImageRequest
from proxy.imaging.results import Rendition
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.native import NativeDialect
from proxy.operations.operation import Operation
from proxy.operations.registry import OperationRegistry
from proxy.render.scheduling import Priority
from proxy.service import ImageResult

pytestmark = pytest.mark.anyio

BODY = bytes(range(100))
ETAG = '"abc"'
CHANGED = "Wed, 21 Oct 2015 07:28:00 GMT"
URL = "https://images.example/a.jpg"


class Package(Operation, frozen=True):
    """The format."""

    format: str = "webp"


class CachedImages:
    """A service with one result, which records its requests."""

    def __init__(self, **changes: Any) -> None:
        rendition = Rendition(BODY, "webp", Size(10, 10), changes.pop("crop_reason", ""))
        self.result = msgspec.structs.replace(
            ImageResult(rendition, ETAG, "hit", 7.9, 3600.0, 0.0, CHANGED), **changes
        )
        self.requests: list[ImageRequest] = []

    async def get_or_render(
        self, request: ImageRequest, priority: Priority = "interactive"
    ) -> ImageResult:
        self.requests.append(request)
        return self.result


class Current:
    """Whether results are current, as the test sets it."""

    def __init__(self) -> None:
        self.value = True

    def __call__(self) -> bool:
        return self.value


class FailingService:
    def __init__(self, error: Exception) -> None:
        self.error = error

    async def get_or_render(
        self, request: ImageRequest, priority: Priority = "interactive"
    ) -> ImageResult:
        raise self.error


def images(service: Any, cache_bytes: int = 0) -> ImagesEndpoint:
    context = DialectContext(
        OperationRegistry([Package]), LinksConfig(allow_unsigned=True), aliases=["a"]
    )
    native = NativeDialect(context, now=lambda: 1000.0)
    return ImagesEndpoint(
        native,
        service,
        stale=StaleConfig(300, 600),
        cache=ResponseCache(cache_bytes),
        now=lambda: 1000.0,
    )


async def fetch(
    service: Any, rest: str = URL, method: str = "GET", **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    transport = httpx.ASGITransport(app=images(service))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, f"/_/{rest}", headers=named)


async def test_an_image_has_all_headers_that_a_cdn_uses() -> None:
    response = await fetch(CachedImages(crop_reason="face"), f"filename:a/{URL}")
    assert response.status_code == 200
    assert response.content == BODY
    headers = dict(response.headers)
    assert len(headers.pop("x-request-id")) == 32
    assert headers == {
        "cache-control": "public, max-age=3600, stale-while-revalidate=300, stale-if-error=600",
        "age": "7",
        "etag": ETAG,
        "last-modified": CHANGED,
        "x-cache": "hit",
        "cache-tag": "framekeep",
        "surrogate-key": "framekeep",
        "x-focus": "face",
        "content-type": "image/webp",
        "content-length": "100",
        "content-disposition": 'inline; filename="a.webp"',
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "cross-origin-resource-policy": "cross-origin",
    }


async def test_headers_without_a_value_are_left_out() -> None:
    response = await fetch(CachedImages(last_modified=""))
    assert not {"last-modified", "x-focus", "content-disposition", "vary"} & set(response.headers)


async def test_head_has_the_headers_of_get() -> None:
    service = CachedImages()
    head, get = await fetch(service, method="HEAD"), await fetch(service)
    assert head.content == b""
    for headers in (head.headers, get.headers):
        del headers["x-request-id"]
    assert head.headers == get.headers


async def test_the_query_belongs_to_the_source() -> None:
    service = CachedImages()
    await fetch(service, f"{URL}?a=%2F&b=//c?d")
    assert service.requests[0].source.text == f"{URL}?a=%2F&b=//c?d"  # type: ignore[union-attr]


# Content negotiation.


async def test_an_automatic_format_varies_by_accept() -> None:
    service = CachedImages()
    response = await fetch(service, f"package:auto/{URL}", accept="image/avif,image/webp;q=0.9")
    assert response.headers["vary"] == "Accept"
    assert service.requests[0].plan.accepted_formats == ("avif", "webp")


async def test_a_named_format_does_not_vary() -> None:
    service = CachedImages()
    response = await fetch(service, f"package:webp/{URL}", accept="image/avif")
    assert "vary" not in response.headers
    assert service.requests[0].plan.accepted_formats == ()


# Conditional requests.


@pytest.mark.parametrize(
    "conditions",
    [
        {"if_none_match": ETAG},
        {"if_none_match": f"W/{ETAG}"},
        {"if_none_match": f'"x", {ETAG}'},
        {"if_none_match": "*"},
        {"if_modified_since": CHANGED},
        {"if_modified_since": "Thu, 22 Oct 2015 07:28:00 GMT"},
        {"if_none_match": ETAG, "if_modified_since": "Tue, 20 Oct 2015 07:28:00 GMT"},
        {"if_none_match": ETAG, "range": "bytes=0-1"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_current_copy_is_not_sent_again(conditions: dict[str, str], method: str) -> None:
    response = await fetch(CachedImages(), f"package:auto/{URL}", method, **conditions)
    assert response.status_code == 304
    assert response.content == b""
    names = {"etag", "cache-control", "vary", "last-modified", "age"}
    assert names <= set(response.headers)
    assert not {"content-type", "content-length"} & set(response.headers)


@pytest.mark.parametrize(
    "conditions",
    [
        {"if_none_match": '"ab"'},
        {"if_none_match": "abc"},
        {"if_none_match": ""},
        {"if_none_match": '"x"', "if_modified_since": CHANGED},
        {"if_modified_since": "Tue, 20 Oct 2015 07:28:00 GMT"},
        {"if_modified_since": "yesterday"},
        {"if_modified_since": ""},
    ],
)
async def test_an_outdated_copy_is_replaced(conditions: dict[str, str]) -> None:
    assert (await fetch(CachedImages(), **conditions)).status_code == 200


async def test_without_last_modified_a_date_matches_nothing() -> None:
    response = await fetch(CachedImages(last_modified=""), if_modified_since=CHANGED)
    assert response.status_code == 200


# Range requests.


@pytest.mark.parametrize(
    ("requested", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=90-", 90, 99),
        ("bytes=-10", 90, 99),
        ("bytes=-1000", 0, 99),
        ("bytes=50-1000", 50, 99),
        ("bytes=99-99", 99, 99),
    ],
)
async def test_a_range_of_bytes(requested: str, first: int, last: int) -> None:
    response = await fetch(CachedImages(), range=requested)
    assert response.status_code == 206
    assert response.content == BODY[first : last + 1]
    assert response.headers["content-range"] == f"bytes {first}-{last}/100"
    assert response.headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize(
    "requested",
    [
        "bytes=0-1,3-4",
        "bytes=9-0",
        "bytes=-",
        "bytes=a-b",
        "lines=0-1",
        "0-1",
        "bytes=0-" * 9,
    ],
)
async def test_anything_but_a_single_range_gets_the_whole_body(requested: str) -> None:
    response = await fetch(CachedImages(), range=requested)
    assert (response.status_code, response.content) == (200, BODY)


@pytest.mark.parametrize("requested", ["bytes=100-", "bytes=100-200", "bytes=-0"])
async def test_a_range_outside_of_the_body_is_rejected(requested: str) -> None:
    response = await fetch(CachedImages(), range=requested)
    assert response.status_code == 416
    assert response.headers["content-range"] == "bytes */100"


@pytest.mark.parametrize(
    ("condition", "status"),
    [(ETAG, 206), (CHANGED, 206), ('"other"', 200), (f"W/{ETAG}", 200), ("soon", 200)],
)
async def test_if_range_matches_only_exactly(condition: str, status: int) -> None:
    response = await fetch(CachedImages(), range="bytes=0-9", if_range=condition)
    assert response.status_code == status


async def test_head_ignores_ranges() -> None:
    assert (await fetch(CachedImages(), method="HEAD", range="bytes=0-9")).status_code == 200


# Cache-Control.


async def test_an_unlimited_ttl_is_sent_as_a_year() -> None:
    response = await fetch(CachedImages(ttl=float("inf")))
    assert "max-age=31536000," in response.headers["cache-control"]


@pytest.mark.parametrize(
    ("expires", "directives"),
    [
        (1010, "max-age=17, stale-while-revalidate=0, stale-if-error=0"),
        (1000 + 3600, "max-age=3600, stale-while-revalidate=7, stale-if-error=7"),
        (1000 + 4000, "max-age=3600, stale-while-revalidate=300, stale-if-error=407"),
        (1000 + 9000, "max-age=3600, stale-while-revalidate=300, stale-if-error=600"),
    ],
)
async def test_caching_ends_when_the_url_expires(expires: int, directives: str) -> None:
    """Caches count from the last validation, seven seconds ago."""
    response = await fetch(CachedImages(), f"expires:{expires}/{URL}")
    assert response.headers["cache-control"] == f"public, {directives}"


# Errors.


async def test_an_error_is_a_problem_with_the_request_id() -> None:
    response = await fetch(CachedImages(), f"package:webp:1/{URL}", x_request_id="from-the-cdn-1")
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == response.json()["instance"] == "from-the-cdn-1"
    assert "segment 2 ('package:webp:1')" in response.json()["detail"]
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("id", ["x" * 65, "short", "with space in it", "a<b>cdefgh"])
async def test_request_ids_with_other_characters_are_replaced(id: str) -> None:
    assert (await fetch(CachedImages(), x_request_id=id)).headers["x-request-id"] != id


async def test_head_of_an_error_has_no_body() -> None:
    response = await fetch(FailingService(SourceNotFound("nothing there")), method="HEAD")
    assert (response.status_code, response.content) == (404, b"")
    assert int(response.headers["content-length"]) > 0


async def test_an_overloaded_server_sends_retry_after() -> None:
    response = await fetch(FailingService(Overloaded("full", retry_after=3)))
    assert (response.status_code, response.headers["retry-after"]) == (503, "3")


async def test_an_unexpected_error_is_logged_and_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    response = await fetch(FailingService(RuntimeError("the secret")))
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json()["instance"] in caplog.text
    assert "the secret" in caplog.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_only_get_and_head_are_allowed(method: str) -> None:
    response = await fetch(CachedImages(), method=method)
    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD")


async def test_a_request_of_this_server_itself_is_a_loop() -> None:
    response = await fetch(CachedImages(), via="1.1 cdn.example, 1.1 framekeep")
    assert response.status_code == 508


async def test_other_proxies_are_no_loop() -> None:
    assert (await fetch(CachedImages(), via="1.1 cdn.example")).status_code == 200


# Clients that disconnect.


class NeverDone:
    """A service that renders until it is cancelled."""

    def __init__(self) -> None:
        self.started, self.ended = asyncio.Event(), asyncio.Event()

    async def get_or_render(
        self, request: ImageRequest, priority: Priority = "interactive"
    ) -> ImageResult:
        self.started.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()
        raise AssertionError


def scope() -> dict[str, Any]:
    path = f"/_/{URL}".encode()
    return {"type": "http", "method": "GET", "headers": [], "raw_path": path, "query_string": b""}


def disconnect_after(after: asyncio.Event) -> Callable[[], Awaitable[dict[str, Any]]]:
    async def receive() -> dict[str, Any]:
        await after.wait()
        return {"type": "http.disconnect"}

    return receive


async def fail_on_send(message: Any) -> None:
    raise AssertionError(message)


async def test_rendering_is_cancelled_when_the_client_disconnects() -> None:
    service = NeverDone()
    async with asyncio.timeout(MAX_WAIT_SECONDS):
        await images(service)(scope(), disconnect_after(service.started), fail_on_send)
    assert service.ended.is_set()


async def test_a_cancelled_server_task_is_no_disconnect() -> None:
    service = NeverDone()
    running = asyncio.create_task(
        images(service)(scope(), disconnect_after(asyncio.Event()), fail_on_send)
    )
    await service.started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert service.ended.is_set()


# The response cache.


def client_of(service: Any, cache_bytes: int = 1_000_000) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=images(service, cache_bytes))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def test_a_current_response_is_sent_again_without_the_service() -> None:
    service = CachedImages(is_current=Current())
    async with client_of(service) as client:
        first, repeated = [await client.get(f"/_/{URL}") for _ in range(2)]
        unchanged = await client.get(f"/_/{URL}", headers={"if-none-match": ETAG})
        head = await client.head(f"/_/{URL}")
    for response in (first, repeated, head):
        assert response.headers.pop("x-request-id")
    assert (repeated.status_code, repeated.headers, repeated.content) == (200, first.headers, BODY)
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", ETAG)
    assert (head.headers, head.content) == (first.headers, b"")
    assert len(service.requests) == 1


async def test_an_outdated_response_is_not_sent_again() -> None:
    current = Current()
    service = CachedImages(is_current=current)
    async with client_of(service) as client:
        await client.get(f"/_/{URL}")
        current.value = False
        await client.get(f"/_/{URL}")
    assert len(service.requests) == 2
    assert service.requests[0] == service.requests[1]


@pytest.mark.parametrize(
    ("rest", "headers"), [(f"expires:2000/{URL}", {}), (URL, {"range": "bytes=0-9"})]
)
async def test_responses_that_depend_on_more_than_the_url_are_not_cached(
    rest: str, headers: dict[str, str]
) -> None:
    service = CachedImages(is_current=Current())
    async with client_of(service) as client:
        for _ in range(2):
            await client.get(f"/_/{rest}", headers=headers)
    assert len(service.requests) == 2


async def test_each_set_of_accepted_formats_has_its_own_response() -> None:
    service = CachedImages(is_current=Current())
    async with client_of(service) as client:
        for accept in ("image/avif", "image/webp", "image/avif"):
            await client.get(f"/_/package:auto/{URL}", headers={"accept": accept})
    assert [request.plan.accepted_formats for request in service.requests] == [("avif",), ("webp",)]


async def test_the_response_cache_is_bounded() -> None:
    service = CachedImages(is_current=Current())
    async with client_of(service, cache_bytes=10_000) as client:
        for _ in range(2):
            for number in range(4):
                await client.get(f"/_/{URL}?{number}")
    assert len(service.requests) == 8
