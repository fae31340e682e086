"""An app for tests of the server, and the program that serves it.

``python -m server_apps '{"workers": 2}' app`` prints the address as soon as it is served. With the
descriptors of a listener, of signs of life and of an owner behind that, it is a worker alone.
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
from starlette.routing import Route

from proxy.errors import ConfigError
from proxy.render.manager import Renderers
from proxy.render.protocol import RenderConfig
from proxy.server.config import ServerConfig
from proxy.server.supervisor import serve
from proxy.server.worker import MakeApp, run


def app(stopping: Callable[[], bool], _: Path) -> Starlette:
    go = asyncio.Event()

    async def process(_: Request) -> Response:
        return PlainTextResponse(str(os.getpid()))

    async def ready(_: Request) -> Response:
        return Response(status_code=503 if stopping() else 200)

    async def slow(_: Request) -> Response:
        await go.wait()
        return Response()

    async def let_go(_: Request) -> Response:
        go.set()
        return Response()

    async def hang(_: Request) -> Response:
        time.sleep(3600)  # noqa: ASYNC251 - that is the point
        return Response()

    return Starlette(
        routes=[
            Route("/", process),
            Route("/ready", ready),
            Route("/slow", slow),
            Route("/go", let_go),
            Route("/hang", hang),
        ]
    )


def refused(*_: object) -> Starlette:
    raise ConfigError("FRAMEKEEP_EXAMPLE: this is wrong")


def failing(*_: object) -> Starlette:
    raise LookupError("there is no app")


APPS: Mapping[str, MakeApp] = {"app": app, "refused": refused, "failing": failing}


def main(settings: str, app: str, *descriptors: str) -> int:
    server = msgspec.json.decode(settings, type=ServerConfig)
    if descriptors:
        listener, beat, owner = map(int, descriptors)
        where = {"listener": listener, "beat": beat, "owner": owner}
        return run(APPS[app], server, renderers=Path(), **where)
    return serve(
        server,
        Renderers(RenderConfig(processes=1), works="renderer_tasks"),
        make_app=APPS[app],
        ready=lambda address: print(address, flush=True),  # noqa: T201 - it is told so
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
