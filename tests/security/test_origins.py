"""Origins that lie, stall, break off and loop, each asked through the whole server.

Whatever an origin does, who asks gets a picture or a short word with the right status, and others
get theirs: from the same server, at the same time and after.
"""

import asyncio
import gzip
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import httpx2 as httpx
import pytest
from live_server import Served, serving
from origin_server import FaultOrigin
from pictures import file, scene
from security.answers import is_sound

pytestmark = pytest.mark.anyio

PICTURE = file(scene(60, 40))
BROKEN = file(scene(), "jpeg")[:1500] + b"\xff\xd9"
LENGTH = b"Content-Length: %d" % len(PICTURE)
ANEW = itertools.count()
PAGE = b"<!DOCTYPE html><html><body><h1>It works!</h1><script>alert(1)</script></body></html>"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that waits for no origin for long, and keeps no refusal."""
    impatient = {
        "FRAMEKEEP_SOURCES_READ_TIMEOUT_SECONDS": "3",
        "FRAMEKEEP_SOURCES_MAX_RETRIES": "1",
        "FRAMEKEEP_SOURCES_RETRY_BACKOFF_SECONDS": "0",
        "FRAMEKEEP_LIMITS_FETCH_TIMEOUT_SECONDS": "6",
        "FRAMEKEEP_LIMITS_MAX_SOURCE_BYTES": "100000",
    }
    with serving(tmp_path_factory.mktemp("cache"), impatient) as server:
        yield server


@pytest.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url, timeout=60, trust_env=False) as asking:
        yield asking


async def ask(client: httpx.AsyncClient, url: str, **headers: str) -> httpx.Response:
    return await client.get(f"/_/resize:20/{url}", headers=headers)


@asynccontextmanager
async def others(served: Served, client: httpx.AsyncClient) -> AsyncIterator[None]:
    """Others are answered while the block lasts, and after it."""
    url = served.origin.serve("/good.png", PICTURE)

    async def good() -> None:
        answer = await client.get(f"/_/v:{next(ANEW)}/resize:20/{url}")
        assert answer.status_code == 200, answer.text
        assert (await client.get("/health/ready")).status_code == 200

    async with asyncio.TaskGroup() as group:
        group.create_task(good())
        yield
    await good()


def said(*lines: bytes, status: bytes = b"200 OK", body: bytes = PICTURE) -> bytes:
    return b"HTTP/1.1 %s\r\n%s\r\n%s" % (status, b"".join(one + b"\r\n" for one in lines), body)


def whole(*lines: bytes, status: bytes = b"200 OK", body: bytes = PICTURE) -> bytes:
    return said(b"Content-Length: %d" % len(body), *lines, status=status, body=body)


def chunked(body: bytes, *lines: bytes) -> bytes:
    return said(b"Transfer-Encoding: chunked", *lines, body=body)


CHUNK = b"%x\r\n%s\r\n" % (len(PICTURE), PICTURE)

ODD_BUT_WHOLE = {
    "text-html": whole(b"Content-Type: text/html"),
    "no-type": whole(),
    "type-of-nothing": whole(b"Content-Type: \xff\xfe;;;=\x01"),
    "type-of-a-script": whole(b"Content-Type: application/javascript; charset=utf-7"),
    "cookies": whole(*[b"Set-Cookie: a%d=%s; Path=/" % (at, b"x" * 50) for at in range(30)]),
    "reason-of-nothing": whole(status=b"200 "),
    "another-version": whole().replace(b"HTTP/1.1", b"HTTP/1.0"),
    "early-hints": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + whole(),
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + whole(),
    "transformed": whole(status=b"203 Transformed"),
    "range-of-a-whole": whole(b"Content-Range: bytes 0-1/9999"),
    "attachment": whole(b'Content-Disposition: attachment; filename="../../etc/passwd"'),
    "etag-of-bytes": whole(b'ETag: "\xe4\xf6\xfc"'),
    "etag-without-quotes": whole(b"ETag: abc"),
    "etag-for-ever": whole(b'ETag: "%s"' % (b"e" * 6000)),
    "dates": whole(b"Date: yesterday", b"Last-Modified: 0", b"Expires: -1"),
    "date-of-the-future": whole(b"Last-Modified: Fri, 31 Dec 9999 23:59:59 GMT"),
    "age": whole(b"Age: -5", b"Cache-Control: max-age=99999999999999999999"),
    "cache-control": whole(b'Cache-Control: ,,,=;max-age="1", max-age=-1, s-maxage=x'),
    "tags": whole(b"Cache-Tag: " + b"a" * 3000, b"Surrogate-Key: \x01 <script>"),
    "vary": whole(b"Vary: *"),
    "policy": whole(b"Content-Security-Policy: default-src *", b"X-Content-Type-Options: sniff"),
    "refresh": whole(b"Refresh: 0; url=http://evil.example/", b"Location: http://evil.example/"),
    "chunks": chunked(CHUNK + b"0\r\n\r\n"),
    "chunks-with-words": chunked(CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\nX: y\r\n\r\n"),
    "until-the-end": said(b"Connection: close"),
    "upgrade-offered": whole(b"Upgrade: h2c, websocket"),
    "alternative": whole(b'Alt-Svc: h3=":443"', b"Strict-Transport-Security: max-age=1"),
}  # fmt: skip


@pytest.mark.parametrize("fault", ODD_BUT_WHOLE)
async def test_what_is_odd_but_whole_is_a_picture(client: httpx.AsyncClient, fault: str) -> None:
    async with FaultOrigin.saying(ODD_BUT_WHOLE[fault]) as origin:
        answer = await ask(client, origin.url())
    assert answer.status_code == 200, answer.text
    is_sound(answer)
    assert not {"set-cookie", "location", "refresh", "alt-svc", "vary"} & set(answer.headers)


REDIRECT = b"302 Found"

FAULTS = {
    # no picture
    "page": (whole(b"Content-Type: image/png", body=PAGE), 415),
    "nothing": (whole(b"Content-Type: image/png", body=b""), 415),
    "broken": (whole(b"Content-Type: image/jpeg", body=BROKEN), 422),
    "unpacked-bomb": (whole(body=gzip.compress(bytes(10_000_000))), 415),
    # statuses
    **{
        f"status-{status.split()[0].decode()}": (whole(status=status), expected)
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
    "status-204": (said(status=b"204 No Content", body=b""), 502),
    "status-205": (said(b"Content-Length: 0", status=b"205 Reset", body=b""), 502),
    "status-304": (said(b'ETag: "a"', status=b"304 Not Modified", body=b""), 502),
    "status-416": (said(b"Content-Length: 0", status=b"416 Range", body=b""), 502),
    "range-unasked": (whole(b"Content-Range: bytes 0-99/9999", status=b"206 Partial"), 502),
    "later-429": (whole(b"Retry-After: 86400", status=b"429 Slow down"), 502),
    "later-503": (whole(b"Retry-After: 86400", status=b"503 Later"), 502),
    "later-never": (whole(b"Retry-After: soon", status=b"503 Later"), 502),
    "switching": (said(b"Upgrade: h2c", b"Connection: upgrade", status=b"101 Up", body=b""), 502),
    # redirects
    "nowhere": (said(b"Content-Length: 0", status=REDIRECT, body=b""), 502),
    "circle": (said(b"Location: /", b"Content-Length: 0", status=REDIRECT, body=b""), 502),
    "file": (said(b"Location: file:///etc/passwd", status=REDIRECT, body=b""), 502),
    "gopher": (said(b"Location: gopher://127.0.0.1:1/x", status=REDIRECT, body=b""), 502),
    "data": (said(b"Location: data:image/png;base64,AAAA", status=REDIRECT, body=b""), 502),
    "inside": (said(b"Location: http://10.0.0.1/", status=REDIRECT, body=b""), 403),
    "metadata": (said(b"Location: http://169.254.169.254/", status=REDIRECT, body=b""), 403),
    "user": (said(b"Location: http://a:b@127.0.0.1/", status=REDIRECT, body=b""), 502),
    "split": (said(b"Location: /a\rSet-Cookie: x=1", status=REDIRECT, body=b""), 502),
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
    "no-number": (whole(status=b"OK"), 502),
    "long-number": (whole(status=b"20000 OK"), 502),
    # heads
    "head-only": (b"HTTP/1.1 200 OK\r\n", 502),
    "head-cut": (b"HTTP/1.1 200 OK\r\nContent-Le", 502),
    "no-colon": (said(b"garbage", LENGTH), 502),
    "no-name": (said(b": x", LENGTH), 502),
    "zero-in-a-value": (said(b"X: a\0b", LENGTH), 502),
    "line-of-a-megabyte": (said(b"X: " + b"a" * 1_000_000, LENGTH), 502),
    "ten-thousand-lines": (said(*[b"X: y"] * 10_000, LENGTH), 502),
    # lengths
    "length-negative": (said(b"Content-Length: -1"), 502),
    "length-signed": (said(b"Content-Length: +5"), 502),
    "length-in-hex": (said(b"Content-Length: 0x10"), 502),
    "length-of-words": (said(b"Content-Length: many"), 502),
    "length-beyond-all": (said(b"Content-Length: " + b"9" * 50), 502),
    "twice-the-same-length": (said(LENGTH, LENGTH), 502),
    "two-lengths": (said(LENGTH, b"Content-Length: 5"), 502),
    "length-and-chunks": (chunked(CHUNK + b"0\r\n\r\n", LENGTH), 502),
    "less-than-said": (said(b"Content-Length: %d" % (len(PICTURE) + 1)), 502),
    "length-too-large": (said(b"Content-Length: 100001"), 413),
    "chunks-too-large": (chunked((b"4000\r\n%s\r\n" % bytes(0x4000)) * 10 + b"0\r\n\r\n"), 413),
    "end-too-late": (said(body=bytes(200_000)), 413),
    # chunks
    "chunks-cut": (chunked(CHUNK), 502),
    "chunk-cut": (chunked(CHUNK[:-20]), 502),
    "chunk-of-words": (chunked(b"many\r\n" + PICTURE), 502),
    "chunk-negative": (chunked(b"-5\r\nhello\r\n0\r\n\r\n"), 502),
    "chunk-beyond-all": (chunked(b"f" * 40 + b"\r\n" + PICTURE), 502),
    "chunk-longer-than-said": (chunked(b"5\r\n" + PICTURE + b"\r\n0\r\n\r\n"), 502),
    "chunks-of-nothing": (chunked(b"0\r\n\r\n"), 415),
    "chunks-twice": (said(b"Transfer-Encoding: chunked, chunked", body=CHUNK), 502),
    # encodings that nobody asked for
    "gzip": (whole(b"Content-Encoding: gzip", body=gzip.compress(PICTURE)), 502),
    "bomb": (whole(b"Content-Encoding: gzip", body=gzip.compress(bytes(50_000_000))), 502),
    "br": (whole(b"Content-Encoding: br"), 502),
    "unheard-of": (whole(b"Content-Encoding: x-nothing"), 502),
    "gzip-on-the-way": (said(b"Transfer-Encoding: gzip, chunked", body=CHUNK), 502),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_is_wrong_is_said_in_a_word(
    served: Served, client: httpx.AsyncClient, fault: str
) -> None:
    said, expected = FAULTS[fault]
    async with FaultOrigin.saying(said) as origin, others(served, client):
        answer = await ask(client, origin.url())
    assert answer.status_code == expected, answer.text
    is_sound(answer)


@pytest.mark.parametrize(
    "parts", [(), (b"HTTP/1.1 200 OK\r\n",), (said(LENGTH, body=b""),), (whole()[:-100],)]
)
async def test_what_is_reset_is_said_to_have_failed(
    served: Served, client: httpx.AsyncClient, parts: Sequence[bytes]
) -> None:
    async with FaultOrigin.breaking(*parts) as origin, others(served, client):
        answer = await ask(client, origin.url())
    assert answer.status_code == 502, answer.text
    is_sound(answer)


STALLS = {
    "at-once": (),
    "in-the-status": (b"HTTP/1.",),
    "in-the-head": (b"HTTP/1.1 200 OK\r\nContent-",),
    "before-the-body": (said(LENGTH, body=b""),),
    "in-the-body": (whole()[:-50],),
    "in-a-chunk": (chunked(CHUNK[:-50]),),
    "before-the-last-chunk": (chunked(CHUNK),),
    "before-the-end": (said(),),
    "after-continue": (b"HTTP/1.1 100 Continue\r\n\r\n",),
}

FLOODS = {
    "of-continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "of-hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "of-words-in-chunks": (chunked(b""), b"1;" + b"x" * 50 + b"\r\na\r\n"),
}


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then: never silent, never done."""
    await reader.readuntil(b"\r\n\r\n")
    for byte in whole(b"X: " + b"a" * 1000):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.2)


