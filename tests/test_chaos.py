"""The complete server under load, while its processes are killed."""

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pictures
import pytest
from origin_server import OriginServer
from render_processes import (
    command_line,
    descendants,
    http_workers,
    next_pid,
    wait_exited,
    wait_until,
)

from proxy.render.pool import RenderPool
from proxy.render.process import PING

pytestmark = pytest.mark.anyio

Response = tuple[int, dict[str, str], bytes]


class Server:
    """A running server; requests use plain sockets, so that a thousand clients cost little."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.process = process
        self.host, self.port = address.removeprefix("http://").split(":")

    async def get(self, path: str) -> Response:
        reader, writer = await asyncio.open_connection(self.host, int(self.port))
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        if not head:
            raise ConnectionResetError("the server closed the connection without a response")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        assert len(body) == int(headers["content-length"])
        return int(first.split()[1]), headers, body

    async def render_pool(self) -> RenderPool:
        """A pool connected to its render processes."""
        for pid in await descendants(self.process.pid):
            for argument in command_line(pid).split("\0"):
                if argument.startswith("--directory="):
                    return RenderPool(Path(argument.removeprefix("--directory=")))
        raise LookupError("no render processes found")


@asynccontextmanager
async def run_server(
    cache: Path, *, render_processes: int = 1, **settings: str
) -> AsyncIterator[Server]:
    environment = {
        "FRAMEKEEP_SERVER_PORT": "0",
        "FRAMEKEEP_SERVER_WORKERS": "2",
        "FRAMEKEEP_RENDER_PROCESSES": str(render_processes),
        "FRAMEKEEP_LIMITS_REQUEST_TIMEOUT_SECONDS": "120",
        "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
        "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.0/8",
        "FRAMEKEEP_CACHE_DIR": str(cache),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "serve"),
        stdout=subprocess.PIPE,
        env={**os.environ, **environment, **settings},
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()
        yield Server(process, line.split()[-1])
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.communicate()


def photograph() -> bytes:
    return pictures.encode(pictures.scene(1600, 1200), "jpeg")


async def test_a_thousand_equal_requests_are_one_fetch_and_one_render(
    origin: OriginServer, tmp_path: Path
) -> None:
    url = origin.serve("/photo.jpg", photograph(), headers={"cache-control": "max-age=3600"})
    async with run_server(tmp_path) as server:
        pool = await server.render_pool()
        before = (await pool.run(PING, None)).task_count
        link = f"/_/smart_crop:200:200/convert:webp/{url}"
        responses = await asyncio.gather(*(server.get(link) for _ in range(1000)))
        assert Counter(status for status, _, _ in responses) == {200: 1000}
        assert len({hashlib.sha256(body).digest() for _, _, body in responses}) == 1
        assert origin.count("/photo.jpg") == 1
        assert (await pool.run(PING, None)).task_count == before + 2  # the render, and this ping


async def test_three_sizes_of_one_original_are_one_fetch(
    origin: OriginServer, tmp_path: Path
) -> None:
    url = origin.serve("/photo.jpg", photograph(), headers={"cache-control": "max-age=3600"})
    async with run_server(tmp_path) as server:
        sizes = ("resize:200:200:cover", "resize:800:600:cover", "resize:1200:630:cover")
        responses = await asyncio.gather(
            *(server.get(f"/_/{size}/convert:webp/{url}") for size in sizes for _ in range(10))
        )
        assert {status for status, _, _ in responses} == {200}
        assert len({body for _, _, body in responses}) == 3
        assert origin.count("/photo.jpg") == 1


async def test_killed_render_processes_fail_no_request(
    origin: OriginServer, tmp_path: Path
) -> None:
    url = origin.serve("/photo.jpg", photograph(), headers={"cache-control": "max-age=3600"})
    async with run_server(tmp_path, render_processes=2) as server:
        pool = await server.render_pool()
        widths = iter(range(100, 220))
        statuses: Counter[int] = Counter()

        async def send_requests() -> None:
            for width in widths:
                status, _, _ = await server.get(f"/_/resize:{width}/convert:webp/{url}")
                statuses[status] += 1

        def has_responses(count: int) -> bool:
            return statuses.total() >= count

        clients = [asyncio.create_task(send_requests()) for _ in range(4)]
        for kill in range(10):
            # One after the other: a task whose process dies twice fails, as it should.
            await wait_until(partial(has_responses, 8 * (kill + 1)))
            pid = await next_pid(pool)
            if kill % 5 == 0:
                pid = fork_server_of(pid)
            os.kill(pid, signal.SIGKILL)
            await wait_exited(pid)
        await asyncio.gather(*clients)
        assert statuses.total() == 120
        assert statuses[200] >= 119, statuses


def fork_server_of(render_process: int) -> int:
    status = Path(f"/proc/{render_process}/status").read_text()
    return int(status.partition("PPid:")[2].split()[0])


async def test_after_all_workers_are_killed_the_next_request_succeeds(
    origin: OriginServer, tmp_path: Path
) -> None:
    """The lock of a single flight is released with its process, and the next request renders."""
    requested, proceed = asyncio.Event(), asyncio.Event()
    body = photograph()

    async def respond_slowly(_: object) -> object:
        from aiohttp import web

        requested.set()
        await proceed.wait()
        return web.Response(body=body)

    url = origin.handle("/photo.jpg", respond_slowly)  # type: ignore[arg-type]
    async with run_server(tmp_path) as server:
        link = f"/_/resize:100/convert:webp/{url}"
        first = asyncio.create_task(server.get(link))
        await requested.wait()
        workers = http_workers(server.process.pid)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        for pid in workers:
            await wait_exited(pid)
        with pytest.raises(ConnectionError):
            await first
        proceed.set()
        status, _, _ = await server.get(link)
        assert status == 200
