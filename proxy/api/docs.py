"""The reference face: `/openapi.json`, and `/docs`, a page that asks nobody else for anything."""

import inspect
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from html import escape
from typing import Any

from starlette.types import Receive, Scope, Send

from proxy.api.http.problems import Headers, json_bytes, status_of
from proxy.api.openapi import document
from proxy.errors import ProxyError
from proxy.operations.plan import OperationRegistry
from proxy.operations.reference import COLUMNS, rows, step

OPENAPI = "/openapi.json"
DOCS = "/docs"

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code { font-size: .9em; background: #8881; padding: .1em .3em; border-radius: .2em }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1.5rem }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem }
tr { border-bottom: 1px solid #8884 }
h2 { margin-top: 3rem } h3 { margin-top: 2rem }
@media (prefers-color-scheme: dark) { body { background: #111; color: #ddd } a { color: #8bf } }
"""


class Reference:
    def __init__(self, catalogue: OperationRegistry) -> None:
        described = document(catalogue)
        allowed = b64encode(sha256(_STYLE.encode()).digest()).decode()
        self._pages: dict[str, tuple[Headers, bytes]] = {
            OPENAPI: ([(b"content-type", b"application/json")], json_bytes(described)),
            DOCS: (
                [
                    (b"content-type", b"text/html; charset=utf-8"),
                    (
                        b"content-security-policy",
                        f"default-src 'none'; style-src 'sha256-{allowed}'".encode(),
                    ),
                ],
                _page(catalogue, described).encode(),
            ),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = self._pages.get(scope["path"].rstrip("/"))
        if scope["method"] not in ("GET", "HEAD"):
            status, headers, body = 405, [(b"allow", b"GET, HEAD")], b""
        elif page is None:
            status, headers, body = 404, [], b""
        else:
            status, headers, body = 200, page[0], page[1]
        headers = [
            *headers,
            (b"cache-control", b"no-cache"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )


def _page(catalogue: OperationRegistry, described: dict[str, Any]) -> str:
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width"><title>Framekeep</title>',
            f"<style>{_STYLE}</style></head><body><h1>Framekeep</h1>",
            "<p>"
            + _inline("A link is `/{signature}/{step}/…/{source}`. Machines read ")
            + f'<a href="{OPENAPI}">{OPENAPI}</a>.</p>',
            "<h2>APIs</h2>",
            *_apis(described),
            "<h2>Operations</h2>",
            *_operations(catalogue),
            "<h2>Problems</h2>",
            *_problems(),
            "</body></html>",
        )
    )


def _apis(described: dict[str, Any]) -> Iterator[str]:
    yield _table(
        ("call", "what it is"),
        (
            (f"`{method.upper()} {path}`", f"{call['tags'][0]}: {call['summary']}")
            for path, calls in described["paths"].items()
            for method, call in calls.items()
        ),
    )


def _operations(catalogue: OperationRegistry) -> Iterator[str]:
    for name, kind in catalogue.operations.items():
        yield f'<h3 id="{name}">{_inline(f"`{step(kind)}`")}</h3>'
        for paragraph in inspect.cleandoc(kind.__doc__ or "").split("\n\n"):
            yield f"<p>{_inline(paragraph)}</p>"
        if kind.__struct_fields__:
            yield _table(COLUMNS, rows(kind))


def _problems() -> Iterator[str]:
    for kind in sorted(_kinds(ProxyError), key=lambda kind: kind.problem_type):
        meaning = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0]
        name = kind.problem_type
        yield f'<h3 id="problem-{name}">{name}</h3>'
        yield f"<p>{int(status_of(kind))}: {_inline(meaning)}</p>"


def _kinds(of: type[ProxyError]) -> Iterator[type[ProxyError]]:
    for kind in of.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _table(head: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    titles = "".join(f"<th>{_inline(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{_inline(cell)}</td>' for cell in line)}</tr>" for line in lines
    )
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _inline(text: str) -> str:
    """The text as HTML; what stands in backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
