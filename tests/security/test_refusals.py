"""A refusal reaches a client that is still sending the body: the connection is not reset."""

import asyncio
from collections.abc import Iterator

import pytest
from live_server import KEY, LiveServer, live_server
from render_processes import MAX_WAIT_SECONDS
from security.raw_http import status_codes

pytestmark = pytest.mark.anyio

LIMITED = {
    "FRAMEKEEP_TRANSFORM_RATE_LIMIT_PER_MINUTE_PER_WORKER": "1",
    "FRAMEKEEP_TRANSFORM_MAX_BODY_BYTES": "100000",
}
TRANSFORM = b"/image-transformation/v1/transform"
REFUSED = {
    "without a key": (401, TRANSFORM, b""),
    "a body that is too long": (413, TRANSFORM, b"Authorization: Bearer " + KEY.encode()),
    "too many requests": (429, TRANSFORM, b"Authorization: Bearer second-key"),
    "a type that is not supported": (
        415,
        b"/vision/v3.2/areaOfInterest",
        b"Ocp-Apim-Subscription-Key: " + KEY.encode() + b"\r\nContent-Type: text/plain",
    ),
    "a path that does not exist": (404, b"/vision/v3.2/none", b""),
    "a link": (405, b"/_/demo:beach.jpg", b""),
    "a body that is not chunked": (400, TRANSFORM, b"Transfer-Encoding: chunked"),
    "an endless head": (431, TRANSFORM, b"X: " + b"x" * 70_000),
}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("cache"), LIMITED) as running:
        yield running


async def upload(url: str, path: bytes, header: bytes, size: int) -> bytes:
    """Send a whole body before the response is read, as simple clients do.

    Raises ConnectionError where the server resets the connection.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    length = b"X: y" if b"chunked" in header else b"Content-Length: %d" % size
    lines = (b"POST " + path + b" HTTP/1.1", b"Host: a", length, header)
    head = b"\r\n".join(line for line in lines if line) + b"\r\n\r\n"
    try:
        writer.write(head)
        for _ in range(size // 100_000):
            writer.write(b"x" * 100_000)
            await writer.drain()
            await asyncio.sleep(0.01)  # a refusal in the middle is what this is about
        async with asyncio.timeout(MAX_WAIT_SECONDS):
            return await reader.read(100_000)
    finally:
        writer.close()


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refusal_reaches_a_client_that_sends_600_kb(limited: LiveServer, name: str) -> None:
    status, path, header = REFUSED[name]
    if status == 429:
        await upload(limited.url, path, header, 0)
    received = await upload(limited.url, path, header, 600_000)
    assert status_codes(received) == [status]
