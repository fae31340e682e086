"""Origins that lie, stall, reset connections and loop, each through the whole server.

Whatever an origin does, the client gets a picture or a short error with the right status, and other
clients of the same server get theirs, at the same time and afterwards.
"""

import asyncio
import gzip
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
from live_server import LiveServer, live_server
from origin_server import FaultyOrigin
from pictures import encode, scene
from security.response_checks import check_response

pytestmark = pytest.mark.anyio

PICTURE = encode(scene(60, 40))
BROKEN = encode(scene(), "jpeg")[:1500] + b"\xff\xd9"
LENGTH = b"Content-Length: %d" % len(PICTURE)
VERSIONS = itertools.count()
PAGE = b"<!DOCTYPE html><html><body><h1>It works!</h1><script>alert(1)</script></body></html>"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with short timeouts and one retry."""
    short_timeouts = {
        "FRAMEKEEP_SOURCES_READ_TIMEOUT_SECONDS": "3",
        "FRAMEKEEP_SOURCES_MAX_RETRIES": "1",
        "FRAMEKEEP_SOURCES_RETRY_BACKOFF_SECONDS": "0",
        "FRAMEKEEP_LIMITS_FETCH_TIMEOUT_SECONDS": "6",
        "FRAMEKEEP_LIMITS_MAX_SOURCE_BYTES": "100000",
    }
    with live_server(tmp_path_factory.mktemp("cache"), short_timeouts) as server:
        yield server


@pytest.fixture
async def client(server: LiveServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False) as http_client:
        yield http_client


async def get(client: httpx.AsyncClient, url: str, **headers: str) -> httpx.Response:
    return await client.get(f"/_/resize:20/{url}", headers=headers)


@asynccontextmanager
async def others_are_served(server: LiveServer, client: httpx.AsyncClient) -> AsyncIterator[None]:
    """Assert that other clients get pictures while the block runs, and after it."""
    url = server.origin.serve("/good.png", PICTURE)

    async def get_good() -> None:
        response = await client.get(f"/_/v:{next(VERSIONS)}/resize:20/{url}")
        assert response.status_code == 200, response.text
        assert (await client.get("/health/ready")).status_code == 200

    async with asyncio.TaskGroup() as group:
        group.create_task(get_good())
        yield
    await get_good()


def raw(*lines: bytes, status: bytes = b"200 OK", body: bytes = PICTURE) -> bytes:
    """A response of exactly these parts."""
    return b"HTTP/1.1 %s\r\n%s\r\n%s" % (status, b"".join(one + b"\r\n" for one in lines), body)


def complete(*lines: bytes, status: bytes = b"200 OK", body: bytes = PICTURE) -> bytes:
    """A response with the right Content-Length."""
    return raw(b"Content-Length: %d" % len(body), *lines, status=status, body=body)


def chunked(body: bytes, *lines: bytes) -> bytes:
    return raw(b"Transfer-Encoding: chunked", *lines, body=body)


CHUNK = b"%x\r\n%s\r\n" % (len(PICTURE), PICTURE)

UNUSUAL = {
    "text-html": complete(b"Content-Type: text/html"),
    "no-type": complete(),
    "type-of-nothing": complete(b"Content-Type: \xff\xfe;;;=\x01"),
    "type-of-a-script": complete(b"Content-Type: application/javascript; charset=utf-7"),
    "cookies": complete(*[b"Set-Cookie: a%d=%s; Path=/" % (at, b"x" * 50) for at in range(30)]),
    "reason-of-nothing": complete(status=b"200 "),
    "another-version": complete().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "early-hints": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + complete(),
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + complete(),
    "transformed": complete(status=b"203 Transformed"),
    "range-of-everything": complete(b"Content-Range: bytes 0-1/9999"),
    "attachment": complete(b'Content-Disposition: attachment; filename="../../etc/passwd"'),
    "etag-of-bytes": complete(b'ETag: "\xe4\xf6\xfc"'),
    "etag-without-quotes": complete(b"ETag: abc"),
    "etag-for-ever": complete(b'ETag: "%s"' % (b"e" * 6000)),
    "dates": complete(b"Date: yesterday", b"Last-Modified: 0", b"Expires: -1"),
    "date-of-the-future": complete(b"Last-Modified: Fri, 31 Dec 9999 23:59:59 GMT"),
    "age": complete(b"Age: -5", b"Cache-Control: max-age=99999999999999999999"),
    "cache-control": complete(b'Cache-Control: ,,,=;max-age="1", max-age=-1, s-maxage=x'),
    "tags": complete(b"Cache-Tag: " + b"a" * 3000, b"Surrogate-Key: \x01 <script>"),
    "vary": complete(b"Vary: *"),
    "policy": complete(b"Content-Security-Policy: default-src *", b"X-Content-Type-Options: sniff"),
    "refresh": complete(b"Refresh: 0; url=http://evil.example/", b"Location: http://evil.example/"),
    "chunks": chunked(CHUNK + b"0\r\n\r\n"),
    "chunks-with-words": chunked(CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\nX: y\r\n\r\n"),
    "until-the-end": raw(b"Connection: close"),
    "upgrade-offered": complete(b"Upgrade: h2c, websocket"),
    "gzip": complete(b"Content-Encoding: gzip", body=gzip.compress(PICTURE)),
    "gzip-that-is-none": complete(b"Content-Encoding: gzip"),
    "unknown-encoding": complete(b"Content-Encoding: x-nothing"),
    "lengths": complete(LENGTH),
    "long-line": complete(b"Content-Security-Policy: " + b"a" * 65_000),
    "alternative": complete(b'Alt-Svc: h3=":443"', b"Strict-Transport-Security: max-age=1"),
}  # fmt: skip


@pytest.mark.parametrize("fault", UNUSUAL)
async def test_an_unusual_but_complete_response_is_a_picture(
    client: httpx.AsyncClient, fault: str
) -> None:
    async with FaultyOrigin.sending(UNUSUAL[fault]) as origin:
        response = await get(client, origin.url())
    assert response.status_code == 200, response.text
    check_response(response)
    assert not {"set-cookie", "location", "refresh", "alt-svc", "vary"} & set(response.headers)


REDIRECT = b"302 Found"

FAULTS = {
    # not a picture
    "page": (complete(b"Content-Type: image/png", body=PAGE), 415),
    "nothing": (complete(b"Content-Type: image/png", body=b""), 415),
    "broken": (complete(b"Content-Type: image/jpeg", body=BROKEN), 422),
    "unpacked-bomb": (complete(body=gzip.compress(bytes(10_000_000))), 415),
    # statuses
    **{
        f"status-{status.split()[0].decode()}": (complete(status=status), expected)
        for status, expected in (
            (b"201 Created", 502), (b"202 Accepted", 502), (b"206 Partial Content", 502),
            (b"226 IM Used", 502), (b"300 Choices", 502), (b"305 Use Proxy", 502),
            (b"400 Bad Request", 502), (b"401 Unauthorized", 502), (b"402 Pay", 502),
            (b"403 Forbidden", 502), (b"404 Not Found", 404), (b"405 No", 502),
            (b"410 Gone", 404), (b"418 Teapot", 502), (b"421 Misdirected", 502),
            (b"425 Early", 502), (b"431 Large", 502), (b"451 Legal", 502),
            (b"500 Oh", 502), (b"501 No", 502), (b"502 Bad", 502), (b"504 Late", 502),
            (b"511 Log in", 502), (b"599 What", 502),
        )
    },
    "status-204": (raw(status=b"204 No Content", body=b""), 502),
    "status-205": (raw(b"Content-Length: 0", status=b"205 Reset", body=b""), 502),
    "status-304": (raw(b'ETag: "a"', status=b"304 Not Modified", body=b""), 502),
    "status-416": (raw(b"Content-Length: 0", status=b"416 Range", body=b""), 502),
    "partial-content": (complete(b"Content-Range: bytes 0-99/9999", status=b"206 Partial"), 502),
    "later-429": (complete(b"Retry-After: 1", status=b"429 Slow down"), 429),
    "later-503": (complete(b"Retry-After: 1", status=b"503 Later"), 503),
    "later-never": (complete(b"Retry-After: soon", status=b"503 Later"), 502),
    "switching": (raw(b"Upgrade: h2c", b"Connection: upgrade", status=b"101 Up", body=b""), 502),
    # redirects
    "nowhere": (raw(b"Content-Length: 0", status=REDIRECT, body=b""), 502),
    "circle": (raw(b"Location: /", b"Content-Length: 0", status=REDIRECT, body=b""), 502),
    "file": (raw(b"Location: file:///etc/passwd", status=REDIRECT, body=b""), 502),
    "gopher": (raw(b"Location: gopher://127.0.0.1:1/x", status=REDIRECT, body=b""), 502),
    "data": (raw(b"Location: data:image/png;base64,AAAA", status=REDIRECT, body=b""), 502),
    "inside": (raw(b"Location: http://10.0.0.1/", status=REDIRECT, body=b""), 403),
    "metadata": (raw(b"Location: http://169.254.169.254/", status=REDIRECT, body=b""), 403),
    "user": (raw(b"Location: http://a:b@127.0.0.1/", status=REDIRECT, body=b""), 502),
    "split": (raw(b"Location: /a\rSet-Cookie: x=1", status=REDIRECT, body=b""), 502),
    # not HTTP
    "silence": (b"", 502),
    "lines": (b"\r\n\r\n\r\n", 502),
    "other-greeting": (b"SSH-2.0-OpenSSH_9.6\r\n", 502),
    "bare-page": (PAGE, 502),
    "bare-picture": (PICTURE, 502),
    "zeros": (b"\0" * 5000, 502),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 502),
    "next-version": (b"HTTP/2.0 200 OK\r\n\r\n", 415),
    "settings-of-http2": (b"\0\0\x12\x04\0\0\0\0\0", 502),
    "a-request": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 502),
    "no-number": (complete(status=b"OK"), 502),
    "long-number": (complete(status=b"20000 OK"), 502),
    # heads
    "head-only": (b"HTTP/1.1 200 OK\r\n", 502),
    "head-cut": (b"HTTP/1.1 200 OK\r\nContent-Le", 502),
    "no-colon": (raw(b"garbage", LENGTH), 502),
    "no-name": (raw(b": x", LENGTH), 502),
    "zero-in-a-value": (raw(b"X: a\0b", LENGTH), 502),
    "line-of-a-megabyte": (raw(b"X: " + b"a" * 1_000_000, LENGTH), 502),
    "ten-thousand-lines": (raw(*[b"X: y"] * 10_000, LENGTH), 502),
    # lengths
    "length-negative": (raw(b"Content-Length: -1"), 502),
    "length-signed": (raw(b"Content-Length: +5"), 502),
    "length-in-hex": (raw(b"Content-Length: 0x10"), 502),
    "length-of-words": (raw(b"Content-Length: many"), 502),
    "length-beyond-all": (raw(b"Content-Length: " + b"9" * 50), 502),
    "two-lengths": (raw(LENGTH, b"Content-Length: 5"), 502),
    "length-and-chunks": (chunked(CHUNK + b"0\r\n\r\n", LENGTH), 502),
    "less-than-declared": (raw(b"Content-Length: %d" % (len(PICTURE) + 1)), 502),
    "length-too-large": (raw(b"Content-Length: 100001"), 413),
    "chunks-too-large": (chunked((b"4000\r\n%s\r\n" % bytes(0x4000)) * 10 + b"0\r\n\r\n"), 413),
    "end-too-late": (raw(body=bytes(200_000)), 413),
    # chunks
    "chunks-cut": (chunked(CHUNK), 502),
    "chunk-cut": (chunked(CHUNK[:-20]), 502),
    "chunk-of-words": (chunked(b"many\r\n" + PICTURE), 502),
    "chunk-negative": (chunked(b"-5\r\nhello\r\n0\r\n\r\n"), 502),
    "chunk-beyond-all": (chunked(b"f" * 40 + b"\r\n" + PICTURE), 502),
    "chunk-longer-than-declared": (chunked(b"5\r\n" + PICTURE + b"\r\n0\r\n\r\n"), 502),
    "chunks-of-nothing": (chunked(b"0\r\n\r\n"), 415),
    "chunks-twice": (raw(b"Transfer-Encoding: chunked, chunked", body=CHUNK), 502),
    # encodings that were not requested
    "bomb": (complete(b"Content-Encoding: gzip", body=gzip.compress(bytes(50_000_000))), 413),
    "cut-gzip": (complete(b"Content-Encoding: gzip", body=gzip.compress(PICTURE)[:-9]), 502),
    "br": (complete(b"Content-Encoding: br"), 502),
    "compress": (complete(b"Content-Encoding: compress"), 502),
    "gzip-on-the-way": (raw(b"Transfer-Encoding: gzip, chunked", body=CHUNK), 502),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_faulty_origin_is_a_short_error(
    server: LiveServer, client: httpx.AsyncClient, fault: str
) -> None:
    received, expected = FAULTS[fault]
    async with FaultyOrigin.sending(received) as origin, others_are_served(server, client):
        response = await get(client, origin.url())
    assert response.status_code == expected, response.text
    check_response(response)


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"HTTP/1.1 200 OK\r\n",),
        (raw(LENGTH, body=b""),),
        (complete()[:-100],),
    ],
)
async def test_a_reset_connection_is_a_bad_gateway(
    server: LiveServer, client: httpx.AsyncClient, parts: Sequence[bytes]
) -> None:
    async with FaultyOrigin.resetting(*parts) as origin, others_are_served(server, client):
        response = await get(client, origin.url())
    assert response.status_code == 502, response.text
    check_response(response)


STALLS = {
    "at-once": (),
    "in-the-status": (b"HTTP/1.",),
    "in-the-head": (b"HTTP/1.1 200 OK\r\nContent-",),
    "before-the-body": (raw(LENGTH, body=b""),),
    "in-the-body": (complete()[:-50],),
    "in-a-chunk": (chunked(CHUNK[:-50]),),
    "before-the-last-chunk": (chunked(CHUNK),),
    "before-the-end": (raw(),),
    "after-continue": (b"HTTP/1.1 100 Continue\r\n\r\n",),
}

FLOODS = {
    "of-continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "of-hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "of-chunk-extensions": (chunked(b""), b"1;" + b"x" * 50 + b"\r\na\r\n"),
}


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a byte from time to time: never silent, never complete."""
    await reader.readuntil(b"\r\n\r\n")
    for byte in complete(b"X: " + b"a" * 1000):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def test_a_stalled_origin_times_out_and_delays_no_other_client(
    server: LiveServer, client: httpx.AsyncClient
) -> None:
    faults = {
        **{name: FaultyOrigin.sending(*parts, keep_open=True) for name, parts in STALLS.items()},
        **{name: FaultyOrigin.repeating(start, part) for name, (start, part) in FLOODS.items()},
        "drip": FaultyOrigin(drip),
    }
    responses: dict[str, httpx.Response] = {}

    async def get_from(name: str, origin: FaultyOrigin) -> None:
        async with origin:
            responses[name] = await get(client, origin.url())

    async with others_are_served(server, client), asyncio.TaskGroup() as group:
        for name, origin in faults.items():
            group.create_task(get_from(name, origin))
    statuses = {name: response.status_code for name, response in responses.items()}
    assert statuses.pop("of-chunk-extensions") in (413, 504)  # whichever limit is reached first
    assert set(statuses.values()) == {504}, statuses
    for response in responses.values():
        check_response(response)


