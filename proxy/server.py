"""How the app is served: HTTP workers under one supervisor, and the machine's render processes."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import uvicorn
from msgspec import Meta, Struct
from uvicorn.supervisors import Multiprocess

from proxy.focus.models import Models
from proxy.handover import RenderSettings
from proxy.renderers import Renderers

RENDERERS = "_FRAMEKEEP_RENDERERS"
"""Names, for workers, the folder with the sockets of the machine's render processes."""


class ServerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the server listens, and with how many processes."""

    host: str = "127.0.0.1"
    """The address to listen on; 0.0.0.0 is every address of this machine."""

    port: Annotated[int, Meta(ge=0, le=65_535)] = 8080
    """The port to listen on."""

    workers: Annotated[int, Meta(ge=1, le=64)] = 1
    """HTTP workers. They share one cache and the render processes of the machine."""

    graceful_seconds: Annotated[int, Meta(ge=1, le=300)] = 25
    """Longest time that requests in hand may take once the server is asked to stop."""

    idle_seconds: Annotated[int, Meta(ge=1, le=3600)] = 75
    """How long an idle connection is kept open: longer than the proxy in front keeps it."""


def serve(server: ServerSettings, render: RenderSettings, models: Models) -> int:
    """Serve until asked to stop; settings reach the workers through the environment."""
    config = uvicorn.Config(
        "proxy.app:from_environment",
        factory=True,
        host=server.host,
        port=server.port,
        workers=server.workers,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=server.idle_seconds,
        timeout_graceful_shutdown=server.graceful_seconds,
    )
    with _renderers(render, models):
        if server.workers == 1:
            uvicorn.Server(config).run()
        else:
            Multiprocess(config, sockets=[config.bind_socket()]).run()
    return 0


def inherited_renderers() -> Path | None:
    """The folder of the render processes that this worker shares, if it was started with any."""
    folder = os.environ.get(RENDERERS)
    return Path(folder) if folder else None


@contextmanager
def _renderers(settings: RenderSettings, models: Models) -> Iterator[None]:
    """Render processes for all workers, watched over from a thread of this process."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="renderers", daemon=True)
    thread.start()
    renderers = Renderers(settings, imports=models.imports(), readable=models.readable())
    asyncio.run_coroutine_threadsafe(_begin(renderers), loop).result()
    os.environ[RENDERERS] = str(renderers.directory)
    try:
        yield
    finally:
        del os.environ[RENDERERS]
        asyncio.run_coroutine_threadsafe(renderers.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _begin(renderers: Renderers) -> None:
    renderers.start()
