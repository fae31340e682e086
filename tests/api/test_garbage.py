"""What a request has used is freed with its response, not by the garbage collector later."""

import asyncio
import gc
from collections.abc import Callable, Iterator

import pictures
import pytest
from live_server import KEY, LiveServer, live_server

from proxy.telemetry.request_context import RequestContext

PICTURE = pictures.encode(pictures.scene(280, 220), "jpeg")
BROKEN = PICTURE[: len(PICTURE) // 2]
REQUESTS = 25
"""Enough that the last few, which timers still hold, do not matter."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("cache")) as served:
        yield served


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def upload(body: bytes, key: str = KEY) -> bytes:
    head = (
        "POST /vision/v3.2/generateThumbnail?width=60&height=60 HTTP/1.1\r\n"
        f"Host: a\r\nOcp-Apim-Subscription-Key: {key}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def link(server: LiveServer, name: str, body: bytes) -> bytes:
    return get(f"/_/resize:50/{server.origin.serve(f'/{name}.jpg', body)}")


Make = Callable[[LiveServer, str], bytes]
KINDS: dict[str, tuple[int, Make]] = {
    "rendered": (200, lambda server, name: link(server, name, PICTURE)),
    "upload": (200, lambda _, name: upload(PICTURE + name.encode())),
    "broken": (422, lambda server, name: link(server, name, BROKEN + name.encode())),
    "broken-upload": (400, lambda _, name: upload(BROKEN + name.encode())),
    "no-image": (415, lambda server, name: link(server, name, b"text" * 100)),
    "not-found": (404, lambda server, name: get(f"/_/resize:50/{server.origin.url(f'/no{name}')}")),
    "invalid": (400, lambda _, name: get(f"/_/resize:x{name}/http://a/b")),
    "forbidden": (403, lambda _, name: get(f"/_/resize:50/http://10.0.0.1/{name}.jpg")),
    "no-key": (401, lambda _, name: upload(PICTURE + name.encode(), key="unknown")),
}


async def send(server: LiveServer, request: bytes) -> int:
    host, _, port = server.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return int(head.split(maxsplit=2)[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_leaves_no_reference_cycles(server: LiveServer, kind: str) -> None:
    status, make = KINDS[kind]

    def send_all(name: str) -> None:
        for number in range(REQUESTS):
            assert asyncio.run(send(server, make(server, f"{kind}-{name}-{number}"))) == status

    send_all("warm")
    gc.collect()
    gc.disable()
    try:
        send_all("counted")
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = [thing for thing in gc.garbage if isinstance(thing, RequestContext)]
        assert len(left) < REQUESTS // 5  # a connection that dies may keep one request
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
