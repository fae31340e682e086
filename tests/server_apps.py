"""An app for tests of the server, and the program that serves it.

``python -m server_apps '{"workers": 2}' app`` prints the URL as soon as the server is ready. With
three more arguments, the descriptors of a listener, of the heartbeat and of a supervisor, it is a
single worker.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from proxy.api.health import health_api
from proxy.errors import ConfigError
from proxy.render.config import RenderConfig
from proxy.render.manager import RenderProcessManager
from proxy.server.accept_balance import ConnectionCounts
from proxy.server.components import server_components
from proxy.server.config import ServerConfig
from proxy.server.supervisor import serve
from proxy.server.worker import AppFactory, run
from proxy.telemetry.metrics import MetricsFiles


def app(stopping: Callable[[], bool], directory: Path) -> Starlette:
    released = asyncio.Event()

    async def pid(_: Request) -> Response:
        return PlainTextResponse(str(os.getpid()))

    async def ready(_: Request) -> Response:
        return Response(status_code=503 if stopping() else 200)

    async def slow(_: Request) -> Response:
        await released.wait()
        return Response()

    async def release(_: Request) -> Response:
        released.set()
        return Response()

    async def hang(_: Request) -> Response:
        time.sleep(3600)  # noqa: ASYNC251 - the event loop hangs on purpose
        return Response()

    return Starlette(
        routes=[
            Route("/", pid),
            Route("/ready", ready),
            Route("/slow", slow),
            Route("/release", release),
            Route("/hang", hang),
            Mount("/", health_api(lambda: "", server_components(directory))),
        ]
    )


def misconfigured(*_: object) -> Starlette:
    raise ConfigError("FRAMEKEEP_EXAMPLE: this is wrong")


def failing(*_: object) -> Starlette:
    raise LookupError("there is no app")


APPS: Mapping[str, AppFactory] = {"app": app, "misconfigured": misconfigured, "failing": failing}


def main(settings: str, app: str, *descriptors: str) -> int:
    config = msgspec.json.decode(settings, type=ServerConfig)
    if descriptors:
        listener_fd, heartbeat_fd, supervisor_fd = map(int, descriptors)
        return run(
            APPS[app],
            config,
            listener_fd=listener_fd,
            heartbeat_fd=heartbeat_fd,
            supervisor_fd=supervisor_fd,
            render_dir=Path(),
            metrics_files=MetricsFiles(Path(), 0),
            connection_counts=ConnectionCounts(1),
        )
    # Without a sandbox: it would take away what lets user nobody read the interpreter's files.
    render_config = RenderConfig(processes=1, sandbox=False)
    return serve(
        config,
        RenderProcessManager(render_config, handlers="renderer_tasks"),
        make_app=APPS[app],
        on_ready=lambda url: print(url, flush=True),  # noqa: T201 - the test reads it
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
