"""Serve the manual, its search, and the OpenAPI document."""

import asyncio
from functools import cached_property, partial
from importlib.resources import files
from threading import Lock
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy.api.context import ApiContext
from proxy.api.docs.html import CONTENT_SECURITY_POLICY, DOCS, SEARCH, STYLESHEET, Layout
from proxy.api.docs.http_reference import calls_html, problems_html
from proxy.api.docs.manual import START, Manual, find_manual
from proxy.api.docs.search import Search
from proxy.api.http.error_page import page_or_problem
from proxy.api.http.problems import html_safe_json
from proxy.api.http.routing import api_router
from proxy.api.openapi import openapi_document
from proxy.links.config import LinksConfig
from proxy.operations.reference import render_markdown
from proxy.operations.registry import OperationRegistry
from proxy.server.config import ServerConfig
from proxy.sources.config import SourceConfig

OPENAPI = "/openapi.json"

_API_PAGE = "api"

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
    document = openapi_document(registry, path_prefix)
    openapi = html_safe_json(document)
    style = files("proxy").joinpath("data", "pages", "manual.css").read_bytes()
    pages = _Pages(registry, document, path_prefix, has_examples=has_examples)

    async def respond_openapi(_: Request) -> Response:
        return Response(openapi, headers={"content-type": "application/json"} | _HEADERS)

    async def respond_style(_: Request) -> Response:
        return Response(style, headers={"content-type": "text/css; charset=utf-8"} | _HEADERS)

    async def respond_search(request: Request) -> Response:
        query = request.query_params.get("q", "")[:1000]
        return Response(await asyncio.to_thread(pages.search, query), headers=_HTML | _HEADERS)

    async def respond_page(request: Request) -> Response:
        name = request.path_params.get("name", START).rstrip("/")
        found = await asyncio.to_thread(pages.find, name)
        if found is None:
            raise HTTPException(404, "the manual has no such page; /docs lists all")
        body, headers = found
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


class _Pages:
    """Pages are rendered when they are first asked for, in a thread, and kept."""

    def __init__(
        self,
        registry: OperationRegistry,
        document: dict[str, Any],
        path_prefix: str,
        *,
        has_examples: bool,
    ) -> None:
        self._registry = registry
        self._document = document
        self._path_prefix = path_prefix
        self._has_examples = has_examples
        self._rendered: dict[str, bytes] = {}
        self._lock = Lock()

    def find(self, name: str) -> tuple[bytes, dict[str, str]] | None:
        """Return what has this name, and its headers."""
        with self._lock:
            if name in self._manual.titles or name == _API_PAGE:
                if name not in self._rendered:
                    self._rendered[name] = self._render(name)
                return self._rendered[name], _HTML
            picture = self._manual.picture(name)
        return None if picture is None else (picture[0], {"content-type": picture[1]})

    def search(self, query: str) -> bytes:
        with self._lock:
            body = self._search.render(query, self._layout)
        return self._layout.page("Search", body, query=query)

    @cached_property
    def _manual(self) -> Manual:
        root = find_manual()
        reference = render_markdown(self._registry, root / "docs" / "operations")
        return Manual(root, {"operations": reference})

    @cached_property
    def _layout(self) -> Layout:
        return Layout(self._manual, self._path_prefix, has_examples=self._has_examples)

    @cached_property
    def _search(self) -> Search:
        return Search(self._manual)

    def _render(self, name: str) -> bytes:
        if name == _API_PAGE:
            calls = calls_html(self._document, self._path_prefix)
            return self._layout.page("HTTP API", f"<h1>HTTP API</h1>{calls}", current=name)
        # Problem types are links to this page. A type is an identifier and does not change.
        below = f'<h2 id="problems">Problems</h2>{problems_html()}' if name == START else ""
        return self._layout.manual_page(name, below)


def _error_response(path_prefix: str, request: Request, error: Exception) -> Response:
    response = page_or_problem(path_prefix, request, error)
    response.headers.update(_HEADERS)
    return response
