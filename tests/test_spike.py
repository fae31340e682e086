"""A spike of distinct pictures: all are answered, with the defaults, and so is everything else."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pictures
import pytest
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


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


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
    with live_server(tmp_path) as server:
        before = open_descriptors()

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
        while open_descriptors() > before + 16:  # the server opens a few that it keeps
            send_all(server, [get("/health/live")])
