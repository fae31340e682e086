"""An app for tests of the server, and the program that serves it.

``python -m server_apps '{"workers": 2}'`` prints the address as soon as it is served.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from proxy.handover import RenderSettings
from proxy.renderers import Renderers
from proxy.server import ServerSettings
from proxy.settings import BadSettings
from proxy.supervisor import serve


def app(stopping: Callable[[], bool]) -> Starlette:
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


def refused(_: Callable[[], bool]) -> Starlette:
    raise BadSettings("FRAMEKEEP_EXAMPLE: this is wrong")


if __name__ == "__main__":
    sys.exit(
        serve(
            msgspec.json.decode(sys.argv[1], type=ServerSettings),
            Renderers(RenderSettings(processes=1), works="renderer_works"),
            app=f"server_apps:{sys.argv[2]}",
            ready=lambda address: print(address, flush=True),  # noqa: T201 - it is told so
        )
    )
