"""The home page, and the files that browsers and crawlers ask every server for."""

from collections.abc import Awaitable, Callable
from functools import partial
from html import escape
from http import HTTPStatus
from importlib.metadata import version
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy.api.admin import AdminConfig
from proxy.api.context import ApiContext
from proxy.api.health import readiness
from proxy.api.http.error_page import page_or_problem
from proxy.api.http.html_page import CONTENT_SECURITY_POLICY, HTML, html_page
from proxy.api.http.routing import api_router, collapse_slashes
from proxy.api.pages.config import PagesConfig
from proxy.server.config import ServerConfig

ROOT_FILES = ("favicon.ico", "robots.txt")
"""Also served at the root where the server has a path prefix: nobody asks for them elsewhere."""

_PLAYGROUND = ("/playground", "Playground")
_PAGES = (
    ("/docs", "Documentation"),
    ("/openapi.json", "OpenAPI"),
    ("/health", "Health"),
)

Pages = tuple[tuple[str, str], ...]

_DAY = "public, max-age=86400"


def create_api(context: ApiContext) -> ASGIApp:
    path_prefix = context.section(ServerConfig).path_prefix
    config = context.section(PagesConfig)
    has_playground = config.has_playground(context.section(AdminConfig).keys)
    pages = (_PLAYGROUND, *_PAGES) if has_playground else _PAGES
    icon = files("proxy").joinpath("data", "pages", "favicon.ico").read_bytes()
    robots = (
        "User-agent: *\n"
        + "".join(
            f"Disallow: {path_prefix}/{path}\n" for path in ("admin", "metrics", "playground")
        )
    ).encode()

    async def home(_: Request) -> Response:
        if not config.home:
            raise HTTPException(
                HTTPStatus.NOT_FOUND, "the home page is switched off (FRAMEKEEP_PAGES_HOME)"
            )
        state, _components = readiness(context.not_ready, context.components)
        return Response(
            html_page("Framekeep", _body(state, path_prefix, pages)),
            headers={
                "content-type": HTML,
                "content-security-policy": CONTENT_SECURITY_POLICY,
                "cache-control": "no-cache",
                "x-content-type-options": "nosniff",
            },
        )

    return api_router(
        [
            Route("/", home),
            Route("/favicon.ico", _file(icon, "image/x-icon")),
            Route("/robots.txt", _file(robots, "text/plain; charset=utf-8")),
        ],
        partial(page_or_problem, path_prefix),
        normalize_path=collapse_slashes,
    )


def _body(state: str, path_prefix: str, pages: Pages) -> str:
    links = "".join(f'<li><a href="{path_prefix}{path}">{name}</a></li>' for path, name in pages)
    return (
        "<h1>Framekeep</h1><p>An on-the-fly image origin for CDNs. A link names a picture and "
        f"what to do with it:</p><pre>{path_prefix}/{{signature}}/smart_crop:800:600/"
        "convert:auto/https://cdn.example.com/u/42.jpg</pre>"
        f'<nav aria-label="Framekeep"><ul>{links}</ul></nav>'
        f"<dl><dt>Version</dt><dd>{escape(version('framekeep'))}</dd>"
        f"<dt>State</dt><dd>{escape(state)}</dd></dl>"
    )


def _file(body: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def respond(_: Request) -> Response:
        return Response(
            body,
            headers={
                "content-type": media_type,
                "cache-control": _DAY,
                "x-content-type-options": "nosniff",
            },
        )

    return respond
