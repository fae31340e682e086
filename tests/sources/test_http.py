"""Originals at http(s) URLs, from a server that behaves."""

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from origin_server import FaultOrigin, Origin

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
from proxy.sources.net.http_client import HttpClient, HttpClientConfig
from proxy.sources.net.ssrf_policy import SsrfPolicy

pytestmark = pytest.mark.anyio

LIMITS = Limits(max_source_bytes=1000, max_redirects=3, fetch_timeout_seconds=60)
BODY = b"picture " * 100


@pytest.fixture
async def dialer() -> AsyncIterator[HttpClient]:
    patient = HttpClientConfig(connect_timeout_seconds=60, read_timeout_seconds=60)
    dialer = HttpClient(SsrfPolicy(allow_nets=["127.0.0.1"]), patient)
    yield dialer
    await dialer.close()


@pytest.fixture
def source(dialer: HttpClient) -> HttpSource:
    return HttpSource(dialer, LIMITS, retry_seconds=0)


async def fetch(source: HttpSource, url: str) -> Original:
    original = await source.fetch(SourceRef(url))
    assert isinstance(original, Original)
    return original


async def test_the_original_is_what_lies_there(source: HttpSource, origin: Origin) -> None:
    original = await fetch(source, origin.serve("/a.jpg?x=%2F", BODY))
    assert original.body.read() == BODY
    assert original.digest == hashlib.sha256(BODY).hexdigest()
    assert original.metadata == OriginMetadata()


async def test_we_say_who_we_are_and_nothing_of_anybody_else(
    source: HttpSource, origin: Origin
) -> None:
    await source.fetch(SourceRef(origin.serve("/a.jpg", BODY)))
    (asked,) = origin.asked
    assert asked.headers == {
        "host": origin.url("").removeprefix("http://"),
        "user-agent": "Framekeep",
        "accept": "*/*",
        "accept-encoding": "identity",
        "via": "1.1 framekeep",
    }


async def test_the_target_goes_out_as_it_was_written(source: HttpSource, origin: Origin) -> None:
    target = "/a//b/../%2e%2F%zz;x?q=%20+&&u=http://h:1/~{}|"
    await source.fetch(SourceRef(origin.serve(target, BODY)))
    assert origin.asked[0].target == target


async def test_neither_cookies_nor_proxies_nor_netrc(
    source: HttpSource, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FaultOrigin.saying(b"") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url())
        monkeypatch.setenv("all_proxy", proxy.url())
        url = origin.serve("/a.jpg", BODY, headers={"Set-Cookie": "a=b"})
        await source.fetch(SourceRef(url))
        await source.fetch(SourceRef(url))
        assert proxy.connections == 0
    assert "cookie" not in origin.asked[1].headers


async def test_what_the_answer_says_is_handed_on(source: HttpSource, origin: Origin) -> None:
    headers = {
        "ETag": '"1"',
        "Last-Modified": "Thu, 01 Jan 2026 11:00:00 GMT",
        "Cache-Control": "max-age=60",
        "Cache-Tag": "a,b",
    }
    original = await fetch(source, origin.serve("/a.jpg", BODY, headers=headers))
    validators = Validators('"1"', "Thu, 01 Jan 2026 11:00:00 GMT")
    assert original.metadata == OriginMetadata(validators, ttl=60, tags=("a", "b"))


async def test_asked_whether_it_changed(source: HttpSource, origin: Origin) -> None:
    url = origin.serve("/a.jpg", status=304, headers={"Cache-Control": "max-age=60"})
    known = Validators('W/"1"', "Thu, 01 Jan 2026 11:00:00 GMT")
    assert await source.fetch(SourceRef(url), known) == NotModified(
        OriginMetadata(known, ttl=60)
    )
    assert origin.asked[0].headers["if-none-match"] == 'W/"1"'
    assert origin.asked[0].headers["if-modified-since"] == "Thu, 01 Jan 2026 11:00:00 GMT"


async def test_new_validators_take_the_place_of_the_old(source: HttpSource, origin: Origin) -> None:
    url = origin.serve("/a.jpg", status=304, headers={"ETag": '"2"'})
    unchanged = await source.fetch(SourceRef(url), Validators('"1"'))
    assert unchanged == NotModified(OriginMetadata(Validators('"2"')))


async def test_it_has_changed(source: HttpSource, origin: Origin) -> None:
    original = await source.fetch(SourceRef(origin.serve("/a.jpg", BODY)), Validators('"1"'))
    assert isinstance(original, Original)


