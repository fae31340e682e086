"""The documentation API: ``/openapi.json``, and ``/docs``, a page that loads nothing else."""

import inspect
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Iterator
from hashlib import sha256
from html import escape
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy.api.context import ApiContext
from proxy.api.http.problems import error_headers, html_safe_json, status_of
from proxy.api.http.routing import api_router
from proxy.api.openapi import openapi_document
from proxy.errors import ProxyError
from proxy.operations.reference import COLUMNS, field_rows, link_syntax
from proxy.operations.registry import OperationRegistry
from proxy.server.config import ServerConfig

OPENAPI = "/openapi.json"
DOCS = "/docs"

_HEADERS = {"cache-control": "no-cache", "x-content-type-options": "nosniff"}
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code { font-size: .9em; background: #8881; padding: .1em .3em; border-radius: .2em }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem }
tr { border-bottom: 1px solid #8884 }
h2 { margin-top: 3rem } h3 { margin-top: 2rem }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd } a { color: #8bf } }
"""


def create_api(context: ApiContext) -> ASGIApp:
    return docs_api(context.operations, context.section(ServerConfig).path_prefix)


def docs_api(registry: OperationRegistry, path_prefix: str = "") -> ASGIApp:
    """``path_prefix`` is that of the server, for the links."""
    document = openapi_document(registry, path_prefix)
    openapi = _static(html_safe_json(document), {"content-type": "application/json"})
    style_hash = b64encode(sha256(_STYLE.encode()).digest()).decode()
    page = _static(
        _page(registry, document, path_prefix).encode(),
        {
            "content-type": "text/html; charset=utf-8",
            "content-security-policy": f"default-src 'none'; style-src 'sha256-{style_hash}'",
        },
    )
    return api_router(
        [
            Route(path + slash, endpoint)
            for path, endpoint in ((OPENAPI, openapi), (DOCS, page))
            for slash in ("", "/")
        ],
        _error_response,
    )


def _static(body: bytes, headers: dict[str, str]) -> Callable[[Request], Awaitable[Response]]:
    async def respond(_: Request) -> Response:
        return Response(body, headers=headers | _HEADERS)

    return respond


def _error_response(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return Response(status_code=status, headers=error_headers(error) | _HEADERS)


def _page(registry: OperationRegistry, document: dict[str, Any], path_prefix: str) -> str:
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width"><title>Framekeep</title>',
            f"<style>{_STYLE}</style></head><body><h1>Framekeep</h1>",
            "<p>"
            + _inline(
                f"A link is `{path_prefix}/{{signature}}/{{step}}/…/{{source}}`. Machines read "
            )
            + f'<a href="{path_prefix}{OPENAPI}">{path_prefix}{OPENAPI}</a>.</p>',
            "<h2>APIs</h2>",
            *_calls(document, path_prefix),
            "<h2>Operations</h2>",
            *_operations(registry),
            "<h2>Problems</h2>",
            *_problems(),
            "</body></html>",
        )
    )


def _calls(document: dict[str, Any], path_prefix: str) -> Iterator[str]:
    yield _table(
        ("call", "what it is"),
        (
            (f"`{method.upper()} {path_prefix}{path}`", f"{call['tags'][0]}: {call['summary']}")
            for path, calls in document["paths"].items()
            for method, call in calls.items()
        ),
    )


def _operations(registry: OperationRegistry) -> Iterator[str]:
    for name, kind in registry.operations.items():
        yield f'<h3 id="{name}">{_inline(f"`{link_syntax(kind)}`")}</h3>'
        for paragraph in inspect.cleandoc(kind.__doc__ or "").split("\n\n"):
            yield f"<p>{_inline(paragraph)}</p>"
        if kind.__struct_fields__:
            yield _table(COLUMNS, field_rows(kind))


def _problems() -> Iterator[str]:
    for kind in sorted(_error_types(ProxyError), key=lambda kind: kind.problem_type):
        meaning = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0]
        name = kind.problem_type
        yield f'<h3 id="problem-{name}">{name}</h3>'
        yield f"<p>{int(status_of(kind))}: {_inline(meaning)}</p>"


def _error_types(base: type[ProxyError]) -> Iterator[type[ProxyError]]:
    """Yield the subclasses with a problem type of their own."""
    for kind in base.__subclasses__():
        if "problem_type" in vars(kind):
            yield kind
        yield from _error_types(kind)


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{_inline(cell)}</th>" for cell in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{_inline(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _inline(text: str) -> str:
    """Convert text to HTML, and what is in backticks to code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
