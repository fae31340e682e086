"""Servers that lie, stall, break off and loop: an original comes whole or not at all."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from origin_server import FaultOrigin

from proxy.errors import SourceError, SourceFailed, SourceTimedOut, SourceTooLarge
from proxy.limits import Limits
from proxy.originals import Original, SourceRef
from proxy.sources.http import HttpSource
from proxy.sources.net.http_client import HttpClient, HttpClientConfig
from proxy.sources.net.ssrf_policy import SsrfPolicy

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\n"
# Deadlines that nothing should reach, however busy the machine; tests of deadlines have others.
LIMITS = Limits(max_source_bytes=100_000, fetch_timeout_seconds=60)
PATIENT = HttpClientConfig(connect_timeout_seconds=60, read_timeout_seconds=60)


@pytest.fixture
async def source() -> AsyncIterator[HttpSource]:
    dialer = HttpClient(SsrfPolicy(allow_nets=["127.0.0.1"]), PATIENT)
    yield HttpSource(dialer, LIMITS, retries=1, retry_seconds=0)
    await dialer.close()


@pytest.fixture
async def impatient() -> AsyncIterator[HttpSource]:
    dialer = HttpClient(SsrfPolicy(allow_nets=["127.0.0.1"]), HttpClientConfig(read_timeout_seconds=0.1))
    yield HttpSource(dialer, LIMITS, retries=1, retry_seconds=0)
    await dialer.close()


def said(*lines: bytes, body: bytes = b"") -> bytes:
    return OK + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (said(b"Content-Length: 5", body=b"hello"), b"hello"),
        (said(b"Content-Length: 0"), b""),
        (said(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"), b"hello"),
        (
            said(b"Transfer-Encoding: chunked", body=b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"),
            b"hello",
        ),
        (said(b"Connection: close", body=b"hello"), b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (said(b"Content-Encoding: identity", b"Content-Length: 5", body=b"hello"), b"hello"),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
            + said(b"Content-Length: 2", body=b"hi"),
            b"hi",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + said(b"Content-Length: 2", body=b"hi"), b"hi"),
        (b"HTTP/1.1 203 Changed\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (said(b"X-A: " + b"a" * 4000, b"Content-Length: 2", body=b"hi"), b"hi"),
    ],
)
async def test_answers_that_are_odd_but_whole(
    source: HttpSource, answer: bytes, body: bytes
) -> None:
    async with FaultOrigin.saying(answer) as origin:
        original = await source.fetch(SourceRef(origin.url()))
    assert isinstance(original, Original)
    assert original.body.read() == body


@pytest.mark.parametrize(
    "answer",
    [
        # nothing, or no HTTP
        *(b"", b"\r\n", b"hello", b"<html>hello</html>", b"\x00" * 100, b"\x16\x03\x01\x02\x00"),
        *(b"SSH-2.0-OpenSSH_9.6\r\n", b"220 mail ESMTP\r\n", b"-ERR unknown\r\n", b"PRI * HTTP/2"),
        *(b"HTTP/9.9 200 OK\r\n\r\nhello", b"HTTP/1.1 abc OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n"),
        *(b"HTTP/1.1 2000 OK\r\n\r\n", b"HTTP/1.1 000 No\r\n\r\n", b"HTTP/1.1\r\n\r\n", b"HTTP/1."),
        b"GET / HTTP/1.1\r\nHost: us\r\n\r\n",
        # other statuses that carry nothing
        b"HTTP/1.1 101 Up\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 999 No\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        # headers
        *(OK, OK + b"Content-Le", said(b"no colon here", body=b"hello"), said(b": nameless")),
        *(said(b"X: a\x00b"), said(b"X-A: " + b"a" * 100_000), said(*[b"X-A: a"] * 10_000)),
        # lengths
        said(b"Content-Length: 6", body=b"hello"),
        *(said(b"Content-Length: -1", body=b"hello"), said(b"Content-Length: +5", body=b"hello")),
        *(said(b"Content-Length: 5, 5", body=b"hello"), said(b"Content-Length: 0x5", body=b"hi")),
        *(said(b"Content-Length: five", body=b"hello"), said(b"Content-Length: ", body=b"hello")),
        said(b"Content-Length: 99999999999999999999999", body=b"hello"),
        said(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
        said(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        # chunks
        said(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"),
        said(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n"),
        said(b"Transfer-Encoding: chunked", body=b"6\r\nhello"),
        said(b"Transfer-Encoding: chunked", body=b"5\r\nhello!!\r\n0\r\n\r\n"),
        said(b"Transfer-Encoding: chunked", body=b"xyz\r\nhello\r\n0\r\n\r\n"),
        said(b"Transfer-Encoding: chunked", body=b"-5\r\nhello\r\n0\r\n\r\n"),
        said(b"Transfer-Encoding: chunked", body=b"fffffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        said(b"Transfer-Encoding: chunked", body=b"hello"),
        said(b"Transfer-Encoding: chunked", body=b""),
        # encodings that were not asked for
        *(said(b"Content-Encoding: " + name, b"Content-Length: 5", body=b"hello") for name in (
            b"gzip", b"br", b"deflate", b"zstd", b"GZIP", b"x-gzip", b"identity, gzip", b"nonsense",
        )),
        said(b"Content-Encoding: gzip", b"Content-Encoding: gzip", b"Content-Length: 1", body=b"h"),
        said(b"Transfer-Encoding: gzip, chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        said(b"Transfer-Encoding: chunked, chunked", body=b"5\r\nhello\r\n0\r\n\r\n"),
        said(b"Transfer-Encoding: gzip", body=b"hello"),
        # redirects to nowhere
        *(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 302 Found\r\nLocation: "),
        b"HTTP/1.1 302 Found\r\nLocation: http://\xff\xfe/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    ],
)  # fmt: skip
async def test_answers_that_are_none(source: HttpSource, answer: bytes) -> None:
    async with FaultOrigin.saying(answer) as origin:
        with pytest.raises(SourceFailed, match="the source"):
            await source.fetch(SourceRef(origin.url()))
        assert origin.connections <= 4


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (OK,),
        (said(b"Content-Length: 50000"), b"a" * 20_000),
        (said(b"Transfer-Encoding: chunked"), b"5\r\nhello\r\n"),
        (said(), b"a" * 20_000),
    ],
)
async def test_connections_that_break(source: HttpSource, parts: tuple[bytes, ...]) -> None:
    async with FaultOrigin.breaking(*parts) as origin:
        with pytest.raises(SourceFailed, match="broke off"):
            await source.fetch(SourceRef(origin.url()))


@pytest.mark.parametrize(
    "parts",
    [
        (),
        (b"HTTP/1.",),
        (OK,),
        (OK, b"Content-Len"),
        (said(b"Content-Length: 5"),),
        (said(b"Content-Length: 50000"), b"a" * 20_000),
        (said(b"Transfer-Encoding: chunked"), b"5\r\nhel"),
        (said(b"Transfer-Encoding: chunked"), b"5\r\nhello\r\n0\r\n"),
        (said(), b"hello"),
    ],
)
async def test_answers_that_stop_coming(impatient: HttpSource, parts: tuple[bytes, ...]) -> None:
    async with FaultOrigin.saying(*parts, stay=True) as origin:
        with pytest.raises(SourceTimedOut, match="silent for too long"):
            await impatient.fetch(SourceRef(origin.url()))
        assert origin.connections == 1


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
        (said(b"Transfer-Encoding: chunked"), b"1;" + b"x" * 50 + b"\r\na\r\n"),
    ],
)
async def test_answers_that_go_on_for_ever_end_at_the_deadline(start: bytes, part: bytes) -> None:
    dialer = HttpClient(SsrfPolicy(allow_nets=["127.0.0.1"]))
    source = HttpSource(dialer, Limits(fetch_timeout_seconds=0.2))
    async with FaultOrigin.repeating(start, part) as origin:
        with pytest.raises(SourceTimedOut, match=r"longer than 0\.2 seconds"):
            await source.fetch(SourceRef(origin.url()))
    await dialer.close()


@pytest.mark.parametrize(
    ("start", "part"),
    [
        (said(), b"a" * 1000),
        (said(b"Transfer-Encoding: chunked"), b"3e8\r\n" + b"a" * 1000 + b"\r\n"),
        (said(b"Content-Length: 100001"), b"a" * 1000),
        (said(b"Content-Length: 9999999999999"), b"a" * 1000),
    ],
)
async def test_answers_that_never_fit(source: HttpSource, start: bytes, part: bytes) -> None:
    async with FaultOrigin.repeating(start, part) as origin:
        with pytest.raises(SourceTooLarge, match="larger than 100000 bytes"):
            await source.fetch(SourceRef(origin.url()))
        assert origin.connections == 1


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 302 Found\r\nLocation: ftp://a/\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        b"HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n",
        said(b"Content-Encoding: gzip"),
    ],
)
async def test_what_is_not_wanted_is_not_read(source: HttpSource, start: bytes) -> None:
    async with FaultOrigin.repeating(start, b"1\r\na\r\n") as origin:
        with pytest.raises(SourceError):
            await source.fetch(SourceRef(origin.url()))


async def test_what_follows_an_answer_is_nobody_elses_answer(source: HttpSource) -> None:
    """A second answer sent with the first must not be taken for that to the next request."""
    poisoned = said(b"Content-Length: 5", body=b"hello") + said(b"Content-Length: 4", body=b"evil")
    async with FaultOrigin.saying(poisoned, stay=True) as origin:
        for _ in range(3):
            original = await source.fetch(SourceRef(origin.url()))
            assert isinstance(original, Original)
            assert original.body.read() == b"hello"


@dataclass
class TiredOrigin:
    """Keeps connections open after an answer, and is found to have closed them at the next."""

    asked: int = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        writer.write(said(b"Content-Length: 5", body=b"hello"))
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1


async def test_a_pooled_connection_that_is_dead_is_not_noticed(source: HttpSource) -> None:
    tired = TiredOrigin()
    async with FaultOrigin(tired.talk) as origin:
        for _ in range(3):
            original = await source.fetch(SourceRef(origin.url()))
            assert isinstance(original, Original)
        assert tired.asked == 5
        assert origin.connections == 3


async def test_what_breaks_off_once_is_asked_again(source: HttpSource) -> None:
    broken = [True, False]

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said(b"Content-Length: 5", body=b"hel" if broken.pop(0) else b"hello"))

    async with FaultOrigin(talk) as origin:
        original = await source.fetch(SourceRef(origin.url()))
        assert isinstance(original, Original)
        assert original.body.read() == b"hello"


async def test_nobody_listens(source: HttpSource) -> None:
    async with FaultOrigin.saying() as origin:
        url = origin.url()
    with pytest.raises(SourceFailed, match="could not be reached"):
        await source.fetch(SourceRef(url))


async def test_secure_requests_to_a_plain_server(source: HttpSource) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with FaultOrigin(talk) as origin:
        with pytest.raises(SourceFailed, match="TLS"):
            await source.fetch(SourceRef(origin.url().replace("http:", "https:")))
