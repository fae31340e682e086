"""A complete server on loopback, in a thread of the test process, and an origin server."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import uvicorn
from origin_server import OriginServer

from proxy.app import create_app
from proxy.config import load
from proxy.server.http_protocol import TimeoutHttpProtocol

GENEROUS_TIMEOUTS = {
    "FRAMEKEEP_LIMITS_RENDER_TIMEOUT_SECONDS": "120",
    "FRAMEKEEP_LIMITS_RENDER_WALL_TIMEOUT_SECONDS": "600",
    "FRAMEKEEP_LIMITS_REQUEST_TIMEOUT_SECONDS": "600",
    "FRAMEKEEP_LIMITS_API_REQUEST_TIMEOUT_SECONDS": "600",
    "FRAMEKEEP_CACHE_DISK_TIMEOUT_SECONDS": "60",
}
"""A machine that is busy with other things fails no test."""

KEY, OTHER_KEY = "first-key", "second-key"


@dataclass(frozen=True)
class LiveServer:
    """The URL of the server, and the origin it may fetch from."""

    url: str
    origin: OriginServer


@contextmanager
def live_server(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[LiveServer]:
    """Run a server with its cache in the folder; it may connect to all of loopback."""
    settings = load(
        {
            "FRAMEKEEP_LINKS_ALLOW_UNSIGNED": "true",
            "FRAMEKEEP_API_KEYS": f"{KEY},{OTHER_KEY}",
            "FRAMEKEEP_CACHE_DIR": str(folder),
            "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.0/8",
            "FRAMEKEEP_SOURCES_ALLOW_PORTS": "1-65535",
            "FRAMEKEEP_RENDER_PROCESSES": "1",
            "FRAMEKEEP_LOG_ACCESS": "none",
            **GENEROUS_TIMEOUTS,
            **(environment or {}),
        }
    ).settings
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        port=0,
        http=partial(  # type: ignore[arg-type]
            TimeoutHttpProtocol,
            read_timeout_seconds=15,
            write_timeout_seconds=30,
            fast_path=app.fast_path,
        ),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    origin = OriginServer()
    up = threading.Event()

    async def run() -> None:
        async with origin:
            running = asyncio.create_task(server.serve())
            while not server.started and not running.done():  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.01)
            up.set()
            await running

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="server")
    thread.start()
    up.wait()
    try:
        assert server.started, "the server did not start"
        port = server.servers[0].sockets[0].getsockname()[1]
        yield LiveServer(f"http://127.0.0.1:{port}", origin)
    finally:
        server.should_exit = True
        thread.join()