async def test_silent_ports_of_one_host_hold_not_all_connections(tmp_path: Path) -> None:
    few_connections = {
        "FRAMEKEEP_SOURCES_MAX_CONNECTIONS": "4",
        "FRAMEKEEP_SOURCES_MAX_CONNECTIONS_PER_HOST": "2",
        "FRAMEKEEP_SOURCES_READ_TIMEOUT_SECONDS": "60",
        "FRAMEKEEP_LIMITS_FETCH_TIMEOUT_SECONDS": "60",
    }
    other = FaultyOrigin.sending(complete())
    other.host = "127.0.0.2"
    async with AsyncExitStack() as stack:
        server = stack.enter_context(live_server(tmp_path, few_connections))
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=server.url, timeout=60, trust_env=False)
        )
        silent = [FaultyOrigin.sending(keep_open=True) for _ in range(8)]
        for origin in (*silent, other):
            await stack.enter_async_context(origin)
        waiting = [asyncio.create_task(get(client, origin.url())) for origin in silent]
        while sum(origin.connections for origin in silent) < 2:  # noqa: ASYNC110 - of several origins
            await asyncio.sleep(0.01)
        assert (await get(client, other.url())).status_code == 200
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_endless_redirects_are_stopped(server: LiveServer, client: httpx.AsyncClient) -> None:
    requests = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n")
        requests += 1
        line = b"Location: /hop-%d" % requests  # never the path that was requested first
        writer.write(raw(line, b"Content-Length: 0", status=REDIRECT, body=b""))

    async with FaultyOrigin(handle) as origin, others_are_served(server, client):
        response = await get(client, origin.url())
    assert response.status_code == 502, response.text
    assert requests == 6
    check_response(response)


async def test_a_connection_that_died_while_idle_is_replaced(client: httpx.AsyncClient) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(complete())
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with FaultyOrigin(handle) as origin:
        for at in range(3):
            assert (await get(client, origin.url(f"/{origin.number}/{at}"))).status_code == 200


async def test_the_error_of_a_broken_original_is_cached(
    server: LiveServer, client: httpx.AsyncClient
) -> None:
    url = server.origin.serve("/broken.jpg", BROKEN + b"once")
    responses = [await client.get(f"/_/resize:30/{url}") for _ in range(5)]
    assert [response.status_code for response in responses] == [422] * 5
    assert len({response.json()["detail"] for response in responses}) == 1
    assert server.origin.count("/broken.jpg") == 1
