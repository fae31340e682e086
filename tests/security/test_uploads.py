"""Uploads that announce much and send little: others find room."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import photos
import pytest
from live_server import KEY, OTHER_KEY, LiveServer, live_server
from security.raw_http import exchange, status_codes

pytestmark = pytest.mark.anyio

IMAGE = photos.encode_scene("PNG")


def head(key: str, length: int, *more: bytes) -> bytes:
    lines = (
        b"POST /vision/v3.2/areaOfInterest HTTP/1.1\r\nHost: a",
        b"Ocp-Apim-Subscription-Key: " + key.encode(),
        b"Content-Type: application/octet-stream\r\nContent-Length: %d" % length,
        *more,
    )
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def start(stack: AsyncExitStack, server: LiveServer, sent: bytes) -> None:
    """Send the bytes on a connection of their own, which stays open."""
    _, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
    stack.callback(writer.close)
    writer.write(sent)
    await asyncio.sleep(0)  # not until all is sent: the server stops reading where it has no room


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    limits = {
        "FRAMEKEEP_API_MAX_INFLIGHT_UPLOAD_BYTES": "1000000",
        "FRAMEKEEP_LIMITS_API_REQUEST_TIMEOUT_SECONDS": "10",
    }
    with live_server(tmp_path_factory.mktemp("cache"), limits) as running:
        yield running


@pytest.mark.parametrize("sent", [0, 60_000, 999_999])
async def test_slow_uploads_of_one_key_leave_room_for_others(narrow: LiveServer, sent: int) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(8):
            await start(stack, narrow, head(KEY, 1_000_000) + b"x" * sent)
        request = head(OTHER_KEY, len(IMAGE), b"Connection: close")
        received = await exchange(narrow.url, request, IMAGE)
        assert status_codes(received) == [200]