async def test_who_stalls_is_given_up_and_keeps_nobody_waiting(
    served: Served, client: httpx.AsyncClient
) -> None:
    faults = {
        **{name: FaultOrigin.saying(*parts, stay=True) for name, parts in STALLS.items()},
        **{name: FaultOrigin.repeating(start, part) for name, (start, part) in FLOODS.items()},
        "drip": FaultOrigin(drip),
    }
    answers: dict[str, httpx.Response] = {}

    async def fall_for(name: str, origin: FaultOrigin) -> None:
        async with origin:
            answers[name] = await ask(client, origin.url())

    async with others(served, client), asyncio.TaskGroup() as group:
        for name, origin in faults.items():
            group.create_task(fall_for(name, origin))
    statuses = {name: answer.status_code for name, answer in answers.items()}
    assert statuses.pop("of-words-in-chunks") in (413, 504)  # what comes first on this machine
    assert set(statuses.values()) == {504}, statuses
    for answer in answers.values():
        is_sound(answer)


async def test_redirects_without_end_come_to_one(served: Served, client: httpx.AsyncClient) -> None:
    asked = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"\r\n\r\n")
        asked += 1
        line = b"Location: /%d" % asked
        writer.write(said(line, b"Content-Length: 0", status=REDIRECT, body=b""))

    async with FaultOrigin(talk) as origin, others(served, client):
        answer = await ask(client, origin.url())
    assert answer.status_code == 502, answer.text
    assert asked == 6
    is_sound(answer)


async def test_connections_that_died_meanwhile_are_not_noticed(client: httpx.AsyncClient) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(whole())
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with FaultOrigin(talk) as origin:
        for at in range(3):
            assert (await ask(client, origin.url(f"/{origin.number}/{at}"))).status_code == 200


async def test_a_broken_original_is_rendered_once_for_all(
    served: Served, client: httpx.AsyncClient
) -> None:
    url = served.origin.serve("/broken.jpg", BROKEN + b"once")
    answers = [await client.get(f"/_/resize:30/{url}") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [422] * 5
    assert len({answer.json()["detail"] for answer in answers}) == 1
    assert served.origin.count("/broken.jpg") == 1