@pytest.mark.parametrize("validators", [None, Validators()])
async def test_unchanged_is_no_answer_when_we_have_nothing(
    source: HttpSource, origin: Origin, validators: Validators | None
) -> None:
    with pytest.raises(SourceFailed, match="status 304"):
        await source.fetch(SourceRef(origin.serve("/a.jpg", status=304)), validators)


@pytest.mark.parametrize(
    ("status", "error", "asked"),
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
async def test_other_answers_are_failures(
    source: HttpSource, origin: Origin, status: int, error: type[Exception], asked: int
) -> None:
    with pytest.raises(error, match=str(status)):
        await source.fetch(SourceRef(origin.serve("/a.jpg", BODY, status=status)))
    assert origin.count("/a.jpg") == asked


async def test_a_server_that_says_when_to_come_back_is_not_asked_again_at_once(
    source: HttpSource, origin: Origin
) -> None:
    url = origin.serve("/a.jpg", status=503, headers={"Retry-After": "60"})
    with pytest.raises(SourceFailed):
        await source.fetch(SourceRef(url))
    assert origin.count("/a.jpg") == 1


async def test_what_is_over_in_a_moment_is_not_noticed(source: HttpSource, origin: Origin) -> None:
    async def busy_at_first(_: web.BaseRequest) -> web.Response:
        return web.Response(body=BODY, status=200 if origin.count("/a.jpg") > 2 else 503)

    original = await fetch(source, origin.handle("/a.jpg", busy_at_first))
    assert original.body.read() == BODY


async def test_size_at_the_bound_and_one_above(source: HttpSource, origin: Origin) -> None:
    original = await fetch(source, origin.serve("/most.jpg", bytes(1000)))
    assert len(original.body) == 1000
    with pytest.raises(SourceTooLarge, match="larger than 1000 bytes"):
        await fetch(source, origin.serve("/more.jpg", bytes(1001)))


async def test_size_is_counted_where_it_is_not_said(source: HttpSource, origin: Origin) -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(400))

    with pytest.raises(SourceTooLarge):
        await fetch(source, origin.handle("/a.jpg", endless))


async def test_an_empty_body_is_an_original(source: HttpSource, origin: Origin) -> None:
    original = await fetch(source, origin.serve("/a.jpg", b""))
    assert original.body.read() == b""


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(source: HttpSource, origin: Origin, status: int) -> None:
    origin.serve("/b.jpg", BODY)
    url = origin.serve("/a.jpg", status=status, headers={"Location": "/b.jpg"})
    original = await fetch(source, url)
    assert original.body.read() == BODY


async def test_as_many_redirects_as_allowed(source: HttpSource, origin: Origin) -> None:
    for hop in range(3):
        origin.serve(f"/{hop}", status=302, headers={"Location": f"/{hop + 1}"})
    origin.serve("/3", BODY)
    await source.fetch(SourceRef(origin.url("/0")))
    origin.serve("/3", status=302, headers={"Location": "/4"})
    origin.serve("/4", BODY)
    with pytest.raises(SourceFailed, match="redirects more than 3 times"):
        await source.fetch(SourceRef(origin.url("/0")))
    assert origin.count("/4") == 0


async def test_redirects_in_a_circle_are_seen_at_once(source: HttpSource, origin: Origin) -> None:
    origin.serve("/a", status=302, headers={"Location": "/b"})
    origin.serve("/b", status=302, headers={"Location": "/a#again"})
    with pytest.raises(SourceFailed, match="in a circle"):
        await source.fetch(SourceRef(origin.url("/a")))
    assert len(origin.asked) == 2


@pytest.mark.parametrize(
    "location",
    [
        *("file:///etc/passwd", "ftp://example.com/", "data:image/png,x", "http://u:p@a/", ""),
        *("http://0177.1/", "http://[::1", "//127.1/", "\\\\evil\\x", "gopher://127.0.0.1/"),
    ],
)
async def test_redirects_to_what_is_no_url_of_ours(
    source: HttpSource, origin: Origin, location: str
) -> None:
    url = origin.serve("/a.jpg", status=302, headers={"Location": location})
    with pytest.raises(SourceFailed, match="redirects"):
        await source.fetch(SourceRef(url))
    assert len(origin.asked) == 1


async def test_each_hop_is_measured_by_the_policy(source: HttpSource, origin: Origin) -> None:
    async with FaultOrigin.saying(b"") as secret:
        location = f"http://[::ffff:127.0.0.2]:{secret.port}/"
        url = origin.serve("/a.jpg", status=302, headers={"Location": location})
        with pytest.raises(SourceForbidden, match="not a public one"):
            await source.fetch(SourceRef(url))
        assert secret.connections == 0


