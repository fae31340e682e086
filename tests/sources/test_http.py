"""Originals at http(s) URLs, from a correct server."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web
from origin_server import FaultyOrigin, OriginServer

from proxy.errors import (
    InvalidSource,
    SourceDenied,
    SourceFailed,
    SourceForbidden,
    SourceNotFound,
    SourceTimedOut,
    SourceTooLarge,
)
from proxy.limits import Limits
from proxy.originals import NotModified, Original, OriginMetadata, SourceRef, Upload, Validators
from proxy.sources.http import HttpSource
from proxy.sources.net.config import HttpClientConfig
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import SsrfPolicy

pytestmark = pytest.mark.anyio

LIMITS = Limits(max_source_bytes=1000, max_redirects=3, fetch_timeout_seconds=60)
BODY = b"picture " * 100
OK_HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    config = HttpClientConfig(connect_timeout_seconds=60, read_timeout_seconds=60)
    client = HttpClient(SsrfPolicy(allow_nets=["127.0.0.1"]), config)
    yield client
    await client.close()


@pytest.fixture
def source(client: HttpClient) -> HttpSource:
    return HttpSource(client, LIMITS, retry_backoff_seconds=0)


async def fetch(source: HttpSource, url: str) -> Original:
    original = await source.fetch(SourceRef(url))
    assert isinstance(original, Original)
    return original


async def test_an_original_is_fetched(source: HttpSource, origin: OriginServer) -> None:
    original = await fetch(source, origin.serve("/a.jpg?x=%2F", BODY))
    assert original.body.read() == BODY
    assert original.digest == hashlib.sha256(BODY).hexdigest()
    assert original.metadata == OriginMetadata()


async def test_requests_have_our_headers_and_no_others(
    source: HttpSource, origin: OriginServer
) -> None:
    await source.fetch(SourceRef(origin.serve("/a.jpg", BODY)))
    (request,) = origin.requests
    assert request.headers == {
        "host": origin.url("").removeprefix("http://"),
        "user-agent": "Framekeep",
        "accept": "*/*",
        "accept-encoding": "identity",
        "via": "1.1 framekeep",
    }


async def test_the_target_is_sent_verbatim(source: HttpSource, origin: OriginServer) -> None:
    target = "/a//b/../%2e%2F%zz;x?q=%20+&&u=http://h:1/~{}|"
    await source.fetch(SourceRef(origin.serve(target, BODY)))
    assert origin.requests[0].target == target


async def test_no_cookies_and_no_proxies_are_used(
    source: HttpSource, origin: OriginServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultyOrigin.sending(b"") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url())
        monkeypatch.setenv("all_proxy", proxy.url())
        url = origin.serve("/a.jpg", BODY, headers={"Set-Cookie": "a=b"})
        await source.fetch(SourceRef(url))
        await source.fetch(SourceRef(url))
        assert proxy.connections == 0
    assert "cookie" not in origin.requests[1].headers


async def test_response_headers_become_metadata(source: HttpSource, origin: OriginServer) -> None:
    headers = {
        "ETag": '"1"',
        "Last-Modified": "Thu, 01 Jan 2026 11:00:00 GMT",
        "Cache-Control": "max-age=60",
        "Cache-Tag": "a,b",
    }
    original = await fetch(source, origin.serve("/a.jpg", BODY, headers=headers))
    validators = Validators('"1"', "Thu, 01 Jan 2026 11:00:00 GMT")
    assert original.metadata == OriginMetadata(validators, ttl=60, tags=("a", "b"))


async def test_private_counts_also_beside_unprintable_characters(source: HttpSource) -> None:
    head = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: x="\xe4", private\r\n\r\n'
    async with FaultyOrigin.sending(head + b"hi") as origin:
        assert (await fetch(source, origin.url())).metadata.directives.is_private


async def test_a_304_is_not_modified(source: HttpSource, origin: OriginServer) -> None:
    url = origin.serve("/a.jpg", status=304, headers={"Cache-Control": "max-age=60"})
    known = Validators('W/"1"', "Thu, 01 Jan 2026 11:00:00 GMT")
    assert await source.fetch(SourceRef(url), known) == NotModified(OriginMetadata(known, ttl=60))
    assert origin.requests[0].headers["if-none-match"] == 'W/"1"'
    assert origin.requests[0].headers["if-modified-since"] == "Thu, 01 Jan 2026 11:00:00 GMT"


async def test_a_304_may_bring_new_validators(source: HttpSource, origin: OriginServer) -> None:
    url = origin.serve("/a.jpg", status=304, headers={"ETag": '"2"'})
    unchanged = await source.fetch(SourceRef(url), Validators('"1"'))
    assert unchanged == NotModified(OriginMetadata(Validators('"2"')))


async def test_a_changed_original_is_fetched(source: HttpSource, origin: OriginServer) -> None:
    original = await source.fetch(SourceRef(origin.serve("/a.jpg", BODY)), Validators('"1"'))
    assert isinstance(original, Original)


@pytest.mark.parametrize("validators", [None, Validators()])
async def test_a_304_without_validators_is_an_error(
    source: HttpSource, origin: OriginServer, validators: Validators | None
) -> None:
    with pytest.raises(SourceFailed, match="status 304"):
        await source.fetch(SourceRef(origin.serve("/a.jpg", status=304)), validators)


@pytest.mark.parametrize(
    ("status", "error", "requests"),
    [
        (204, SourceFailed, 1),
        (206, SourceFailed, 1),
        (300, SourceFailed, 1),
        (400, SourceDenied, 1),
        (401, SourceDenied, 1),
        (403, SourceDenied, 1),
        (404, SourceNotFound, 1),
        (410, SourceNotFound, 1),
        (429, SourceFailed, 1),
        (500, SourceFailed, 1),
        (502, SourceFailed, 3),
        (503, SourceFailed, 3),
        (504, SourceFailed, 3),
        (599, SourceFailed, 1),
    ],
)
async def test_other_statuses_are_errors(
    source: HttpSource, origin: OriginServer, status: int, error: type[Exception], requests: int
) -> None:
    with pytest.raises(error, match=str(status)):
        await source.fetch(SourceRef(origin.serve("/a.jpg", BODY, status=status)))
    assert origin.count("/a.jpg") == requests


async def test_retry_after_prevents_a_retry(source: HttpSource, origin: OriginServer) -> None:
    url = origin.serve("/a.jpg", status=503, headers={"Retry-After": "60"})
    with pytest.raises(SourceFailed):
        await source.fetch(SourceRef(url))
    assert origin.count("/a.jpg") == 1


async def test_a_retry_hides_a_transient_failure(source: HttpSource, origin: OriginServer) -> None:
    async def busy_at_first(_: web.BaseRequest) -> web.Response:
        return web.Response(body=BODY, status=200 if origin.count("/a.jpg") > 2 else 503)

    original = await fetch(source, origin.handle("/a.jpg", busy_at_first))
    assert original.body.read() == BODY


async def test_the_size_limit_is_exact(source: HttpSource, origin: OriginServer) -> None:
    original = await fetch(source, origin.serve("/most.jpg", bytes(1000)))
    assert len(original.body) == 1000
    with pytest.raises(SourceTooLarge, match="larger than 1000 bytes"):
        await fetch(source, origin.serve("/more.jpg", bytes(1001)))


async def test_the_size_of_a_chunked_body_is_limited(
    source: HttpSource, origin: OriginServer
) -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(400))

    with pytest.raises(SourceTooLarge):
        await fetch(source, origin.handle("/a.jpg", endless))


async def test_an_empty_body_is_an_original(source: HttpSource, origin: OriginServer) -> None:
    original = await fetch(source, origin.serve("/a.jpg", b""))
    assert original.body.read() == b""


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(
    source: HttpSource, origin: OriginServer, status: int
) -> None:
    origin.serve("/b.jpg", BODY)
    url = origin.serve("/a.jpg", status=status, headers={"Location": "/b.jpg"})
    original = await fetch(source, url)
    assert original.body.read() == BODY


async def test_the_redirect_limit_is_exact(source: HttpSource, origin: OriginServer) -> None:
    for hop in range(3):
        origin.serve(f"/{hop}", status=302, headers={"Location": f"/{hop + 1}"})
    origin.serve("/3", BODY)
    await source.fetch(SourceRef(origin.url("/0")))
    origin.serve("/3", status=302, headers={"Location": "/4"})
    origin.serve("/4", BODY)
    with pytest.raises(SourceFailed, match="redirect limit exceeded: more than 3 redirects"):
        await source.fetch(SourceRef(origin.url("/0")))
    assert origin.count("/4") == 0


async def test_a_redirect_loop_is_an_error(source: HttpSource, origin: OriginServer) -> None:
    origin.serve("/a", status=302, headers={"Location": "/b"})
    origin.serve("/b", status=302, headers={"Location": "/a#again"})
    with pytest.raises(SourceFailed, match="redirect loop"):
        await source.fetch(SourceRef(origin.url("/a")))
    assert len(origin.requests) == 2


@pytest.mark.parametrize(
    "location",
    [
        *("file:///etc/passwd", "ftp://example.com/", "data:image/png,x", "http://u:p@a/", ""),
        *("http://0177.1/", "http://[::1", "//127.1/", "\\\\evil\\x", "gopher://127.0.0.1/"),
    ],
)
async def test_a_redirect_to_an_invalid_url_is_an_error(
    source: HttpSource, origin: OriginServer, location: str
) -> None:
    url = origin.serve("/a.jpg", status=302, headers={"Location": location})
    with pytest.raises(SourceFailed, match="redirect"):
        await source.fetch(SourceRef(url))
    assert len(origin.requests) == 1


async def test_the_policy_checks_each_redirect(source: HttpSource, origin: OriginServer) -> None:
    async with FaultyOrigin.sending(b"") as secret:
        location = f"http://[::ffff:127.0.0.2]:{secret.port}/"
        url = origin.serve("/a.jpg", status=302, headers={"Location": location})
        with pytest.raises(SourceForbidden, match="source address not allowed"):
            await source.fetch(SourceRef(url))
        assert secret.connections == 0


async def test_a_redirect_to_a_denied_port_is_an_error(
    source: HttpSource, origin: OriginServer
) -> None:
    url = origin.serve("/a", status=302, headers={"Location": "http://127.0.0.1:25/"})
    with pytest.raises(SourceForbidden, match="source port not allowed: 25"):
        await source.fetch(SourceRef(url))


async def test_a_request_can_have_headers(source: HttpSource, origin: OriginServer) -> None:
    url = origin.serve("/a.jpg", BODY)
    headers = (("authorization", "Bearer secret"), ("user-agent", "me"), ("accept-language", "de"))
    await source.fetch(SourceRef(url, headers=headers, timeout_seconds=50))
    assert set(headers) <= set(origin.requests[0].headers.items())
    await source.fetch(SourceRef(url))
    assert origin.requests[1].headers["user-agent"] == "Framekeep"
    assert "authorization" not in origin.requests[1].headers


async def test_headers_are_not_sent_to_another_server_after_a_redirect(
    source: HttpSource, origin: OriginServer
) -> None:
    async with OriginServer() as other:
        other.serve("/b", status=302, headers={"Location": origin.serve("/c", BODY)})
        origin.serve("/a", status=302, headers={"Location": "/a2"})
        origin.serve("/a2", status=302, headers={"Location": other.url("/b")})
        await source.fetch(SourceRef(origin.url("/a"), headers=(("authorization", "secret"),)))
        sent = [
            (request.target, request.headers.get("authorization"))
            for request in (*origin.requests, *other.requests)
        ]
    assert sent == [("/a", "secret"), ("/a2", "secret"), ("/c", None), ("/b", None)]


async def test_reserved_headers_are_an_error(source: HttpSource, origin: OriginServer) -> None:
    url = origin.serve("/a.jpg", BODY)
    with pytest.raises(InvalidSource, match="header host"):
        await source.fetch(SourceRef(url, headers=(("Host", "internal"),)))
    assert not origin.requests


async def test_a_missing_response_is_a_timeout(client: HttpClient, origin: OriginServer) -> None:
    async def never(_: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    url = origin.handle("/a.jpg", never)
    with pytest.raises(SourceTimedOut, match=r"timeout exceeded after 0\.2 s"):
        await HttpSource(client, LIMITS).fetch(SourceRef(url, timeout_seconds=0.2))


async def test_errors_do_not_contain_queries(client: HttpClient) -> None:
    source = HttpSource(client, LIMITS)
    async with FaultyOrigin.sending(b"no HTTP") as server:
        with pytest.raises(SourceFailed) as failed:
            await source.fetch(SourceRef(server.url("/a.jpg?key=secret")))
    assert failed.value.detail
    assert "secret" not in failed.value.detail + str(failed.value)


async def test_a_request_can_only_shorten_the_timeout(
    client: HttpClient, origin: OriginServer
) -> None:
    async def never(_: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    url = origin.handle("/a.jpg", never)
    source = HttpSource(client, Limits(fetch_timeout_seconds=0.2))
    with pytest.raises(SourceTimedOut, match=r"timeout exceeded after 0\.2 s"):
        await source.fetch(SourceRef(url, timeout_seconds=90))


@asynccontextmanager
async def silent_servers(count: int) -> AsyncIterator[tuple[list[str], asyncio.Semaphore]]:
    """URLs of servers that never answer, and a semaphore that counts their requests."""
    arrived = asyncio.Semaphore(0)

    async def never(_: web.BaseRequest) -> web.Response:
        arrived.release()
        await asyncio.Event().wait()
        raise AssertionError

    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(OriginServer()) for _ in range(count)]
        yield [server.handle("/a.jpg", never) for server in servers], arrived


@asynccontextmanager
async def fetching(source: HttpSource, urls: Iterable[str]) -> AsyncIterator[None]:
    """Fetch from all of them meanwhile; the block must not wait for them."""
    waiting = [asyncio.create_task(source.fetch(SourceRef(url))) for url in urls]
    try:
        async with asyncio.timeout(50):  # less than a fetch may take
            yield
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize(
    ("per_host", "per_address", "host"),
    [(2, 64, "127.0.0.1"), (16, 2, "h{number}.localhost")],
    ids=["many ports of a host", "many hosts at an address"],
)
async def test_a_silent_origin_does_not_take_all_connections(
    per_host: int, per_address: int, host: str
) -> None:
    """Two of four connections wait for ever, and another origin gets a request."""
    policy = SsrfPolicy(allow_nets=["127.0.0.0/8"])
    config = HttpClientConfig(
        max_connections=4,
        max_connections_per_host=per_host,
        max_connections_per_address=per_address,
        read_timeout_seconds=60,
    )
    client = HttpClient(policy, config)
    source = HttpSource(client, LIMITS)
    async with silent_servers(8) as (urls, arrived):
        silent = [
            url.replace("127.0.0.1", host.format(number=number)) for number, url in enumerate(urls)
        ]
        other = FaultyOrigin.sending(OK_HELLO)
        other.host = "127.0.0.2"
        async with other, fetching(source, silent):
            await arrived.acquire()
            await arrived.acquire()
            original = await fetch(source, other.url())
            assert original.body.read() == b"hello"
            assert arrived.locked()
    await client.close()


async def test_hosts_that_wait_for_their_own_share_leave_that_of_their_address_to_others() -> None:
    client = HttpClient(
        SsrfPolicy(allow_nets=["127.0.0.1"]),
        HttpClientConfig(
            max_connections_per_host=1, max_connections_per_address=2, read_timeout_seconds=60
        ),
    )
    source = HttpSource(client, LIMITS)
    async with (
        silent_servers(4) as (urls, arrived),
        FaultyOrigin.sending(OK_HELLO) as other,
        fetching(source, urls),
    ):
        await arrived.acquire()
        original = await fetch(source, other.url().replace("127.0.0.1", "other.localhost"))
        assert original.body.read() == b"hello"
    await client.close()


async def test_an_upload_is_invalid(source: HttpSource) -> None:
    with pytest.raises(InvalidSource):
        await source.fetch(Upload.from_bytes(BODY))
