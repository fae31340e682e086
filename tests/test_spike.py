"""A spike of distinct pictures: all are answered, with the defaults, and so is everything else."""

import asyncio
import contextlib
import gc
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pictures
import pytest
from aiohttp import web
from live_server import KEY, OTHER_KEY, LiveServer, live_server

PICTURE = pictures.encode(pictures.scene(280, 220), "jpeg")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("cache")) as served:
        yield served


def upload(number: int, *, key: str = KEY, width: int = 60) -> bytes:
    """A call of the API of Azure; what follows the end of a JPEG makes the picture distinct."""
    body = PICTURE + b"%d" % number
    head = (
        f"POST /vision/v3.2/generateThumbnail?width={width}&height=60 HTTP/1.1\r\n"
        f"Host: a\r\nConnection: close\r\nOcp-Apim-Subscription-Key: {key}\r\n"
        f"Content-Type: application/octet-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


def uploads_in_memory() -> int:
    gc.collect()
    count = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += path.readlink().name == "memfd:original (deleted)"
    return count


async def send(server: LiveServer, request: bytes) -> int:
    """The status of the response."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    response = await reader.read()
    writer.close()
    return int(response.split(maxsplit=2)[1])


def send_all(server: LiveServer, requests: list[bytes]) -> Counter[int]:
    """The statuses of requests that are sent all at the same time."""

    async def run() -> list[int]:
        return await asyncio.gather(*(send(server, request) for request in requests))

    return Counter(asyncio.run(run()))


@pytest.mark.parametrize("callers", [100, 200, 500])
def test_all_uploads_of_a_spike_are_answered(server: LiveServer, callers: int) -> None:
    requests = [upload(number, width=60 + callers) for number in range(callers)]
    assert send_all(server, requests) == {200: callers}


def test_all_links_of_a_spike_are_answered(server: LiveServer) -> None:
    links = [
        f"/_/resize:60:60:cover/{server.origin.serve(f'/{number}.jpg', PICTURE)}"
        for number in range(200)
    ]
    assert send_all(server, [get(link) for link in links]) == {200: 200}


def test_a_spike_with_expensive_chains_broken_originals_and_hits_is_answered(
    server: LiveServer,
) -> None:
    url = server.origin.serve("/mixed.jpg", PICTURE)
    broken = server.origin.serve("/broken.jpg", PICTURE[: len(PICTURE) // 2])
    hit = get(f"/_/resize:50/{url}")
    assert send_all(server, [hit]) == {200: 1}
    requests = [
        *(get(f"/_/smart_crop:{50 + n}:60/sharpen:0.5/convert:webp:85/{url}") for n in range(30)),
        *(get(f"/_/resize:{50 + n}/{broken}") for n in range(30)),
        *(upload(number, key=OTHER_KEY, width=400) for number in range(60)),
        *(hit for _ in range(60)),
        *(get("/health/live") for _ in range(60)),
    ]
    assert send_all(server, requests) == {200: 30 + 60 + 60 + 60, 422: 30}


def test_who_hangs_up_leaves_the_line_and_what_they_sent_is_freed(tmp_path: Path) -> None:
    """Half of the callers hang up: the others are answered, and no file of an upload is left."""
    gc.collect()
    before = uploads_in_memory()
    with live_server(tmp_path) as server:

        async def hang_up(number: int) -> None:
            host, _, port = server.url.removeprefix("http://").partition(":")
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(upload(number, width=200))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async def run() -> list[int]:
            answered = [
                asyncio.create_task(send(server, upload(number, width=200)))
                for number in range(100)
            ]
            await asyncio.gather(*(hang_up(number) for number in range(100, 200)))
            return await asyncio.gather(*answered)

        assert Counter(asyncio.run(run())) == {200: 100}
        assert send_all(server, [get("/health/live")]) == {200: 1}
        while uploads_in_memory() > before:
            send_all(server, [get("/health/live")])
            gc.collect()


def test_a_call_of_an_api_waits_longer_than_a_link(tmp_path: Path) -> None:
    """Both wait for the same original; the link gives up first, and the call is answered."""
    with live_server(tmp_path, {"FRAMEKEEP_LIMITS_REQUEST_TIMEOUT_SECONDS": "0.5"}) as server:
        release = threading.Event()

        async def respond(_: web.BaseRequest) -> web.StreamResponse:
            await asyncio.to_thread(release.wait)
            return web.Response(body=PICTURE)

        url = server.origin.handle("/slow.jpg", respond)
        body = json.dumps({"url": url}).encode()
        call = (
            "POST /vision/v3.2/generateThumbnail?width=60&height=60 HTTP/1.1\r\nHost: a\r\n"
            f"Connection: close\r\nOcp-Apim-Subscription-Key: {KEY}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )

        async def run() -> tuple[int, int]:
            patient = asyncio.create_task(send(server, call.encode() + body))
            try:
                impatient = await send(server, get(f"/_/resize:60/{url}"))
            finally:
                release.set()
            return impatient, await patient

        assert asyncio.run(run()) == (504, 200)
        assert server.origin.count("/slow.jpg") == 1
