"""Servers that lie, stall, close early or repeat: an original is complete or an error."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from origin_server import FaultyOrigin

from proxy.errors import SourceError, SourceFailed, SourceTimedOut, SourceTooLarge
from proxy.limits import Limits
from proxy.originals import Original, SourceRef
from proxy.sources.http import HttpSource
from proxy.sources.net.config import HttpClientConfig
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.ssrf_policy import SsrfPolicy

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\n"
# Timeouts that nothing should reach on a busy machine; tests of timeouts have others.
LIMITS = Limits(max_source_bytes=100_000, fetch_timeout_seconds=60)
LONG_TIMEOUTS = HttpClientConfig(connect_timeout_seconds=60, read_timeout_seconds=60)


@pytest.fixture
async def source() -> AsyncIterator[HttpSource]:
    client = HttpClient(SsrfPolicy(allow_nets=["127.0.0.1"]), LONG_TIMEOUTS)
    yield HttpSource(client, LIMITS, max_retries=1, retry_backoff_seconds=0)
    await client.close()


@pytest.fixture
async def source_with_short_timeout() -> AsyncIterator[HttpSource]:
    client = HttpClient(
        SsrfPolicy(allow_nets=["127.0.0.1"]), HttpClientConfig(read_timeout_seconds=0.1)
    )
    yield HttpSource(client, LIMITS, max_retries=1, retry_backoff_seconds=0)
    await client.close()


def ok(*lines: bytes, body: bytes = b"") -> bytes:
    return OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (ok(b"Content-Length: 5", body=b"hello"), b"hello"),
        (ok(b"Content-Length: 0"), b""),
        (ok(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"), b"hello"),
        (
            ok(b"Transfer-Encoding: chunked", body=b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"),
            b"hello",
        ),
        (ok(b"Connection: close", body=b"hello"), b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (ok(b"Content-Encoding: identity", b"Content-Length: 5", body=b"hello"), b"hello"),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
            + ok(b"Content-Length: 2", body=b"hi"),
            b"hi",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"Content-Length: 2", body=b"hi"), b"hi"),
        (b"HTTP/1.1 203 Changed\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (ok(b"X-A: " + b"a" * 65_000, b"Content-Length: 2", body=b"hi"), b"hi"),
        (ok(b"Content-Length: 5", b"content-length:5", body=b"hello"), b"hello"),
        (ok(b"Content-Length: 5, 5", body=b"hello"), b"hello"),
        (ok(b"Content-Length: 5 ,5", b"X: y", b"CONTENT-LENGTH: 5", body=b"hello"), b"hello"),
        (
            b"HTTP/1.1 103 Early\r\nContent-Length: 9\r\n\r\n"
            + ok(b"Content-Length: 2", b"Content-Length: 2", body=b"hi\r\n"),
            b"hi",
        ),
    ],
)
async def test_unusual_but_complete_responses(
    source: HttpSource, answer: bytes, body: bytes
) -> None:
    async with FaultyOrigin.sending(answer) as origin:
        original = await source.fetch(SourceRef(origin.url()))
    assert isinstance(original, Original)
    assert original.body.read() == body


@pytest.mark.parametrize(
    "answer",
    [
        # nothing, or not HTTP
        *(b"", b"\r\n", b"hello", b"<html>hello</html>", b"\x00" * 100, b"\x16\x03\x01\x02\x00"),
        *(b"SSH-2.0-OpenSSH_9.6\r\n", b"220 mail ESMTP\r\n", b"-ERR unknown\r\n", b"PRI * HTTP/2"),
        *(b"HTTP/9.9 200 OK\r\n\r\nhello", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n"),
        *(b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 000 No\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/1."),
        b"GET / HTTP/1.1\r\nHost: us\r\n\r\n",
        # other statuses without a body
        b"HTTP/1.1 101 Up\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 999 No\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        # headers
        *(OK, OK + b"Content-Le", ok(b"no colon here", body=b"hello"), ok(b": nameless")),
        *(ok(b"X: a\x00b"), ok(b"X-A: " + b"a" * 100_000), ok(*[b"X-A: a"] * 10_000)),
        # lengths
        ok(b"Content-Length: 6", body=b"hello"),
        *(ok(b"Content-Length: -1", body=b"hello"), ok(b"Content-Length: +5", body=b"hello")),
        *(ok(b"Content-Length: 5, 6", body=b"hello!"), ok(b"Content-Length: 0x5", body=b"hi")),
        *(ok(b"Content-Length: 5,", body=b"hello"), ok(b"Content-Length: 5 5", body=b"hello")),
        ok(b"Content-Length: 5", b"Content-Length: 5", b"Content-Length: 05", body=b"hello"),
        *(ok(b"Content-Length: five", body=b"hello"), ok(b"Content-Length: ", body=b"hello")),
        ok(b"Content-Length: 99999999999999999999999", body=b"hello"),
        ok(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
        ok(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        # chunks
        ok(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"),
        ok(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n"),
        ok(b"Transfer-Encoding: chunked", body=b"6\r\nhello"),
        ok(b"Transfer-Encoding: chunked", body=b"5\r\nhello!!\r\n0\r\n\r\n"),
        ok(b"Transfer-Encoding: chunked", body=b"xyz\r\nhello\r\n0\r\n\r\n"),
        ok(b"Transfer-Encoding: chunked", body=b"-5\r\nhello\r\n0\r\n\r\n"),
        ok(b"Transfer-Encoding: chunked", body=b"fffffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ok(b"Transfer-Encoding: chunked", body=b"hello"),
        ok(b"Transfer-Encoding: chunked", body=b""),
        # encodings
        *(ok(b"Content-Encoding: " + name, b"Content-Length: 5", body=b"hello") for name in (
            b"br", b"deflate", b"compress", b"X-Compress, gzip", b"gzip, gzip, gzip, gzip",
        )),
        ok(b"Transfer-Encoding: gzip, chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        ok(b"Transfer-Encoding: chunked, chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        ok(b"Transfer-Encoding: gzip", body=b"hello"),
        # invalid redirects
        *(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 302 Found\r\nLocation: "),
        b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    ],
)  # fmt: skip
async def test_invalid_responses(source: HttpSource, answer: bytes) -> None:
    async with FaultyOrigin.sending(answer) as origin:
        with pytest.raises(SourceFailed, match="source"):
            await source.fetch(SourceRef(origin.url()))
        assert origin.connections <= 4


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (OK,),
        (ok(b"Content-Length: 50000"), b"a" * 20_000),
        (ok(b"Transfer-Encoding: chunked"), b"5\r\nhello\r\n"),
        (ok(), b"a" * 20_000),
    ],
)
async def test_connections_that_are_reset(source: HttpSource, parts: tuple[bytes, ...]) -> None:
    async with FaultyOrigin.resetting(*parts) as origin:
        with pytest.raises(SourceFailed, match=r"closed (in the middle of|before) the response"):
            await source.fetch(SourceRef(origin.url()))


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"HTTP/1.",),
        (OK,),
        (OK, b"Content-Len"),
        (ok(b"Content-Length: 5"),),
        (ok(b"Content-Length: 50000"), b"a" * 20_000),
        (ok(b"Transfer-Encoding: chunked"), b"5\r\nhel"),
        (ok(b"Transfer-Encoding: chunked"), b"5\r\nhello\r\n0\r\n"),
        (ok(), b"hello"),
    ],
)
async def test_responses_that_stall(
    source_with_short_timeout: HttpSource, parts: tuple[bytes, ...]
) -> None:
    async with FaultyOrigin.sending(*parts, keep_open=True) as origin:
        with pytest.raises(SourceTimedOut, match="read timeout exceeded"):
            await source_with_short_timeout.fetch(SourceRef(origin.url()))
        assert origin.connections == 1


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (ok(b"Transfer-Encoding: chunked"), b"1;" + b"x" * 50 + b"\r\na\r\n"),
    ],
)
async def test_endless_responses_end_at_the_timeout(start: bytes, part: bytes) -> None:
    client = HttpClient(SsrfPolicy(allow_nets=["127.0.0.1"]))
    source = HttpSource(client, Limits(fetch_timeout_seconds=0.2))
    async with FaultyOrigin.repeating(start, part) as origin:
        with pytest.raises(SourceTimedOut, match=r"timeout exceeded after 0\.2 s"):
            await source.fetch(SourceRef(origin.url()))
    await client.close()


@pytest.mark.parametrize(
    ("start", "part", "reason"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", r"no complete response head within 0\.2 s"),
        (ok(b"Content-Length: 50000"), b"a", r"source too slow: less than 1000000 bytes per sec"),
    ],
    ids=["head", "body"],
)
async def test_a_response_that_drips_is_given_up(start: bytes, part: bytes, reason: str) -> None:
    """Some byte always arrives in time, so no other timeout is reached."""
    config = HttpClientConfig(read_timeout_seconds=0.2, min_bytes_per_second=1_000_000)
    client = HttpClient(SsrfPolicy(allow_nets=["127.0.0.1"]), config)
    source = HttpSource(client, LIMITS, max_retries=0)
    async with FaultyOrigin.repeating(start, part) as origin:
        with pytest.raises(SourceTimedOut, match=reason):
            await source.fetch(SourceRef(origin.url()))
        assert origin.connections == 1
    await client.close()


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (ok(), b"a" * 1000),
        (ok(b"Transfer-Encoding: chunked"), b"3e8\r\n" + b"a" * 1000 + b"\r\n"),
        (ok(b"Content-Length: 100001"), b"a" * 1000),
        (ok(b"Content-Length: 9999999999999"), b"a" * 1000),
    ],
)
async def test_responses_that_exceed_the_size_limit(
    source: HttpSource, start: bytes, part: bytes
) -> None:
    async with FaultyOrigin.repeating(start, part) as origin:
        with pytest.raises(SourceTooLarge, match="larger than 100000 bytes"):
            await source.fetch(SourceRef(origin.url()))
        assert origin.connections == 1


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 302 Found\r\nLocation: ftp://a/\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n",
        ok(b"Content-Encoding: gzip"),
    ],
)
async def test_the_body_of_an_error_is_not_read(source: HttpSource, start: bytes) -> None:
    async with FaultyOrigin.repeating(start, b"1\r\na\r\n") as origin:
        with pytest.raises(SourceError):
            await source.fetch(SourceRef(origin.url()))


async def test_bytes_after_a_response_are_not_the_next_response(source: HttpSource) -> None:
    """A second response sent with the first must not become that of the next request."""
    poisoned = ok(b"Content-Length: 5", body=b"hello") + ok(b"Content-Length: 4", body=b"evil")
    async with FaultyOrigin.sending(poisoned, keep_open=True) as origin:
        for _ in range(3):
            original = await source.fetch(SourceRef(origin.url()))
            assert isinstance(original, Original)
            assert original.body.read() == b"hello"


@dataclass
class ClosingOrigin:
    """It keeps a connection open after a response, and closes it at the next request."""

    requests: int = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1
        writer.write(ok(b"Content-Length: 5", body=b"hello"))
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        self.requests += 1


async def test_a_closed_pooled_connection_is_replaced(source: HttpSource) -> None:
    closing = ClosingOrigin()
    async with FaultyOrigin(closing.talk) as origin:
        for _ in range(3):
            original = await source.fetch(SourceRef(origin.url()))
            assert isinstance(original, Original)
        assert closing.requests == 5
        assert origin.connections == 3


async def test_all_pooled_connections_may_be_closed(source: HttpSource) -> None:
    """A server that restarts closes them all, and each is noticed when it is used."""
    count, restarted = 5, asyncio.Event()
    together = asyncio.Barrier(count)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        before_restart = not restarted.is_set()
        if before_restart:
            await together.wait()
        writer.write(ok(b"Content-Length: 5", body=b"hello"))
        if before_restart:
            await reader.readuntil(b"\r\n\r\n")

    async with FaultyOrigin(talk) as origin:
        ref = SourceRef(origin.url())
        await asyncio.gather(*(source.fetch(ref) for _ in range(count)))
        restarted.set()
        original = await source.fetch(ref)
        assert isinstance(original, Original)
        assert original.body.read() == b"hello"
        assert origin.connections == count + 1


async def test_a_truncated_response_is_retried(source: HttpSource) -> None:
    broken = [True, False]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ok(b"Content-Length: 5", body=b"hel" if broken.pop(0) else b"hello"))

    async with FaultyOrigin(talk) as origin:
        original = await source.fetch(SourceRef(origin.url()))
        assert isinstance(original, Original)
        assert original.body.read() == b"hello"


async def test_a_closed_port_is_an_error(source: HttpSource) -> None:
    async with FaultyOrigin.sending() as origin:
        url = origin.url()
    with pytest.raises(SourceFailed, match="source unreachable"):
        await source.fetch(SourceRef(url))


async def test_https_to_a_plain_http_server_is_an_error(source: HttpSource) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with FaultyOrigin(talk) as origin:
        with pytest.raises(SourceFailed, match="TLS"):
            await source.fetch(SourceRef(origin.url().replace("http:", "https:")))
