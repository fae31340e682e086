"""The whole server, two workers and an origin, under what the open internet does to it."""

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
from origin_server import Origin
from render_processes import descendants, ended, http_workers, pid_of, until

from proxy.render.pool import Pool
from proxy.render.process import ABOUT

pytestmark = pytest.mark.anyio

Answer = tuple[int, dict[str, str], bytes]


class Framekeep:
    """A running server, asked over plain sockets: a thousand callers must be cheap here."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.process = process
        self.host, self.port = address.removeprefix("http://").split(":")

    async def get(self, path: str) -> Answer:
        reader, writer = await asyncio.open_connection(self.host, int(self.port))
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        if not head:
            raise ConnectionResetError("hung up without a word")
        first, *lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        assert len(body) == int(headers["content-length"])
        return int(first.split()[1]), headers, body

    async def renderers(self) -> Pool:
        """Our own line to its render processes."""
        for pid in await descendants(self.process.pid):
            for word in Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0"):
                if word.startswith("--directory="):
                    return Pool(Path(word.removeprefix("--directory=")), queue_seconds=60)
        raise LookupError("there are no renderers")


@asynccontextmanager
async def framekeep(
    cache: Path, *, renderers: int = 1, **settings: str
) -> AsyncIterator[Framekeep]:
    environment = {
        "FRAMEKEEP_SERVER_PORT": "0",
        "FRAMEKEEP_SERVER_WORKERS": "2",
        "FRAMEKEEP_RENDER_PROCESSES": str(renderers),
        "FRAMEKEEP_RENDER_QUEUE_TIMEOUT_SECONDS": "60",
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
        yield Framekeep(process, line.split()[-1])
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.communicate()


def photograph() -> bytes:
    return pictures.file(pictures.scene(1600, 1200), "jpeg")


async def test_a_thousand_callers_are_one_fetch_and_one_render(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.serve("/photo.jpg", photograph(), headers={"cache-control": "max-age=3600"})
    async with framekeep(tmp_path) as server:
        pool = await server.renderers()
        before = (await pool.run(ABOUT, None)).jobs
        link = f"/_/smart_crop:200:200/convert:webp/{url}"
        answers = await asyncio.gather(*(server.get(link) for _ in range(1000)))
        assert Counter(status for status, _, _ in answers) == {200: 1000}
        assert len({hashlib.sha256(body).digest() for _, _, body in answers}) == 1
        assert origin.count("/photo.jpg") == 1
        assert (await pool.run(ABOUT, None)).jobs == before + 2  # the render, and this question


async def test_three_sizes_of_one_upload_are_one_fetch(origin: Origin, tmp_path: Path) -> None:
    url = origin.serve("/photo.jpg", photograph(), headers={"cache-control": "max-age=3600"})
    async with framekeep(tmp_path) as server:
        sizes = ("resize:200:200:cover", "resize:800:600:cover", "resize:1200:630:cover")
        answers = await asyncio.gather(
            *(server.get(f"/_/{size}/convert:webp/{url}") for size in sizes for _ in range(10))
        )
        assert {status for status, _, _ in answers} == {200}
        assert len({body for _, _, body in answers}) == 3
        assert origin.count("/photo.jpg") == 1


async def test_render_processes_are_killed_under_load_and_nobody_notices(
    origin: Origin, tmp_path: Path
) -> None:
    url = origin.serve("/photo.jpg", photograph(), headers={"cache-control": "max-age=3600"})
    async with framekeep(tmp_path, renderers=2) as server:
        pool = await server.renderers()
        widths = iter(range(100, 220))
        statuses: Counter[int] = Counter()

        async def ask() -> None:
            for width in widths:
                status, _, _ = await server.get(f"/_/resize:{width}/convert:webp/{url}")
                statuses[status] += 1

        def answered(count: int) -> bool:
            return statuses.total() >= count

        clients = [asyncio.create_task(ask()) for _ in range(4)]
        for kill in range(10):
            # One after the other: a job that loses two processes in a row is given up, rightly.
            await until(partial(answered, 8 * (kill + 1)))
            pid = await pid_of(pool)
            if kill % 5 == 0:
                pid = fork_server_of(pid)
            os.kill(pid, signal.SIGKILL)
            await ended(pid)
        await asyncio.gather(*clients)
        assert statuses.total() == 120
        assert statuses[200] >= 119, statuses


def fork_server_of(renderer: int) -> int:
    status = Path(f"/proc/{renderer}/status").read_text()
    return int(status.partition("PPid:")[2].split()[0])


async def test_workers_are_killed_and_the_next_answer_is_right(
    origin: Origin, tmp_path: Path
) -> None:
    """A worker dies with a flight in the air: the lock goes with it, and the work is done anew."""
    here, go = asyncio.Event(), asyncio.Event()
    body = photograph()

    async def slowly(_: object) -> object:
        from aiohttp import web

        here.set()
        await go.wait()
        return web.Response(body=body)

    url = origin.handle("/photo.jpg", slowly)  # type: ignore[arg-type]
    async with framekeep(tmp_path) as server:
        link = f"/_/resize:100/convert:webp/{url}"
        first = asyncio.create_task(server.get(link))
        await here.wait()
        workers = http_workers(server.process.pid)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        for pid in workers:
            await ended(pid)
        with pytest.raises(ConnectionError):
            await first
        go.set()
        status, _, _ = await server.get(link)
        assert status == 200