async def test_a_redirect_to_a_port_that_is_not_asked(source: HttpSource, origin: Origin) -> None:
    url = origin.serve("/a", status=302, headers={"Location": "http://127.0.0.1:25/"})
    with pytest.raises(SourceForbidden, match="port 25"):
        await source.fetch(SourceRef(url))


async def test_headers_and_deadline_of_one_request(source: HttpSource, origin: Origin) -> None:
    url = origin.serve("/a.jpg", BODY)
    along = (("authorization", "Bearer secret"), ("user-agent", "me"), ("accept-language", "de"))
    await source.fetch(SourceRef(url, headers=along, timeout_seconds=50))
    assert set(along) <= set(origin.asked[0].headers.items())
    await source.fetch(SourceRef(url))
    assert origin.asked[1].headers["user-agent"] == "Framekeep"
    assert "authorization" not in origin.asked[1].headers


async def test_headers_go_to_the_server_they_are_meant_for_and_no_other(
    source: HttpSource, origin: Origin
) -> None:
    async with Origin() as other:
        other.serve("/b", status=302, headers={"Location": origin.serve("/c", BODY)})
        origin.serve("/a", status=302, headers={"Location": "/a2"})
        origin.serve("/a2", status=302, headers={"Location": other.url("/b")})
        await source.fetch(SourceRef(origin.url("/a"), headers=(("authorization", "secret"),)))
        sent = [
            (asked.target, asked.headers.get("authorization"))
            for asked in (*origin.asked, *other.asked)
        ]
    assert sent == [("/a", "secret"), ("/a2", "secret"), ("/c", None), ("/b", None)]


async def test_headers_that_are_ours_to_say_are_refused(source: HttpSource, origin: Origin) -> None:
    url = origin.serve("/a.jpg", BODY)
    with pytest.raises(InvalidSource, match="header host"):
        await source.fetch(SourceRef(url, headers=(("Host", "internal"),)))
    assert not origin.asked


async def test_an_answer_that_does_not_come(dialer: HttpClient, origin: Origin) -> None:
    async def never(_: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    url = origin.handle("/a.jpg", never)
    with pytest.raises(SourceTimedOut, match=r"longer than 0\.2 seconds"):
        await HttpSource(dialer, LIMITS).fetch(SourceRef(url, timeout_seconds=0.2))


async def test_no_query_is_told_to_a_log(dialer: HttpClient) -> None:
    source = HttpSource(dialer, LIMITS)
    async with FaultOrigin.saying(b"no HTTP") as server:
        with pytest.raises(SourceFailed) as failed:
            await source.fetch(SourceRef(server.url("/a.jpg?key=secret")))
    assert failed.value.detail
    assert "secret" not in failed.value.detail + str(failed.value)


async def test_a_deadline_can_be_shortened_but_not_stretched(
    dialer: HttpClient, origin: Origin
) -> None:
    async def never(_: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    url = origin.handle("/a.jpg", never)
    source = HttpSource(dialer, Limits(fetch_timeout_seconds=0.2))
    with pytest.raises(SourceTimedOut, match=r"longer than 0\.2 seconds"):
        await source.fetch(SourceRef(url, timeout_seconds=90))


async def test_one_slow_host_does_not_take_all_connections(origin: Origin) -> None:
    """Two of four connections wait for ever at one server; another one is asked meanwhile."""
    arrived = asyncio.Semaphore(0)

    async def never(_: web.BaseRequest) -> web.Response:
        arrived.release()
        await asyncio.Event().wait()
        raise AssertionError

    reach = SsrfPolicy(allow_nets=["127.0.0.1"])
    dialer = HttpClient(reach, HttpClientConfig(max_connections=4, max_connections_per_host=2))
    source = HttpSource(dialer, LIMITS)
    async with Origin() as slow:
        url = slow.handle("/a.jpg", never)
        waiting = [asyncio.create_task(source.fetch(SourceRef(url))) for _ in range(8)]
        await arrived.acquire()
        await arrived.acquire()
        original = await fetch(source, origin.serve("/b.jpg", BODY))
        assert original.body.read() == BODY
        assert len(slow.asked) == 2
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    await dialer.close()


async def test_an_upload_is_not_for_this_source(source: HttpSource) -> None:
    with pytest.raises(InvalidSource):
        await source.fetch(Upload(BODY))
