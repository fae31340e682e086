"""Request smuggling: what two servers in a row could read differently is rejected."""

import pytest
from live_server import KEY, LiveServer
from security.raw_http import exchange, status_codes

pytestmark = pytest.mark.anyio

HOST = b"Host: a\r\n"
LAST = HOST + b"Connection: close\r\n\r\n"
GET = b"GET /health HTTP/1.1\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\n" + LAST
POST = (
    b"POST /vision/v3.2/areaOfInterest HTTP/1.1\r\nContent-Type: application/octet-stream\r\n"
    b"Ocp-Apim-Subscription-Key: " + KEY.encode() + b"\r\n" + HOST
)

AMBIGUOUS = {
    "both lengths": POST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "both lengths, the other way": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345" + HIDDEN,
    "one length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n12345" + HIDDEN,
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\n12345" + HIDDEN,
    "a signed length": POST + b"Content-Length: +5\r\n\r\n12345" + HIDDEN,
    "a negative length": POST + b"Content-Length: -5\r\n\r\n12345" + HIDDEN,
    "a hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\n12345" + HIDDEN,
    "a length out of range": POST + b"Content-Length: 99999999999999999999\r\n\r\n12345" + HIDDEN,
    "a space before the colon": POST + b"Content-Length : 5\r\n\r\n12345" + HIDDEN,
    "a tab before the colon": POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked but not last": POST
    + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "identity and a length": POST
    + b"Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc"
    + HIDDEN,
    "a coding behind a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + HIDDEN,
    "a coding twice": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + HIDDEN,
    "a folded header": GET + b"X-A: a\r\n b\r\n" + LAST,
    "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "bare line feeds": GET.replace(b"\r", b"") + LAST.replace(b"\r", b""),
    "bare carriage returns": GET.replace(b"\n", b"") + LAST.replace(b"\n", b"") + b"\r\n\r\n",
    "a carriage return in a value": GET + b"X: a\rY: b\r\n" + LAST,
    "a null byte in a value": GET + b"X: a\0b\r\n" + LAST,
    "a null byte in a path": b"GET /he\0alth HTTP/1.1\r\n" + LAST,
    "a space in a path": b"GET /_/a b HTTP/1.1\r\n" + LAST,
    "a name with a space": GET + b"X A: b\r\n" + LAST,
    "an empty name": GET + b": b\r\n" + LAST,
    "a future version": b"GET /health HTTP/9.9\r\n" + LAST,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "a tunnel": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n" + LAST,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "all byte values": bytes(range(256)) * 20,
    "a chunk size that is no number": POST
    + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n"
    + HIDDEN,
    "a chunk between line feeds": POST
    + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n"
    + HIDDEN,
    "a chunk longer than its size": POST
    + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n"
    + HIDDEN,
    "a chunk of a signed size": POST
    + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n"
    + HIDDEN,
    "a chunk size out of range": POST
    + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n"
    + HIDDEN,
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_an_ambiguous_request_is_rejected(server: LiveServer, name: str) -> None:
    received = await exchange(server.url, AMBIGUOUS[name])
    assert len(status_codes(received)) == 1, received
    assert 400 <= status_codes(received)[0] < 500
    assert b"hidden" not in received


@pytest.mark.parametrize(
    "head",
    [
        GET + b"".join(b"X-%d: a\r\n" % number for number in range(30_000)),
        GET + b"X: " + b"a" * 1_000_000 + b"\r\n",
        GET + b"a" * 1_000_000 + b": a\r\n",
        b"G" * 1_000_000 + b" / HTTP/1.1\r\n",
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\n",
    ],
    ids=["headers", "value", "name", "method", "path"],
)
async def test_the_size_of_a_request_head_is_limited(server: LiveServer, head: bytes) -> None:
    received = await exchange(server.url, head + LAST)
    assert not [status for status in status_codes(received) if status < 400]


async def test_pipelined_requests_get_their_responses_in_order(server: LiveServer) -> None:
    request = GET + HOST + b"\r\n"
    received = await exchange(server.url, request * 300 + GET + LAST)
    assert status_codes(received) == [200] * 301


@pytest.mark.parametrize(
    "upgrade",
    [
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n",
    ],
    ids=["h2c", "websocket"],
)
async def test_no_upgrade_is_accepted(server: LiveServer, upgrade: bytes) -> None:
    received = await exchange(server.url, GET + upgrade + HOST + b"\r\n" + GET + LAST)
    assert 101 not in status_codes(received)


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE"])
async def test_links_allow_only_reads_and_nothing_is_echoed(
    server: LiveServer, method: bytes
) -> None:
    received = await exchange(server.url, method + b" /_/a?SECRET HTTP/1.1\r\nX: SECRET\r\n" + LAST)
    assert status_codes(received) == [405]
    assert b"SECRET" not in received


@pytest.mark.parametrize(
    "header",
    [
        *(b"Accept: \xff\xfe", b"Accept: " + b"image/webp;q=" * 4000, b"Accept: ,,;;q=,*"),
        *(b"Range: bytes=0-0,1-1", b"Range: bytes=-", b"Range: bytes=9999999999999999999-"),
        *(b'If-None-Match: "', b"If-None-Match: " + b'W/"a",' * 9000, b"If-Modified-Since: x"),
        *(b"X-Request-Id: <script>", b"X-Request-Id: " + b"a" * 9000, b"Via: \xff, ,,1.1"),
        *(b"Content-Length: 0", b"Expect: 100-continue", b"Authorization: Basic \xff"),
        *(b"X-Forwarded-Proto: \xff", b'Forwarded: for="', b"Cookie: " + b"a=b;" * 9000),
    ],
)
async def test_malformed_headers_are_ignored(server: LiveServer, header: bytes) -> None:
    source = server.origin.serve("/none.jpg", status=404)
    link = f"GET /_/convert:auto/{source} HTTP/1.1\r\n".encode()
    received = await exchange(server.url, link + header + b"\r\n" + LAST)
    assert status_codes(received) == [404]
    assert b"<script>" not in received
