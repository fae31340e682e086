"""The tables of the HTTP API and its problems, as HTML, from the code."""

import inspect
import re
from collections.abc import Iterable, Iterator
from html import escape
from typing import Any

from proxy.api.http.problems import status_of
from proxy.errors import ProxyError


def calls_html(document: dict[str, Any], path_prefix: str) -> str:
    """Every call of the OpenAPI document."""
    return _table(
        ("call", "what it is"),
        (
            (f"`{method.upper()} {path_prefix}{path}`", f"{call['tags'][0]}: {call['summary']}")
            for path, calls in document["paths"].items()
            for method, call in calls.items()
        ),
    )


def problems_html() -> str:
    """Every problem type, under the anchor that problem responses link to."""
    return "".join(
        f'<h3 id="problem-{kind.problem_type}">{kind.problem_type}</h3>'
        f"<p>{int(status_of(kind))}: "
        f"{_inline(inspect.cleandoc(kind.__doc__ or '').partition(chr(10) * 2)[0])}</p>"
        for kind in sorted(_error_types(ProxyError), key=lambda kind: kind.problem_type)
    )


def _error_types(base: type[ProxyError]) -> Iterator[type[ProxyError]]:
    """Yield the subclasses with a problem type of their own."""
    for kind in base.__subclasses__():
        if "problem_type" in vars(kind):
            yield kind
        yield from _error_types(kind)


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{_inline(cell)}</th>' for cell in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{_inline(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        '<div class="wide" role="region" aria-label="Table" tabindex="0">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _inline(text: str) -> str:
    """Convert text to HTML, and what is in backticks to code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
