"""Serve the manual, its search, and the OpenAPI document."""

import asyncio
from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy.api.context import ApiContext
from proxy.api.docs.urls import CONTENT_SECURITY_POLICY, DOCS, SEARCH, START, STYLESHEET
from proxy.api.http.error_page import page_or_problem
from proxy.api.http.problems import html_safe_json
from proxy.api.http.routing import api_router
from proxy.api.openapi import openapi_document
from proxy.links.config import LinksConfig
from proxy.operations.registry import OperationRegistry
from proxy.server.config import ServerConfig
from proxy.sources.config import SourceConfig

if TYPE_CHECKING:
    from proxy.api.docs.pages import Pages

OPENAPI = "/openapi.json"

_HEADERS = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
_HTML = {
    "content-type": "text/html; charset=utf-8",
    "content-security-policy": CONTENT_SECURITY_POLICY,
}


def create_api(context: ApiContext) -> ASGIApp:
    return docs_api(
        context.operations,
        context.section(ServerConfig).path_prefix,
        has_examples=context.section(LinksConfig).allow_unsigned
        and "demo" in context.section(SourceConfig).aliases,
    )


def docs_api(
    registry: OperationRegistry, path_prefix: str = "", *, has_examples: bool = False
) -> ASGIApp:
    """``path_prefix`` is that of the server, for the links.

    ``has_examples`` says that it takes unsigned links and has the source ``demo``.
    """
    style = files("proxy").joinpath("data", "pages", "manual.css").read_bytes()

    # Made when somebody asks: half of the CPU time of `create_app`, and 2.5 MB in each worker.
    document = cache(partial(openapi_document, registry, path_prefix))

    @cache
    def openapi() -> bytes:
        return html_safe_json(document())

    @cache
    def pages() -> "Pages":
        # What parses Markdown is 6 % of the imports of a server, and many never show a page.
        from proxy.api.docs.pages import Pages  # noqa: PLC0415

        return Pages(registry, document(), path_prefix, has_examples=has_examples)

    async def respond_openapi(_: Request) -> Response:
        body = await asyncio.to_thread(openapi)
        return Response(body, headers={"content-type": "application/json"} | _HEADERS)

    async def respond_style(_: Request) -> Response:
        return Response(style, headers={"content-type": "text/css; charset=utf-8"} | _HEADERS)

    async def respond_search(request: Request) -> Response:
        query = request.query_params.get("q", "")[:1000]
        return Response(
            await asyncio.to_thread(lambda: pages().search(query)), headers=_HTML | _HEADERS
        )

    async def respond_page(request: Request) -> Response:
        name = request.path_params.get("name", START).rstrip("/")
        found = await asyncio.to_thread(lambda: pages().find(name))
        if found is None:
            raise HTTPException(404, "the manual has no such page; /docs lists all")
        body, content_type = found
        headers = _HTML if content_type == _HTML["content-type"] else {"content-type": content_type}
        return Response(body, headers=headers | _HEADERS)

    return api_router(
        [
            Route(OPENAPI, respond_openapi),
            Route(f"{OPENAPI}/", respond_openapi),
            Route(STYLESHEET, respond_style),
            Route(SEARCH, respond_search),
            Route(DOCS, respond_page),
            Route(f"{DOCS}/{{name:path}}", respond_page),
        ],
        partial(_error_response, path_prefix),
    )


def _error_response(path_prefix: str, request: Request, error: Exception) -> Response:
    response = page_or_problem(path_prefix, request, error)
    response.headers.update(_HEADERS)
    return response
